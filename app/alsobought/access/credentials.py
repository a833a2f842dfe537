"""Keys as text: `ab_secret_ID_SECRET` and `ab_public_ID_SECRET`. Pure.

The id finds the key; of the whole text only the SHA-256 is stored. A slow hash would protect a password that people choose, not
256 random bits.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from typing import Literal

SECRET, PUBLIC = "ab_secret_", "ab_public_"
ALPHABET = string.ascii_letters + string.digits
ID_ALPHABET = string.ascii_lowercase + string.digits
ID_LENGTH, SECRET_LENGTH = 10, 43  # 43 of 62 characters are 256 bits
KEY = re.compile(rf"ab_(secret|public)_([a-z0-9]{{{ID_LENGTH}}})_([A-Za-z0-9]{{{SECRET_LENGTH}}})")
SHOWN = re.compile(r"(ab_(?:secret|public)_[a-z0-9]{0,10})[A-Za-z0-9_]*")
KeyKind = Literal["secret", "browser"]


def new_key(kind: KeyKind) -> tuple[str, str]:
    """(the text of a new key, its id)"""
    key_id = _random(ID_ALPHABET, ID_LENGTH)
    return f"{SECRET if kind == 'secret' else PUBLIC}{key_id}_{_random(ALPHABET, SECRET_LENGTH)}", key_id


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def id_of(text: str) -> str:
    """The id in a key; empty for any other text."""
    key = KEY.fullmatch(text)
    return key[2] if key else ""


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def is_equal(one_hash: str, other_hash: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(one_hash.encode(), other_hash.encode())


def without_secrets(text: str) -> str:
    """A text without the secrets of the keys in it, for logs and messages.

    >>> without_secrets("/pipes/ab_secret_abcdefghij_s3cret?x=1")
    '/pipes/ab_secret_abcdefghij…?x=1'
    """
    return SHOWN.sub(r"\1…", text)
