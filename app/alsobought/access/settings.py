"""The key of the settings `ALSOBOUGHT_ADMIN_KEY` and `ALSOBOUGHT_ADMIN_KEY_FILE`, for containers that start without a database."""

from __future__ import annotations

from pathlib import Path

from alsobought.errors import Unusable
from alsobought.settings import Settings

MIN_LENGTH = 32
HOW = "Make one with `openssl rand -hex 32`"


def admin_key(settings: Settings) -> str:
    """The key, empty if there is none. Raises Unusable for one that can be guessed or not be read."""
    if settings.admin_key and settings.admin_key_file:
        raise Unusable("ALSOBOUGHT_ADMIN_KEY and ALSOBOUGHT_ADMIN_KEY_FILE are both set", "Leave out one of them")
    key, name = settings.admin_key, "ALSOBOUGHT_ADMIN_KEY"
    if settings.admin_key_file:
        name = "ALSOBOUGHT_ADMIN_KEY_FILE"
        try:
            key = Path(settings.admin_key_file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise Unusable(f"{name}: {settings.admin_key_file} cannot be read: {reason}", HOW) from error
        if not key:
            raise Unusable(f"{name}: {settings.admin_key_file} is empty", HOW)
    if key and (len(key) < MIN_LENGTH or not key.isascii() or not key.isprintable() or " " in key):
        raise Unusable(
            f"{name} is not a key: it has to have {MIN_LENGTH} ASCII characters or more, without spaces", HOW
        )
    return key
