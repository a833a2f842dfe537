"""The rules of a project for what is sent to it, from its settings and its lists in sql/."""

from __future__ import annotations

from datetime import datetime

from alsobought.events import STANDARD_TYPES, Rules
from alsobought.pipes.attribute_file import listed_attributes_of
from alsobought.pipes.placeholder_file import placeholders_of
from alsobought.settings import Settings, extra_event_types


def rules_of(settings: Settings, now: datetime) -> Rules:
    """The rules as they are now."""
    home = settings.home_folder
    return Rules(
        now,
        frozenset(STANDARD_TYPES).union(extra_event_types(settings)),
        settings.max_event_bytes,
        placeholders_of(home),
        listed_attributes_of(home),
    )
