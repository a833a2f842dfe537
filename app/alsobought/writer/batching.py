"""The batch builder: submissions become the rows of one batch; duplicates and events of forgotten users are dropped.

Pure: what the database knows comes in as `Duplicates` and `Identities`, so everything here is testable without one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

import msgspec

from alsobought.events import REFUND, Event, in_utc
from alsobought.recommendation_ids import RecommendationIds
from alsobought.storage.identities import Identities
from alsobought.writer.duplicates import Duplicates
from alsobought.writer.rows import EventRow, encode_lines
from alsobought.writer.submission import Stored, Submission


@dataclass(frozen=True)
class Batch:
    """One block of `events`: its deduplication token, and its rows, also as JSON lines.

    `accepted_at` is the monotonic time at which the first of them was accepted. `awaited`: somebody waits until answers have them.
    """

    token: str
    lines: bytes
    rows: list[EventRow]
    ingested_at: datetime
    accepted_at: float
    awaited: bool


def batch_token(source: str, partition: int, first: int, last: int, batch: int, epoch: int) -> str:
    """The token by which the database recognizes a batch that is inserted again.

    >>> batch_token("post", 0, 17, 19, 16, 5)
    'post:0:17-19:16:5'
    """
    return f"{source}:{partition}:{first}-{last}:{batch}:{epoch}"


def build_batch(
    submissions: Sequence[Submission],
    *,
    first_seq: int,
    epoch: int,
    now: datetime,
    duplicates: Duplicates,
    identities: Identities,
    recommendations: RecommendationIds,
) -> tuple[Batch | None, list[Stored]]:
    """The batch of submissions of one source, or None if nothing in it is new, and the outcome of each submission.

    Every event takes a seq, from `first_seq` on, stored or not. The number of the batch is `first_seq`.
    """
    rows: list[EventRow] = []
    outcomes = []
    event_ids = set(duplicates.event_ids)
    next_seq = first_seq
    for submission in submissions:
        rows_before, offsets = len(rows), set[int]()
        candidates = _rows(submission, next_seq, first_seq, epoch, now, identities.accounts)
        next_seq += len(submission.rows)
        for row, forgotten in zip(candidates, _forgotten(submission, identities.forgotten, now), strict=False):
            if (row.partition, row.offset) in duplicates.offsets:
                offsets.add(row.offset)
            elif not forgotten and row.event_id not in event_ids:
                offsets.add(row.offset)
                event_ids.add(row.event_id)
                rows.append(row)
        stored = len(rows) - rows_before
        outcomes.append(Stored(stored, len(submission.rows) - stored, now, len(offsets)))
    if not rows:
        return None, outcomes
    for row in rows:
        if row.recommendation_id:
            row.placement, row.recommended_at = recommendations.read(row.recommendation_id, in_utc(row.timestamp))
    first, last = rows[0], rows[-1]
    token = batch_token(first.source, first.partition, first.offset, last.offset, first_seq, epoch)
    accepted_at = min(submission.accepted_at for submission in submissions)
    return Batch(token, encode_lines(rows), rows, now, accepted_at, is_awaited(submissions)), outcomes


def is_awaited(submissions: Sequence[Submission]) -> bool:
    """True if somebody waits for one of these submissions."""
    return any(submission.waiting for submission in submissions)


def user_of(event: Event) -> str:
    """The user_id, or the session_id of a guest."""
    return event.user_id or event.session_id


def _rows(
    submission: Submission, first_seq: int, batch: int, epoch: int, now: datetime, accounts: Mapping[str, str]
) -> list[EventRow]:
    """Positional and inlined: keywords and calls would take twice the time, and half of a batch's time in Python is spent here."""
    events = cast(Sequence[Event], submission.rows)
    source, partition, unset = submission.source, submission.partition, msgspec.UNSET
    seqs = range(first_seq, first_seq + len(events))
    offsets = submission.offsets if submission.offsets is not None else seqs
    return [
        EventRow(
            event.event_id or _position_id(source, partition, offsets, index),
            event.event_type,
            accounts.get(event.user_id or event.session_id) or event.user_id or event.session_id,
            event.item_id,
            now if event.timestamp is unset else event.timestamp,
            source,
            partition,
            offset,
            batch,
            epoch,
            now,
            seq,
            _pieces(event) if event.quantity is unset else event.quantity,
            event.session_id,
            event.category,
            event.order_id,
            event.order_size,
            event.price,
            "" if event.properties is unset else msgspec.json.encode(event.properties).decode(),
            (event.user_id or event.session_id) if accounts and (event.user_id or event.session_id) in accounts else "",
            event.recommendation_id,
            event.position,
        )
        for index, (event, offset, seq) in enumerate(zip(events, offsets, seqs, strict=True))
    ]


def _pieces(event: Event) -> int:
    """The quantity of an event that names none: one piece; 0 for a refund, which is of all there are."""
    return 0 if event.event_type == REFUND else 1


def _forgotten(submission: Submission, forgotten: Mapping[str, datetime], now: datetime) -> Iterable[bool]:
    """For each event, True if its user was forgotten after it happened, or after Kafka had it."""
    if not forgotten:
        return itertools.repeat(False)
    events = cast(Sequence[Event], submission.rows)
    happened_at = (in_utc(now if event.timestamp is msgspec.UNSET else event.timestamp) for event in events)
    exists_since = map(min, happened_at, submission.sent_at()) if submission.sent_at else happened_at
    forgotten_at = (forgotten.get(user_of(event)) for event in events)
    return [end is not None and since <= end for since, end in zip(exists_since, forgotten_at, strict=True)]


def _position_id(source: str, partition: int, offsets: Sequence[int], index: int) -> str:
    """The event_id of an event that has none: its position in the source. Events of one message get a number each.

    >>> [_position_id("kafka:events:x", 3, [7, 8, 8, 8], index) for index in range(3)]
    ['kafka:events:x:3:7', 'kafka:events:x:3:8', 'kafka:events:x:3:8:1']
    """
    offset, first = offsets[index], index
    while first and offsets[first - 1] == offset:
        first -= 1
    part, number = f"{partition}:" if partition else "", f":{index - first}" if index > first else ""
    return f"{source}:{part}{offset}{number}"
