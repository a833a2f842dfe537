"""The rules of a project for what is sent to it: its settings, and its lists in sql/."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from pathlib import Path

from alsobought.events import STANDARD_TYPES, Rules
from alsobought.pipes.attribute_file import listed_attributes_of
from alsobought.pipes.bot_file import bots_of
from alsobought.pipes.placeholder_file import placeholders_of
from alsobought.settings import Settings, extra_event_types


@lru_cache(maxsize=16)
def _home_of(settings: Settings) -> Path:
    """Found once: it takes four looks at the disk, a twentieth of the time of a post."""
    return settings.home_folder


def event_types(settings: Settings) -> frozenset[str]:
    return frozenset(STANDARD_TYPES).union(extra_event_types(settings))


def intake_rules(settings: Settings, now: datetime, user_agent: str = "") -> Rules:
    """The rules at this time. `user_agent` is that of the request which brings the events, if one does."""
    home = _home_of(settings)
    bots = bots_of(home) if settings.drop_bots else None
    return Rules(
        now,
        event_types(settings),
        settings.max_event_bytes,
        placeholders_of(home),
        bots,
        bots.name_of(user_agent) if bots else "",
        listed_attributes_of(home),
    )
