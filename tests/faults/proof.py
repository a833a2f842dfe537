"""The proof after a fault: what Kafka has, read back from it, against what the warehouse made of it, row by row.

What must be stored is worked out here in plain Python, from nothing but the log. `python -m tests.faults.proof LOG DSN DATABASE`
does it in a process of its own: one process holds a folder.
"""

from __future__ import annotations

import json
import sys
import time
from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, TopicPartition

from alsobought.counts.sum_checks import wrong_rows
from alsobought.kafka.client import KafkaAway, Place, bounds, topics
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from alsobought.storage.warehouse import Warehouse
from tests.support.fold import StoredEvent, fold, tables
from tests.support.project import ROOT

TYPES = {"impression", "click", "view", "add_to_cart", "remove_from_cart", "purchase", "like", "dislike"}
FIELDS = {"event_type", "item_id", "event_id", "user_id", "session_id", "category", "order_id"}
NUMBERS = {"order_size", "quantity", "price"}


class KafkaSink(msgspec.Struct, frozen=True):
    """A message as Kafka has it."""

    partition: int
    offset: int
    body: bytes


class Log(msgspec.Struct, frozen=True):
    """All messages of a topic, each partition in the order of its offsets, and where each begins and ends."""

    source: str
    bounds: dict[int, tuple[int, int]]
    messages: list[KafkaSink]
    more_types: tuple[str, ...] = ()


class Found(msgspec.Struct):
    """What is wrong: events that are missing, rows too many, and sentences about everything."""

    lost: int = 0
    doubled: int = 0
    stored: int = 0
    wrong: list[str] = []

    def say(self, text: str, examples: Sequence[Any] | set[Any]) -> None:
        if examples:
            self.wrong.append(f"{text}: {len(examples)}, such as {sorted(examples)[:3]}")


def answered(ask: Callable[[], dict[Place, tuple[int, int]]]) -> dict[Place, tuple[int, int]]:
    """Asked again for a while: a broker that just made a topic, or just came back, may not know yet who leads."""
    until = time.monotonic() + 30
    while True:
        try:
            return ask()
        except KafkaAway:
            if time.monotonic() > until:
                raise
        time.sleep(0.1)


def read_log(settings: Settings) -> Log:
    """Everything that the topic of the events holds now."""
    topic = topics(settings, make=False)[settings.events_topic]
    places = [(topic.name, number) for number in range(topic.partitions)]
    found = answered(lambda: bounds(settings, places))
    limits = {place[1]: limit for place, limit in found.items()}
    missing = {number for number, (first, end) in limits.items() if first < end}
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": "proof", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic.name, number, limits[number][0]) for number in sorted(missing)])
    messages: list[KafkaSink] = []
    try:
        while missing:
            for message in consumer.consume(10_000, 1.0):
                assert not message.error(), message.error()
                number, offset = message.partition() or 0, message.offset() or 0
                if offset < limits[number][1]:
                    messages.append(KafkaSink(number, offset, message.value() or b""))
                if offset == limits[number][1] - 1:
                    missing.remove(number)
    finally:
        consumer.close()
    messages.sort(key=lambda one: (one.partition, one.offset))
    return Log(topic.source, limits, messages)


def _event(log: Log, one: KafkaSink) -> dict[str, Any] | None:
    """The row it must become, but for what only the writer knows; None for a dead letter."""
    try:
        given = json.loads(one.body)
        at = datetime.fromisoformat(given["timestamp"])
    except (ValueError, KeyError, TypeError):
        return None
    numbers = [given.get(name, 0) for name in NUMBERS]
    if (
        given.keys() - FIELDS - NUMBERS - {"timestamp", "properties"}
        or given["event_type"] not in TYPES.union(log.more_types)
        or not (given.get("user_id") or given.get("session_id"))
        or not given.get("item_id")
        or any(not isinstance(number, int | float) or number < 0 for number in numbers)
        or at > datetime.now(UTC) + timedelta(days=1)
    ):
        return None
    own = f"{log.source}:{one.partition}:{one.offset}" if one.partition else f"{log.source}:{one.offset}"
    return {
        **{name: given.get(name, "") for name in FIELDS},
        "event_id": given.get("event_id") or own,
        "user_id": given.get("user_id") or given["session_id"],
        "order_size": given.get("order_size", 0),
        "quantity": given.get("quantity", 1),
        "price": Decimal(str(given.get("price", 0))),
        "timestamp": at,
        "properties": given.get("properties", ""),
    }


def proof(log: Log, warehouse: Warehouse) -> Found:
    """What the warehouse has of this log against what it must have."""
    found = Found()
    rows = list(_rows(warehouse, log.source))
    found.stored = len(rows)
    _compare_events(log, rows, found)
    _compare_order(rows, found)
    _compare_letters(log, warehouse, found)
    _compare_ranges(log, warehouse, found)
    _compare_counts(rows, warehouse, found)
    return found


def _rows(warehouse: Warehouse, source: str) -> Iterator[dict[str, Any]]:
    """Every event of the warehouse by seq; there is no other source in it."""
    sql = (
        f"select *, toString(timestamp) as at, toString(price) as cost from {warehouse.database}.events"
        " order by seq settings max_block_size = 1000"
    )
    for row in warehouse.trusted_rows(sql).dicts():
        assert row["source"] == source, row
        row["timestamp"] = datetime.fromisoformat(row["at"]).replace(tzinfo=UTC)
        row["price"] = Decimal(row["cost"])
        row["properties"] = json.loads(row["properties"]) if row["properties"] else ""
        yield row


def _compare_events(log: Log, rows: list[dict[str, Any]], found: Found) -> None:
    """Each event once. Of messages with one event_id the first of a partition that was stored, whichever partition that was."""
    places: dict[str, dict[int, tuple[int, dict[str, Any]]]] = defaultdict(dict)
    for one in log.messages:
        if event := _event(log, one):
            places[event["event_id"]].setdefault(one.partition, (one.offset, event))
    times = Counter(row["event_id"] for row in rows)
    missing = places.keys() - times.keys()
    found.lost = len(missing)
    found.doubled = sum(times.values()) - len(times)
    found.say("events are missing", missing)
    found.say("events are stored twice", [event_id for event_id, count in times.items() if count > 1])
    found.say("rows are of no message", times.keys() - places.keys())
    other = []
    for row in rows:
        if row["event_id"] in places:
            offset, event = places[row["event_id"]].get(row["partition"], (-1, {}))
            if offset != row["offset"] or any(row[name] != value for name, value in event.items()):
                other.append((row["event_id"], row["partition"], row["offset"], offset))
    found.say("rows are not as their message", other)


def _compare_order(rows: list[dict[str, Any]], found: Found) -> None:
    by_partition: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        by_partition[row["partition"]].append(row["offset"])
    found.say("partitions are stored out of order", [one for one, at in by_partition.items() if at != sorted(at)])
    seqs = Counter(row["seq"] for row in rows)
    found.say("seqs are given twice", [seq for seq, times in seqs.items() if times > 1])


def _compare_letters(log: Log, warehouse: Warehouse, found: Found) -> None:
    sql = f"select partition, offset, encoding, body from {warehouse.database}.dead_letters final"
    letters = {
        (row[0], row[1]): b64decode(row[3]) if row[2] == "base64" else row[3].encode()
        for row in warehouse.trusted_rows(sql).data
    }
    poison = {(one.partition, one.offset): one.body for one in log.messages if _event(log, one) is None}
    found.say("dead letters are missing", poison.keys() - letters.keys())
    found.say("dead letters are of good messages", letters.keys() - poison.keys())
    found.say("dead letters have other bytes", [at for at in poison if letters.get(at, poison[at]) != poison[at]])


def _compare_ranges(log: Log, warehouse: Warehouse, found: Found) -> None:
    """From the beginning of each partition to its end, without a gap, and each with sums that agree."""
    sql = (
        "select partition, first_offset, next_offset, messages, stored + repeats + refused, source"
        f" from {warehouse.database}.ingest_ranges final order by partition, first_offset, next_offset"
    )
    at: dict[int, int] = {}
    gaps = []
    for partition, first, after, messages, told, source in warehouse.trusted_rows(sql).data:
        if source != log.source:
            continue
        if messages != told:
            found.wrong.append(
                f"a range of partition {partition} at {first} has {messages} messages and tells of {told}"
            )
        if first > at.setdefault(partition, log.bounds[partition][0]):
            gaps.append((partition, at[partition], first))
        at[partition] = max(at[partition], after)
    found.say("ingest_ranges have gaps", gaps)
    ends = [(one, at.get(one, 0), end) for one, (first, end) in log.bounds.items() if end > max(at.get(one, 0), first)]
    found.say("partitions are not read to their end", ends)


def _compare_counts(rows: list[dict[str, Any]], warehouse: Warehouse, found: Found) -> None:
    happened = [StoredEvent(**{name: row[name] for name in StoredEvent.__dataclass_fields__}) for row in rows]
    expected, there = fold(happened), tables(warehouse)
    for table, counts in expected.items():
        keys = {str(key) for key in counts.keys() | there[table].keys() if counts.get(key) != there[table].get(key)}
        found.say(f"rows of {table} are not what the events say", keys)
    for table, wrong in wrong_rows(warehouse, ROOT / "sql" / "checks"):
        if wrong:
            found.wrong.append(f"the check of {table} finds {wrong} rows")


def main() -> None:
    log = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Log)
    warehouse = open_warehouse(Settings(dsn=sys.argv[2], database=sys.argv[3]), create=False)
    try:
        sys.stdout.write(msgspec.json.encode(proof(log, warehouse)).decode())
    finally:
        warehouse.close()


if __name__ == "__main__":
    main()
