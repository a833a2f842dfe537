"""The live status on the page: events per second, the newest events, the length of the queue.

However many browsers poll, the warehouse is queried at most twice a second, and for the newest
events only when there is a new batch.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime

import msgspec

from alsobought.kafka.ingest_status import PartitionLag
from alsobought.service.monitor import Monitor
from alsobought.service.service import Service
from alsobought.storage.warehouse import Warehouse

HISTORY_SECONDS = 60
MAX_EVENTS = 30
REUSE_SECONDS = 0.5


class LiveEvent(msgspec.Struct, frozen=True):
    """A stored event.

    `title` is empty for an item that is not in the catalogue; `delay` is in seconds.
    """

    seq: str
    at: datetime
    delay: float
    event_type: str
    user_id: str
    item_id: str
    title: str
    source: str


class KafkaStatus(msgspec.Struct, frozen=True):
    """The monitor's latest result.

    If Kafka is unavailable, `lag` is None and `problem` has the reason.
    """

    lag: int | None
    problem: str
    dead_letters: int
    partitions: list[PartitionLag]


class LiveStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`per_second` counts events, oldest second first; `total` counts all stored events."""

    now: datetime
    as_of: datetime | None
    total: int
    per_second: list[int]
    waiting: int
    alarms: list[str]
    kafka: KafkaStatus | None
    newest: list[LiveEvent]


class LiveEvents:
    """`status()` may be called from any thread."""

    def __init__(self, service: Service, monitor: Monitor | None) -> None:
        self._service, self._monitor = service, monitor
        self._lock = threading.Lock()
        self._reuse_until = 0.0
        self._batch = -1
        self._newest: list[LiveEvent] = []
        self._status: LiveStatus | None = None

    def status(self) -> LiveStatus:
        """Raises WarehouseFault, TooSlow."""
        with self._lock:
            if not self._status or time.monotonic() > self._reuse_until:
                self._status = self._query()
                self._reuse_until = time.monotonic() + REUSE_SECONDS
            return self._status

    def _query(self) -> LiveStatus:
        service, now = self._service, self._service.clock()
        batch, total, counts = _count_events(service.warehouse, now)
        if batch != self._batch:
            self._newest = _newest_events(service.warehouse)
            self._batch = batch
        return LiveStatus(
            now=now,
            as_of=service.visibility.as_of,
            total=total,
            per_second=counts,
            waiting=service.waiting,
            alarms=self._monitor.alarms if self._monitor else [],
            kafka=self._kafka(),
            newest=self._newest,
        )

    def _kafka(self) -> KafkaStatus | None:
        status = self._monitor.status if self._monitor else None
        if status is None:
            return None
        return KafkaStatus(status.lag, status.without_kafka, status.dead_letters, status.partitions)


def _count_events(warehouse: Warehouse, now: datetime) -> tuple[int, int, list[int]]:
    """The newest batch, the number of events, and the events of each of the last seconds.

    The number of a batch is its time in microseconds.
    """
    end = int(now.timestamp())
    sql = f"""
        select
            (select max(batch) from {warehouse.database}.ingest_batches) as newest,
            (select count() from {warehouse.database}.events) as total,
            groupArray((second, batch_events)) as counts
        from (
            select toUnixTimestamp(toDateTime(ingested_at)) as second, sum(events) as batch_events
            from {warehouse.database}.ingest_batches
            where batch > {{first:UInt64}} and second > {{since:UInt32}} and second <= {{until:UInt32}}
            group by second
        )
    """
    since = end - HISTORY_SECONDS
    parameters = {"first": since * 1_000_000, "since": since, "until": end}
    newest, total, seconds = warehouse.rows(sql, parameters).data[0]
    counts = {int(second): int(events) for second, events in seconds}
    return int(newest or 0), int(total), [counts.get(second, 0) for second in range(since + 1, end + 1)]


def _newest_events(warehouse: Warehouse) -> list[LiveEvent]:
    """The newest events, newest first.

    `events` is not ordered by time, so the batches in `ingest_batches` give the time from which
    there are enough events.
    """
    sql = f"""
        select
            toString(seq) as seq,
            ingested_at as at,
            dateDiff('millisecond', timestamp, ingested_at) / 1000 as delay,
            event_type,
            user_id,
            item_id,
            dictGet('catalogue', 'title', cityHash64(item_id)) as title,
            source
        from {warehouse.database}.events
        where
            ingested_at >= (
                select min(arrived)
                from (
                    select ingested_at as arrived, sum(events) over (order by batch desc) - events as newer
                    from (select * from {warehouse.database}.ingest_batches order by batch desc limit {MAX_EVENTS})
                )
                where newer < {MAX_EVENTS}
            )
        order by events.seq desc
        limit {MAX_EVENTS}
    """
    return msgspec.convert(warehouse.rows(sql).dicts(), list[LiveEvent])
