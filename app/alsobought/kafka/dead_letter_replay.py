"""Replay dead letters: decode them by the present rules and store what can be decoded now.

Their rows are stored at the offsets of the original messages, which the writer stores once, so a
replay can be interrupted anywhere and run again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from alsobought.events import Rules
from alsobought.failpoints import reach
from alsobought.kafka.dead_letters import StoredDeadLetter
from alsobought.kafka.decoding import DeadLetter, decode_events, decode_items, decode_users
from alsobought.kafka.schema_registry import json_reader
from alsobought.settings import Settings
from alsobought.storage.sql_text import select_list
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.submission import Intake, Kind, SentRows, Submission, submit_when_there_is_room


@dataclass(frozen=True)
class _State:
    """A table that has the newest row of each key, and the decoder of a message."""

    table: str
    key: str
    decode: Callable[[bytes, Rules], SentRows | str]


_STATES: Mapping[Kind, _State] = {
    "item": _State("items", "item_id", decode_items),
    "user": _State("users", "user_id", decode_users),
}


@dataclass
class ReplayReport:
    """Dead letters `replayed` or `rejected` again; their rows `stored`, `duplicates`, `superseded`.

    Superseded are items and users of which a newer version is stored.
    """

    replayed: int = 0
    stored: int = 0
    duplicates: int = 0
    superseded: int = 0
    rejected: int = 0

    def add(self, other: ReplayReport) -> None:
        self.replayed += other.replayed
        self.stored += other.stored
        self.duplicates += other.duplicates
        self.superseded += other.superseded
        self.rejected += other.rejected


@dataclass
class DecodedPartition:
    """Dead letters of a partition that can be decoded now, their rows, and the rows' offsets."""

    letters: list[StoredDeadLetter] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)


def decode_again(
    letters: Iterable[StoredDeadLetter], rules: Rules, settings: Settings
) -> tuple[list[DecodedPartition], list[tuple[StoredDeadLetter, str]]]:
    """What these rules can decode, per partition by rising offset; and the others, with reasons.

    Raises RegistryUnavailable if one needs a schema and the registry does not answer.
    """
    to_json = json_reader(settings, patient=False)
    decoded: dict[tuple[str, int], DecodedPartition] = defaultdict(DecodedPartition)
    rejected = []
    for letter in sorted(letters, key=lambda letter: (letter.source, letter.partition, letter.offset)):
        rows = _rows(to_json(letter.message), _kind(letter, settings), rules)
        if isinstance(rows, str):
            rejected.append((letter, rows))
        else:
            partition = decoded[letter.source, letter.partition]
            partition.letters.append(letter)
            partition.rows += rows
            partition.offsets += [letter.offset] * len(rows)
    return list(decoded.values()), rejected


def _rows(body: bytes | str, kind: Kind, rules: Rules) -> SentRows | str:
    """The rows of a message, or the reason why it has none. One that is skipped by now has no rows."""
    if isinstance(body, str):
        return body
    if state := _STATES.get(kind):
        return state.decode(body, rules)
    message = decode_events(body, rules)
    return message if isinstance(message, str) else message.events


def replay(
    intake: Intake,
    letters: Sequence[StoredDeadLetter],
    rules: Rules,
    on_rejected: Callable[[StoredDeadLetter, str], object],
) -> ReplayReport:
    """Store what can be decoded now, then mark it as replayed; call `on_rejected` for the others.

    After a crash between the two, the next replay counts the stored rows as duplicates. Raises
    NotStored if the warehouse fails; no letter of that partition is marked then.
    """
    decoded, rejected = decode_again(letters, rules, intake.settings)
    for letter, reason in rejected:
        on_rejected(letter, reason)
    report = ReplayReport(rejected=len(rejected))
    for partition in decoded:
        state = _STATES.get(_kind(partition.letters[0], intake.settings))
        current = list(zip(partition.rows, partition.letters, strict=True)) if state else []
        if state:
            superseded = _superseded(intake.warehouse, state, partition)
            current = [(row, letter) for row, letter in current if getattr(row, state.key) not in superseded]
        rows = [row for row, _ in current] if state else partition.rows
        submission = Submission(
            rows,
            partition.letters[0].source,
            None if state else partition.offsets,
            partition=partition.letters[0].partition,
            sent_at=partial(_noted_at, current) if state else None,
        )
        stored = submit_when_there_is_room(intake, submission).result() if rows else None
        reach("replay.stored")
        _mark_replayed(intake.warehouse, partition.letters, rules.now)
        report.replayed += len(partition.letters)
        report.superseded += len(partition.rows) - len(rows)
        if stored:
            report.stored += stored.rows
            report.duplicates += stored.duplicates
    return report


def _kind(letter: StoredDeadLetter, settings: Settings) -> Kind:
    kinds: dict[str, Kind] = {settings.items_topic: "item", settings.users_topic: "user"}
    return kinds.get(letter.topic, "event")


def _noted_at(current: Sequence[tuple[Any, StoredDeadLetter]]) -> list[datetime]:
    return [letter.noted_at for _, letter in current]


def _superseded(warehouse: Warehouse, state: _State, partition: DecodedPartition) -> set[str]:
    """The ids that have a version stored after the dead letter: the newer version stays."""
    noted_at = {
        getattr(row, state.key): letter.noted_at for letter, row in zip(partition.letters, partition.rows, strict=True)
    }
    sql = (
        f"select {state.key}, max(updated_at) as stored_at from {warehouse.database}.{state.table}"
        f" where {state.key} in ({select_list('ids')}) group by {state.key} settings date_time_output_format = 'iso'"
    )
    rows = warehouse.trusted_rows(sql, {"ids": "\0".join(noted_at)}).data
    return {key for key, stored_at in rows if datetime.fromisoformat(stored_at) >= noted_at[key]}


def _mark_replayed(warehouse: Warehouse, letters: Sequence[StoredDeadLetter], now: datetime) -> None:
    """Insert the same rows with a newer version: the table keeps the newest per key."""
    marked = [
        DeadLetter(
            letter.source,
            letter.topic,
            letter.partition,
            letter.offset,
            letter.reason,
            letter.encoding,
            letter.body,
            noted_at=max(now, letter.noted_at + timedelta(milliseconds=1)),
            replayed_at=now,
        )
        for letter in letters
    ]
    warehouse.insert("dead_letters", msgspec.json.Encoder().encode_lines(marked))
