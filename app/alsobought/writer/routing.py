"""Which shard gets which rows: the events and attributes of a user go where the account's are, items to every shard.

Pure: the accounts of merged guests come in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TypeVar, cast

from alsobought.events import Event
from alsobought.storage.topology import shard_index
from alsobought.users import User
from alsobought.writer.batching import user_of
from alsobought.writer.submission import Stored, Submission

T = TypeVar("T")


def users_of(submission: Submission) -> list[str]:
    """The user of each row, before merges; empty for items, which belong to nobody."""
    if submission.kind == "event":
        return [user_of(event) for event in cast(Sequence[Event], submission.rows)]
    if submission.kind == "user":
        return [user.user_id for user in cast(Sequence[User], submission.rows)]
    return []


def route(
    submission: Submission, users: Sequence[str], accounts: Mapping[str, str], shards: int
) -> dict[int, Submission]:
    """{index of a shard: its part of a submission}. `users` are those of `users_of`.

    A part waits for what was submitted before the whole on its own shard alone: the caller sets its `after`.
    """
    if submission.kind == "item":
        return {shard: _part(submission, range(len(submission.rows))) for shard in range(shards)}
    chosen: dict[int, list[int]] = {}
    for index, user in enumerate(users):
        chosen.setdefault(shard_index(accounts.get(user, user), shards), []).append(index)
    return {shard: _part(submission, rows) for shard, rows in sorted(chosen.items())}


def _part(whole: Submission, chosen: Sequence[int]) -> Submission:
    rows, offsets, sent_at = whole.rows, whole.offsets, whole.sent_at
    part: Future[Stored] = Future()
    return replace(
        whole,
        rows=[rows[index] for index in chosen],  # type: ignore[arg-type]
        offsets=None if offsets is None else [offsets[index] for index in chosen],
        sent_at=None if sent_at is None else lambda: _chosen(sent_at(), chosen),
        size=whole.size * len(chosen) // len(rows),
        after=None,
        done=part,
    )


def _chosen(values: Sequence[T], chosen: Sequence[int]) -> list[T]:
    return [values[index] for index in chosen]
