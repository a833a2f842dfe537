"""The secret of the webhooks: a signature of the body, or the secret itself in a header. Pure.

Segment signs the body; RudderStack and others send headers of choice; clients of the Measurement
Protocol send `api_secret` in the address.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Mapping

SIGNATURE = "X-Signature"
HASHES = {40: hashlib.sha1, 64: hashlib.sha256}  # by the length of the hexadecimal signature


def is_authentic(secret: str, headers: Mapping[str, str], query: Mapping[str, str], body: bytes) -> bool:
    """True if the sender of a request knows the secret.

    >>> is_authentic("s3cret", {"Authorization": "Bearer s3cret"}, {}, b""), is_authentic("s3cret", {}, {}, b"")
    (True, False)
    """
    signature = headers.get(SIGNATURE, "").strip().lower()
    if algorithm := HASHES.get(len(signature)):
        return _equal(signature, hmac.new(secret.encode(), body, algorithm).hexdigest())
    presented = [*_credentials(headers.get("Authorization", "")), query.get("api_secret", "")]
    return any(_equal(value, secret) for value in presented)


def _credentials(authorization: str) -> list[str]:
    """The token of a Bearer header; of a Basic header the user and the password, since either may be the secret."""
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return [value.strip()]
    if scheme.lower() != "basic":
        return []
    try:
        user, _, password = b64decode(value.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return []
    return [user, password]


def _equal(presented: str, expected: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(presented.encode(), expected.encode())
