"""Dead letters, looked at and read again.

A letter is known by its place, events/3/1042: topic, partition, offset. A topic that was deleted and made again has the same
places once more: a short place means the newest of them, kafka:events:<incarnation>/3/1042 one for certain. What is replayed
is stored at its own place in Kafka, which the writer stores once, so that a replay may break off anywhere and be run again.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from alsobought.errors import Unusable
from alsobought.events import Event, Item, Rules
from alsobought.failpoints import reach
from alsobought.kafka.decoding import DeadLetter, events_of_message, items_of_message
from alsobought.storage.sql_text import select_list
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.submission import Intake, Submission, submit_when_there_is_room

PAGE_LETTERS = 1_000
PAGE_BYTES = 32_000_000
KIND = r"replaceRegexpAll(replaceRegexpAll(reason, 'is not one of .*', 'is not one of …'), '\\b\\d[\\w:.,+-]*', '…')"


class Letter(DeadLetter, frozen=True, kw_only=True):
    """A dead letter as it is read back: `place` is the shortest name that means it."""

    place: str
    size: int


class Place(msgspec.Struct, frozen=True, order=True):
    """Where a letter stands in the table, and how many bytes its body takes there."""

    source: str
    partition: int
    offset: int
    size: int = 0


@dataclass(frozen=True)
class Which:
    """The letters that are meant: with this text in their reason, and whether those that were replayed count as well."""

    reason: str = ""
    replayed: bool = False

    @property
    def sql(self) -> str:
        conditions = ["true"] if self.replayed else ["replayed_at is null"]
        if self.reason:
            conditions.append("positionCaseInsensitiveUTF8(reason, {reason:String}) > 0")
        return " and ".join(conditions)

    @property
    def given(self) -> dict[str, Any]:
        return {"reason": self.reason} if self.reason else {}


# Looking


def newest(warehouse: Warehouse, which: Which, limit: int) -> list[Letter]:
    """The letters that were noted last."""
    tail = f"where {which.sql} order by noted_at desc, source, partition, offset desc limit {limit:d}"
    return _letters(warehouse, tail, which.given)


def kinds(warehouse: Warehouse, which: Which) -> list[tuple[str, int]]:
    """How often each reason is given, the most frequent first; reasons that differ in a number or a list are one."""
    sql = (
        f"select {KIND} as kind, count() as letters from {warehouse.database}.dead_letters final where {which.sql}"
        " group by kind order by letters desc, kind"
    )
    return [(row[0], int(row[1])) for row in warehouse.trusted_rows(sql, which.given).data]


def letter_at(warehouse: Warehouse, place: str) -> Letter:
    """The letter at a place, short or whole. Raises Unusable if it is no place, or there is none."""
    found = re.fullmatch(r"(.+)/(\d{1,9})/(\d{1,18})", place)
    if not found:
        raise Unusable(f"{place!r} is not a place", "Write topic/partition/offset, for example events/3/1042")
    given = {"of": found[1], "partition": int(found[2]), "offset": int(found[3])}
    tail = (
        "where (topic = {of:String} or source = {of:String}) and partition = {partition:UInt32}"
        " and offset = {offset:UInt64} order by age, source limit 1"
    )
    letters = _letters(warehouse, tail, given)
    if not letters:
        raise Unusable(f"there is no dead letter at {place}", "`alsobought dead-letters ls --all` shows where they are")
    return letters[0]


def _letters(warehouse: Warehouse, tail: str, given: dict[str, Any]) -> list[Letter]:
    """What the tail of a query selects. `age` counts from 1 for the incarnation that was read last."""
    sources = _incarnations(warehouse)
    newest_of = {topic: source for source, topic in reversed(sources)}
    sql = f"""
        select
            source, topic, partition, offset, reason, encoding, body, noted_at, replayed_at,
            if(encoding = 'base64', length(tryBase64Decode(body)), length(body)) as size,
            indexOf(splitByChar('\\0', {{sources:String}}), source) as age
        from {warehouse.database}.dead_letters final
        {tail}
        settings date_time_output_format = 'iso'
    """
    rows = warehouse.trusted_rows(sql, given | {"sources": "\0".join(source for source, _ in sources)}).dicts()
    for row in rows:
        of = row["topic"] if newest_of.get(row["topic"]) == row["source"] else row["source"]
        row["place"] = f"{of}/{row['partition']}/{row['offset']}"
    return msgspec.convert(rows, list[Letter])


def _incarnations(warehouse: Warehouse) -> list[tuple[str, str]]:
    """The sources that have letters, each with its topic, from the one that was read last to the oldest."""
    sql = f"""
        select source, letters.of_topic
        from (
            select source, any(topic) as of_topic, max(noted_at) as letter_at from {warehouse.database}.dead_letters
            group by source
        ) as letters
        left join (
            select source, max(noted_at) as read_at from {warehouse.database}.ingest_ranges group by source
        ) as ranges using source
        order by read_at desc, letter_at desc, source
    """
    return [(source, topic) for source, topic in warehouse.trusted_rows(sql).data]


# Replaying


@dataclass
class Replayed:
    """What became of the letters that were read again; `overtaken` are items of which a newer one is stored."""

    taken: int = 0
    stored: int = 0
    repeats: int = 0
    overtaken: int = 0
    refused: int = 0


@dataclass
class Mended:
    """The letters of one partition that can be read now, and what is in them."""

    letters: list[Letter] = field(default_factory=list)
    rows: list[Any] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)


def places(warehouse: Warehouse, which: Which) -> list[Place]:
    """Where the letters are that are meant, by rising offset within each partition."""
    sql = (
        f"select source, partition, offset, length(body) as size from {warehouse.database}.dead_letters final"
        f" where {which.sql} order by source, partition, offset"
    )
    return msgspec.convert(warehouse.trusted_rows(sql, which.given).dicts(), list[Place])


def pages(warehouse: Warehouse, which: Which, wanted: Sequence[Place]) -> Iterator[list[Letter]]:
    """The letters at these places, in that order, as many at a time as memory holds with ease."""
    while wanted:
        size = count = 0
        while count < min(len(wanted), PAGE_LETTERS) and (not count or size + wanted[count].size <= PAGE_BYTES):
            size, count = size + wanted[count].size, count + 1
        first, last = wanted[0], wanted[count - 1]
        given = which.given | {"first": first.source, "last": last.source}
        tail = (
            f"where {which.sql} and (source, partition, offset) >= ({{first:String}}, {first.partition:d}, {first.offset:d})"
            f" and (source, partition, offset) <= ({{last:String}}, {last.partition:d}, {last.offset:d})"
            " order by source, partition, offset"
        )
        yield _letters(warehouse, tail, given)
        wanted = wanted[count:]


def read_again(
    letters: Iterable[Letter], rules: Rules, items_topic: str
) -> tuple[list[Mended], list[tuple[Letter, str]]]:
    """What can be read by these rules, for each partition by rising offset, and what cannot, with the reason of today."""
    good: dict[tuple[str, int], Mended] = defaultdict(Mended)
    bad = []
    for letter in sorted(letters, key=lambda one: (one.source, one.partition, one.offset)):
        found: Sequence[Event] | Sequence[Item] | str
        if letter.topic == items_topic:
            found = items_of_message(letter.message, rules.max_bytes)
        else:
            found = events_of_message(letter.message, rules)
        if isinstance(found, str):
            bad.append((letter, found))
        else:
            mended = good[letter.source, letter.partition]
            mended.letters.append(letter)
            mended.rows += found
            mended.offsets += [letter.offset] * len(found)
    return list(good.values()), bad


def replay(intake: Intake, letters: Sequence[Letter], rules: Rules, tell: Callable[[Letter, str], object]) -> Replayed:
    """Stores what can be read now, then marks it; `tell` hears of what still cannot.

    A crash between the two leaves letters that are stored and not marked: the next replay finds them known.
    Raises NotStored if the warehouse refuses; nothing of a partition that was refused is marked.
    """
    items_topic = intake.settings.items_topic
    good, bad = read_again(letters, rules, items_topic)
    for letter, reason in bad:
        tell(letter, reason)
    done = Replayed(refused=len(bad))
    for mended in good:
        items = mended.letters[0].topic == items_topic
        overtaken = _overtaken(intake.warehouse, mended) if items else set()
        rows = [row for row in mended.rows if not items or row.item_id not in overtaken]
        submission = Submission(
            rows,
            mended.letters[0].source,
            None if items else mended.offsets,
            partition=mended.letters[0].partition,
        )
        stored = submit_when_there_is_room(intake, submission).result() if rows else None
        reach("letters.stored")
        _mark(intake.warehouse, mended.letters, rules.now)
        done.taken += len(mended.letters)
        done.overtaken += len(mended.rows) - len(rows)
        if stored:
            done.stored += stored.rows
            done.repeats += stored.duplicates
    return done


def _overtaken(warehouse: Warehouse, mended: Mended) -> set[str]:
    """The item_ids of which something was stored after the letter was noted: the newest stays."""
    noted = {item.item_id: letter.noted_at for letter, item in zip(mended.letters, mended.rows, strict=True)}
    sql = (
        f"select item_id, max(updated_at) as stored_at from {warehouse.database}.items"
        f" where item_id in ({select_list('ids')}) group by item_id settings date_time_output_format = 'iso'"
    )
    found = warehouse.trusted_rows(sql, {"ids": "\0".join(noted)}).data
    return {item for item, stored_at in found if datetime.fromisoformat(stored_at) >= noted[item]}


def _mark(warehouse: Warehouse, letters: Sequence[Letter], now: datetime) -> None:
    """The same rows, newer: the table keeps the newest of each place."""
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
