"""Status of ingestion from Kafka: lag, rates, outcomes of messages, dead letters, and alarms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from alsobought.errors import WarehouseFault
from alsobought.kafka import offset_audit
from alsobought.kafka.client import Partition, Topic, describe_topics, offset_bounds
from alsobought.kafka.halts import Halt, current_halt
from alsobought.kafka.offset_ranges import next_offsets, topic_of
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.submission import utc_now

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


class PartitionLag(msgspec.Struct, frozen=True):
    """`end` and `lag` are None without Kafka.

    Lag 0 means that answers contain every event of the partition.
    """

    source: str
    topic: str
    partition: int
    next_offset: int
    end: int | None = None
    lag: int | None = None


class Outcomes(msgspec.Struct, frozen=True):
    """The number of consumed ranges, of their messages, and of the messages by outcome."""

    ranges: int
    messages: int
    stored: int
    duplicates: int
    rejected: int
    skipped: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`lag` is in messages over all partitions; if it is None, `without_kafka` is the reason.

    `halt` is among the alarms.
    """

    partitions: list[PartitionLag]
    lag: int | None
    without_kafka: str
    events_per_second: float
    events_per_batch: float
    last_hour: Outcomes
    ever: Outcomes
    dead_letters: int
    newest_event: datetime | None
    seconds_since: float | None
    alarms: list[str]
    halt: Halt | None = None


def status(warehouse: Warehouse, settings: Settings, clock: Callable[[], datetime] = utc_now) -> Status:
    """The status now.

    The warehouse is read before Kafka, so that messages consumed meanwhile count as lag, not as an
    alarm.
    """
    now = clock()
    resume_offset = next_offsets(warehouse)
    audit_alarms, halt = offset_audit.alarms(warehouse), current_halt(warehouse)
    last_hour, ever = (_outcomes(warehouse, since) for since in (now - HOUR, None))
    per_second, per_batch = _rates(warehouse, now)
    partitions, problem, log_alarms = _without_lag(resume_offset), "ALSOBOUGHT_KAFKA is not set", []
    if settings.kafka:
        try:
            topics = describe_topics(settings, create=False)
            bounds = offset_bounds(
                settings, [(topic.name, number) for topic in topics.values() for number in range(topic.partitions)]
            )
            partitions, problem = _with_lag(topics, bounds, resume_offset), ""
            log_alarms = offset_audit.log_alarms(topics, bounds, resume_offset)
        except WarehouseFault as error:
            problem = str(error)
    newest = _newest_event(warehouse)
    return Status(
        partitions=partitions,
        lag=None if problem else sum(partition.lag or 0 for partition in partitions),
        without_kafka=problem,
        events_per_second=per_second,
        events_per_batch=per_batch,
        last_hour=last_hour,
        ever=ever,
        dead_letters=_count_dead_letters(warehouse),
        newest_event=newest,
        seconds_since=(now - newest).total_seconds() if newest else None,
        alarms=[*([halt.reason] if halt else []), *log_alarms, *audit_alarms],
        halt=halt,
    )


def _without_lag(resume_offset: Mapping[tuple[str, int], int]) -> list[PartitionLag]:
    """Partitions by the warehouse alone: of topics with one name, the topic consumed last."""
    newest = {topic_of(source): source for source, _ in resume_offset}
    return [
        PartitionLag(source, topic_of(source), number, offset)
        for (source, number), offset in sorted(resume_offset.items())
        if newest[topic_of(source)] == source
    ]


def _with_lag(
    topics: Mapping[str, Topic],
    bounds: Mapping[Partition, tuple[int, int]],
    resume_offset: Mapping[tuple[str, int], int],
) -> list[PartitionLag]:
    partitions = []
    for (name, number), (first, end) in sorted(bounds.items()):
        source = topics[name].source
        offset = resume_offset.get((source, number), 0)
        partitions.append(PartitionLag(source, name, number, offset, end, max(0, end - max(offset, first))))
    return partitions


def _outcomes(warehouse: Warehouse, since: datetime | None) -> Outcomes:
    sql = (
        "select count(), sum(messages), sum(stored), sum(repeats) as duplicates, sum(refused) as rejected, sum(skipped)"
        f" from {warehouse.database}.ingest_ranges final"
    )
    parameters: dict[str, Any] = {}
    if since:
        sql += " where noted_at > {since:DateTime64(3, 'UTC')}"
        parameters["since"] = since
    return Outcomes(*map(int, warehouse.trusted_rows(sql, parameters).data[0]))


def _rates(warehouse: Warehouse, now: datetime) -> tuple[float, float]:
    """Events from Kafka per second in the last minute, and per batch in the last hour."""
    sql = f"""
        select sumIf(events, ingested_at > {{minute:DateTime64(3, 'UTC')}}), sum(events), uniqExact(batch)
        from {warehouse.database}.ingest_batches
        where startsWith(source, 'kafka:') and ingested_at > {{hour:DateTime64(3, 'UTC')}}
    """
    parameters = {"minute": now - MINUTE, "hour": now - HOUR}
    last_minute, last_hour, batches = map(int, warehouse.trusted_rows(sql, parameters).data[0])
    return last_minute / MINUTE.total_seconds(), last_hour / batches if batches else 0.0


def _count_dead_letters(warehouse: Warehouse) -> int:
    """Dead letters that were not replayed yet."""
    sql = f"select count() from {warehouse.database}.dead_letters final where replayed_at is null and source != 'http'"
    return int(warehouse.trusted_rows(sql).data[0][0])


def _newest_event(warehouse: Warehouse) -> datetime | None:
    """The time at which the newest event from Kafka was stored, since when answers contain it."""
    sql = (
        f"select max(ingested_at), count() from {warehouse.database}.ingest_batches where startsWith(source, 'kafka:')"
    )
    newest, batches = warehouse.trusted_rows(f"{sql} settings date_time_output_format = 'iso'").data[0]
    return datetime.fromisoformat(newest) if int(batches) else None
