"""Recommendation ids: a signed text that an answer carries, and that events bring back.

It holds what attribution needs, so that nothing is looked up when an event is stored: the time of the answer and its placement.
24 bytes as base64url: 6 of milliseconds since 1970, 8 of the placement's key, 4 at random, 6 of a keyed BLAKE2b over the rest.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import msgspec

from alsobought.settings import Settings
from alsobought.signing_secrets import SigningSecrets

LENGTH = 32  # characters
FORM = re.compile(rf"[A-Za-z0-9_-]{{{LENGTH}}}")
SIGNED, SIGNATURE = 18, 6  # bytes
MAX_SKEW = timedelta(minutes=5)  # of the clock of a browser, and of two servers
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Placement:
    """Where a list was shown, and what made it. Without a surface it was asked from the pipe itself."""

    pipe: str
    version: str
    surface: str = ""
    experiment: str = ""
    variant: str = ""

    @cached_property
    def key(self) -> int:
        """64 bits of a hash, never 0."""
        text = msgspec.json.encode((self.pipe, self.version, self.surface, self.experiment, self.variant))
        return int.from_bytes(blake2b(text, digest_size=8).digest()) or 1


class Recommended(NamedTuple):
    """What an id says. `placement` is 0 for one that is forged or expired, `at` is EPOCH for one that is forged."""

    placement: int
    at: datetime


FORGED = Recommended(0, EPOCH)


class RecommendationIds:
    """Signs with the first secret, accepts all. `shop`: ids of another shop are forged here, even with the same secret."""

    def __init__(self, signing: Sequence[str], shop: str, max_age: timedelta) -> None:
        """Without secrets there are no ids."""
        self._keys = [blake2b(secret.encode(), key=shop.encode()[:64], digest_size=32).digest() for secret in signing]
        self._max_age = max_age

    def mint(self, placement: Placement, at: datetime) -> str:
        """The id of an answer; empty without a secret."""
        if not self._keys:
            return ""
        milliseconds = int(at.timestamp() * 1000)
        signed = milliseconds.to_bytes(6) + placement.key.to_bytes(8) + os.urandom(4)
        return urlsafe_b64encode(signed + _signature(self._keys[0], signed)).decode()

    def read(self, text: str, at: datetime) -> Recommended:
        """What the id of an event says that happened `at`. FORGED for any text that was not signed here."""
        try:
            whole = urlsafe_b64decode(text) if len(text) == LENGTH else b""
        except ValueError:
            return FORGED
        signed, signature = whole[:SIGNED], whole[SIGNED:]
        if not any(hmac.compare_digest(_signature(key, signed), signature) for key in self._keys):
            return FORGED
        recommended_at = EPOCH + timedelta(milliseconds=int.from_bytes(signed[:6]))
        is_valid = -MAX_SKEW <= at - recommended_at <= self._max_age
        return Recommended(int.from_bytes(signed[6:14]) if is_valid else 0, recommended_at)


def is_recommendation_id(text: str) -> bool:
    """True for a text of the form of an id, whoever signed it."""
    return bool(FORM.fullmatch(text))


def recommendation_ids(settings: Settings, folder: Path | None, *, embedded: bool) -> RecommendationIds:
    """Those of a shop. An embedded warehouse has a secret of its own without the setting, in its `folder` or in memory.

    On a server ids need ALSOBOUGHT_TOKEN_SECRET, since every process must know it. Raises Unusable.
    """
    signing = SigningSecrets(settings.token_secret, folder)
    if folder:
        signing.to_sign()
    known = signing.to_verify() or ([secrets.token_hex(32)] if embedded else [])
    return RecommendationIds(known, settings.database, timedelta(days=settings.recommendation_days))


def _signature(key: bytes, signed: bytes) -> bytes:
    return blake2b(signed, key=key, digest_size=SIGNATURE).digest()
