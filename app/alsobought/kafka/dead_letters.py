"""Look up dead letters by coordinates, reason and age.

A dead letter has the coordinates of its message, topic/partition/offset: events/3/1042. A topic that
was deleted and created again has the same coordinates once more. The topic's name then means the one
that was consumed last; with the source, kafka:events:<topic ID>/3/1042, coordinates are unambiguous.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from alsobought.errors import Unusable
from alsobought.kafka.decoding import DeadLetter
from alsobought.storage.warehouse import Warehouse

PAGE_LETTERS = 1_000
PAGE_BYTES = 32_000_000
REASON_KIND = (
    r"replaceRegexpAll(replaceRegexpAll(reason, 'is not one of .*', 'is not one of …'), '\\b\\d[\\w:.,+-]*', '…')"
)


class StoredDeadLetter(DeadLetter, frozen=True, kw_only=True):
    """A dead letter read from the warehouse.

    `coordinates` is the shortest form that identifies it, `size` its message in bytes.
    """

    coordinates: str
    size: int


class DeadLetterKey(msgspec.Struct, frozen=True, order=True):
    """The key of a dead letter in its table, and the bytes that its body takes there."""

    source: str
    partition: int
    offset: int
    size: int = 0


@dataclass(frozen=True)
class DeadLetterFilter:
    """Dead letters whose reason contains this text; those that were replayed only if `replayed`."""

    reason: str = ""
    replayed: bool = False

    @property
    def sql(self) -> str:
        conditions = ["true"] if self.replayed else ["replayed_at is null"]
        if self.reason:
            conditions.append("positionCaseInsensitiveUTF8(reason, {reason:String}) > 0")
        return " and ".join(conditions)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"reason": self.reason} if self.reason else {}


def newest_dead_letters(warehouse: Warehouse, matching: DeadLetterFilter, limit: int) -> list[StoredDeadLetter]:
    """The dead letters that were stored last."""
    tail = f"where {matching.sql} order by noted_at desc, source, partition, offset desc limit {limit:d}"
    return _select(warehouse, tail, matching.parameters)


def count_by_reason(warehouse: Warehouse, matching: DeadLetterFilter) -> list[tuple[str, int]]:
    """The number of dead letters by reason, most frequent first.

    Reasons that differ in a number or a list count as one.
    """
    sql = (
        f"select {REASON_KIND} as kind, count() as letters from {warehouse.database}.dead_letters final"
        f" where {matching.sql} group by kind order by letters desc, kind"
    )
    return [(row[0], int(row[1])) for row in warehouse.trusted_rows(sql, matching.parameters).data]


def dead_letter_at(warehouse: Warehouse, coordinates: str) -> StoredDeadLetter:
    """The dead letter at these coordinates.

    Raises Unusable if they are malformed, or there is none.
    """
    match = re.fullmatch(r"(.+)/(\d{1,9})/(\d{1,18})", coordinates)
    if not match:
        raise Unusable(f"{coordinates!r} is not of the form topic/partition/offset", "For example events/3/1042")
    parameters = {"of": match[1], "partition": int(match[2]), "offset": int(match[3])}
    tail = (
        "where (topic = {of:String} or source = {of:String}) and partition = {partition:UInt32}"
        " and offset = {offset:UInt64} order by age, source limit 1"
    )
    letters = _select(warehouse, tail, parameters)
    if not letters:
        raise Unusable(f"there is no dead letter at {coordinates}", "`alsobought dead-letters ls --all` lists them")
    return letters[0]


def find_keys(warehouse: Warehouse, matching: DeadLetterFilter) -> list[DeadLetterKey]:
    """The keys of all matching dead letters, by rising offset within each partition."""
    sql = (
        f"select source, partition, offset, length(body) as size from {warehouse.database}.dead_letters final"
        f" where {matching.sql} order by source, partition, offset"
    )
    return msgspec.convert(warehouse.trusted_rows(sql, matching.parameters).dicts(), list[DeadLetterKey])


def read_pages(
    warehouse: Warehouse, matching: DeadLetterFilter, keys: Sequence[DeadLetterKey]
) -> Iterator[list[StoredDeadLetter]]:
    """The dead letters with these keys, in that order, in pages that fit in memory."""
    while keys:
        size = count = 0
        while count < min(len(keys), PAGE_LETTERS) and (not count or size + keys[count].size <= PAGE_BYTES):
            size, count = size + keys[count].size, count + 1
        first, last = keys[0], keys[count - 1]
        parameters = matching.parameters | {"first": first.source, "last": last.source}
        tail = (
            f"where {matching.sql}"
            f" and (source, partition, offset) >= ({{first:String}}, {first.partition:d}, {first.offset:d})"
            f" and (source, partition, offset) <= ({{last:String}}, {last.partition:d}, {last.offset:d})"
            " order by source, partition, offset"
        )
        yield _select(warehouse, tail, parameters)
        keys = keys[count:]


def _select(warehouse: Warehouse, tail: str, parameters: dict[str, Any]) -> list[StoredDeadLetter]:
    """The dead letters that the tail of a query selects.

    It may use `age`, which is 1 for the topic that was consumed last.
    """
    sources = _sources_by_age(warehouse)
    newest_source = {topic: source for source, topic in reversed(sources)}
    sql = f"""
        select
            source, topic, partition, offset, reason, encoding, body, noted_at, replayed_at,
            if(encoding = 'base64', length(tryBase64Decode(body)), length(body)) as size,
            indexOf(splitByChar('\\0', {{sources:String}}), source) as age
        from {warehouse.database}.dead_letters final
        {tail}
        settings date_time_output_format = 'iso'
    """
    names = {"sources": "\0".join(source for source, _ in sources)}
    rows = warehouse.trusted_rows(sql, parameters | names).dicts()
    for row in rows:
        name = row["topic"] if newest_source.get(row["topic"]) == row["source"] else row["source"]
        row["coordinates"] = f"{name}/{row['partition']}/{row['offset']}"
    return msgspec.convert(rows, list[StoredDeadLetter])


def _sources_by_age(warehouse: Warehouse) -> list[tuple[str, str]]:
    """(source, topic) of all that have dead letters, from the one consumed last to the oldest."""
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
