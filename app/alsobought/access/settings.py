"""The key of the setting `ALSOBOUGHT_ADMIN_KEY`, for containers that start without a database."""

from __future__ import annotations

from alsobought.errors import Unusable
from alsobought.settings import Settings

MIN_LENGTH = 32
HOW = "Make one with `openssl rand -hex 32`"


def admin_key(settings: Settings) -> str:
    """The key, empty if there is none. Raises Unusable for one that can be guessed."""
    key = settings.admin_key
    if key and (len(key) < MIN_LENGTH or not key.isascii() or not key.isprintable() or " " in key):
        raise Unusable(
            f"ALSOBOUGHT_ADMIN_KEY, or its file, has no key: {MIN_LENGTH} ASCII characters or more, without spaces", HOW
        )
    return key
