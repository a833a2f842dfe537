"""The proof after a fault: compare the messages in Kafka with the rows in the warehouse, one by one.

The expected rows are computed here in plain Python, from the log alone. `python -m tests.faults.proof
LOG DSN DATABASE` runs the proof in a process of its own, since one process at a time can open a folder.
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
from alsobought.kafka.client import Partition, describe_topics, offset_bounds
from alsobought.kafka.connection import KafkaUnavailable
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from alsobought.storage.warehouse import Warehouse
from tests.support.fold import StoredEvent, fold, tables
from tests.support.project import ROOT

TYPES = {"impression", "click", "view", "add_to_cart", "remove_from_cart", "purchase", "like", "dislike"}
FIELDS = {"event_type", "item_id", "event_id", "user_id", "session_id", "category", "order_id"}
NUMBERS = {"order_size", "quantity", "price"}


class LoggedMessage(msgspec.Struct, frozen=True):
    """A message in Kafka."""

    partition: int
    offset: int
    body: bytes


class TopicLog(msgspec.Struct, frozen=True):
    """All messages of a topic by partition and offset, and the offset bounds of each partition."""

    source: str
    bounds: dict[int, tuple[int, int]]
    messages: list[LoggedMessage]
    extra_types: tuple[str, ...] = ()


class Findings(msgspec.Struct):
    """Events that are missing, rows that are stored twice, and every problem as a sentence."""

    lost: int = 0
    duplicated: int = 0
    stored: int = 0
    problems: list[str] = []

    def report(self, text: str, examples: Sequence[Any] | set[Any]) -> None:
        if examples:
            self.problems.append(f"{text}: {len(examples)}, such as {sorted(examples)[:3]}")


def retried(
    request: Callable[[], dict[Partition, tuple[int, int]]],
) -> dict[Partition, tuple[int, int]]:
    """Retry for a while: for a new topic, or after a restart, a broker may not know the leader yet."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return request()
        except KafkaUnavailable:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def read_log(settings: Settings) -> TopicLog:
    """The present messages of the events topic."""
    topic = describe_topics(settings, create=False)[settings.events_topic]
    partitions = [(topic.name, number) for number in range(topic.partitions)]
    all_bounds = retried(lambda: offset_bounds(settings, partitions))
    bounds = {number: limits for (_, number), limits in all_bounds.items()}
    missing = {number for number, (first, end) in bounds.items() if first < end}
    consumer = Consumer({"bootstrap.servers": settings.kafka, "group.id": "proof", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic.name, number, bounds[number][0]) for number in sorted(missing)])
    messages: list[LoggedMessage] = []
    try:
        while missing:
            for message in consumer.consume(10_000, 1.0):
                assert not message.error(), message.error()
                number, offset = message.partition() or 0, message.offset() or 0
                if offset < bounds[number][1]:
                    messages.append(LoggedMessage(number, offset, message.value() or b""))
                if offset == bounds[number][1] - 1:
                    missing.remove(number)
    finally:
        consumer.close()
    messages.sort(key=lambda message: (message.partition, message.offset))
    return TopicLog(topic.source, bounds, messages)


def _event(log: TopicLog, message: LoggedMessage) -> dict[str, Any] | None:
    """The expected columns of its row, except those that the writer adds; None for a dead letter."""
    try:
        body = json.loads(message.body)
        at = datetime.fromisoformat(body["timestamp"])
    except (ValueError, KeyError, TypeError):
        return None
    numbers = [body.get(name, 0) for name in NUMBERS]
    if (
        body.keys() - FIELDS - NUMBERS - {"timestamp", "properties"}
        or body["event_type"] not in TYPES.union(log.extra_types)
        or not (body.get("user_id") or body.get("session_id"))
        or not body.get("item_id")
        or any(not isinstance(number, int | float) or number < 0 for number in numbers)
        or at > datetime.now(UTC) + timedelta(days=1)
    ):
        return None
    offset = f"{message.partition}:{message.offset}" if message.partition else f"{message.offset}"
    return {
        **{name: body.get(name, "") for name in FIELDS},
        "event_id": body.get("event_id") or f"{log.source}:{offset}",
        "user_id": body.get("user_id") or body["session_id"],
        "order_size": body.get("order_size", 0),
        "quantity": body.get("quantity", 1),
        "price": Decimal(str(body.get("price", 0))),
        "timestamp": at,
        "properties": body.get("properties", ""),
    }


def prove(log: TopicLog, warehouse: Warehouse) -> Findings:
    """Compare the warehouse with the rows that it must have of this log."""
    findings = Findings()
    rows = list(rows_of(warehouse, log.source))
    findings.stored = len(rows)
    compare_events(log, rows, findings)
    compare_order(rows, findings)
    compare_dead_letters(log, warehouse, findings)
    compare_ranges(log, warehouse, findings)
    compare_counts(rows, warehouse, findings)
    return findings


def rows_of(warehouse: Warehouse, source: str) -> Iterator[dict[str, Any]]:
    """Every event by seq. The warehouse has no other source."""
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


def compare_events(log: TopicLog, rows: list[dict[str, Any]], findings: Findings) -> None:
    """Each event once. Of messages with one event_id, the first of any partition may be the stored one."""
    expected: dict[str, dict[int, tuple[int, dict[str, Any]]]] = defaultdict(dict)
    for message in log.messages:
        if event := _event(log, message):
            expected[event["event_id"]].setdefault(message.partition, (message.offset, event))
    counts = Counter(row["event_id"] for row in rows)
    missing = expected.keys() - counts.keys()
    findings.lost = len(missing)
    findings.duplicated = sum(counts.values()) - len(counts)
    findings.report("events are missing", missing)
    findings.report("events are stored twice", [event_id for event_id, count in counts.items() if count > 1])
    findings.report("rows have no message", counts.keys() - expected.keys())
    different = []
    for row in rows:
        if row["event_id"] in expected:
            offset, event = expected[row["event_id"]].get(row["partition"], (-1, {}))
            if offset != row["offset"] or any(row[name] != value for name, value in event.items()):
                different.append((row["event_id"], row["partition"], row["offset"], offset))
    findings.report("rows differ from their message", different)


def compare_order(rows: list[dict[str, Any]], findings: Findings) -> None:
    by_partition: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        by_partition[row["partition"]].append(row["offset"])
    unordered = [number for number, offsets in by_partition.items() if offsets != sorted(offsets)]
    findings.report("partitions are stored out of order", unordered)
    seqs = Counter(row["seq"] for row in rows)
    findings.report("seqs are used twice", [seq for seq, count in seqs.items() if count > 1])


def compare_dead_letters(log: TopicLog, warehouse: Warehouse, findings: Findings) -> None:
    sql = f"select partition, offset, encoding, body from {warehouse.database}.dead_letters final"
    letters = {
        (row[0], row[1]): b64decode(row[3]) if row[2] == "base64" else row[3].encode()
        for row in warehouse.trusted_rows(sql).data
    }
    invalid = {
        (message.partition, message.offset): message.body for message in log.messages if _event(log, message) is None
    }
    findings.report("dead letters are missing", invalid.keys() - letters.keys())
    findings.report("dead letters have a valid message", letters.keys() - invalid.keys())
    findings.report(
        "dead letters have other bytes", [key for key, body in invalid.items() if letters.get(key, body) != body]
    )


def compare_ranges(log: TopicLog, warehouse: Warehouse, findings: Findings) -> None:
    """Ranges cover each partition from its first offset to its end without a gap, and add up."""
    sql = (
        "select partition, first_offset, next_offset, messages, stored + repeats + refused, source"
        f" from {warehouse.database}.ingest_ranges final order by partition, first_offset, next_offset"
    )
    reached: dict[int, int] = {}
    gaps = []
    for partition, first, next_offset, messages, outcomes, source in warehouse.trusted_rows(sql).data:
        if source != log.source:
            continue
        if messages != outcomes:
            findings.problems.append(
                f"a range of partition {partition} at {first} has {messages} messages and {outcomes} outcomes"
            )
        if first > reached.setdefault(partition, log.bounds[partition][0]):
            gaps.append((partition, reached[partition], first))
        reached[partition] = max(reached[partition], next_offset)
    findings.report("ingest_ranges have gaps", gaps)
    unread = [
        (number, reached.get(number, 0), end)
        for number, (first, end) in log.bounds.items()
        if end > max(reached.get(number, 0), first)
    ]
    findings.report("partitions are not consumed to their end", unread)


def compare_counts(rows: list[dict[str, Any]], warehouse: Warehouse, findings: Findings) -> None:
    happened = [StoredEvent(**{name: row[name] for name in StoredEvent.__dataclass_fields__}) for row in rows]
    expected, actual = fold(happened), tables(warehouse)
    for table, counts in expected.items():
        keys = {str(key) for key in counts.keys() | actual[table].keys() if counts.get(key) != actual[table].get(key)}
        findings.report(f"rows of {table} differ from a recompute of the events", keys)
    for table, wrong in wrong_rows(warehouse, ROOT / "sql" / "checks"):
        if wrong:
            findings.problems.append(f"the check of {table} finds {wrong} rows")


def main() -> None:
    log = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=TopicLog)
    warehouse = open_warehouse(Settings(dsn=sys.argv[2], database=sys.argv[3]), create=False)
    try:
        sys.stdout.write(msgspec.json.encode(prove(log, warehouse)).decode())
    finally:
        warehouse.close()


if __name__ == "__main__":
    main()
