"""Find duplicates: the event_ids and offsets of a batch that are stored already; `writer.batching` drops them."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from alsobought.events import Event
from alsobought.storage.ledger import stored_event_ids, stored_offsets
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.submission import Submission


@dataclass(frozen=True)
class Duplicates:
    """Event_ids that were stored within the deduplication window, and (partition, offset) of the one source, stored ever."""

    event_ids: Set[str] = frozenset()
    offsets: Set[tuple[int, int]] = frozenset()


def find_duplicates(warehouse: Warehouse, submissions: Sequence[Submission], since: datetime) -> Duplicates:
    """The duplicates among submissions of one source; `since` is the start of the deduplication window."""
    event_ids = [
        event.event_id
        for submission in submissions
        for event in cast(Sequence[Event], submission.rows)
        if event.event_id
    ]
    offsets: set[tuple[int, int]] = set()
    for submission in submissions:
        if submission.offsets is not None and submission.may_be_stored:
            first, last = submission.offsets[0], submission.offsets[-1]
            stored = stored_offsets(warehouse, submission.source, submission.partition, first, last)
            offsets.update((submission.partition, offset) for offset in stored)
    return Duplicates(stored_event_ids(warehouse, event_ids, since), offsets)
