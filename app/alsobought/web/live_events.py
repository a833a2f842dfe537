"""What is arriving, for a page that looks every second: how many events a second, the newest ones, how much waits.

However many look, the warehouse is asked twice a second at most, and for the newest events only when there are others.
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

SECONDS = 60
SHOWN = 30
MEMO_SECONDS = 0.5


class Seen(msgspec.Struct, frozen=True):
    """An event as it arrived. `title` is empty for what the catalogue does not know."""

    seq: str
    at: datetime
    delay: float
    event_type: str
    user_id: str
    item_id: str
    title: str
    source: str


class Kafka(msgspec.Struct, frozen=True):
    """What the monitor saw last; `lag` is None where Kafka does not answer, and then `problem` says why."""

    lag: int | None
    problem: str
    dead_letters: int
    partitions: list[PartitionLag]


class Arriving(msgspec.Struct, frozen=True, kw_only=True):
    """`per_second` are the events of the last 60 seconds, oldest first; `total` all that are kept. `waiting` are rows."""

    now: datetime
    as_of: datetime | None
    total: int
    per_second: list[int]
    waiting: int
    alarms: list[str]
    kafka: Kafka | None
    newest: list[Seen]


class Live:
    """`look()` from any thread."""

    def __init__(self, shop: Service, monitor: Monitor | None) -> None:
        self._shop, self._watch = shop, monitor
        self._lock = threading.Lock()
        self._until = 0.0
        self._batch = -1
        self._newest: list[Seen] = []
        self._found: Arriving | None = None

    def look(self) -> Arriving:
        """Raises WarehouseFault, TooSlow."""
        with self._lock:
            if not self._found or time.monotonic() > self._until:
                self._found = self._ask()
                self._until = time.monotonic() + MEMO_SECONDS
            return self._found

    def _ask(self) -> Arriving:
        shop, now = self._shop, self._shop.clock()
        batch, total, counts = _counted(shop.warehouse, now)
        if batch != self._batch:
            self._newest = _newest(shop.warehouse)
            self._batch = batch
        return Arriving(
            now=now,
            as_of=shop.visibility.as_of,
            total=total,
            per_second=counts,
            waiting=shop.waiting,
            alarms=self._watch.alarms if self._watch else [],
            kafka=self._kafka(),
            newest=self._newest,
        )

    def _kafka(self) -> Kafka | None:
        found = self._watch.status if self._watch else None
        if found is None:
            return None
        return Kafka(found.lag, found.without_kafka, found.dead_letters, found.partitions)


def _counted(warehouse: Warehouse, now: datetime) -> tuple[int, int, list[int]]:
    """The newest batch, all events, and those of each of the last seconds. A batch is numbered by its time in microseconds."""
    end = int(now.timestamp())
    sql = f"""
        select
            (select max(batch) from {warehouse.database}.ingest_batches) as newest,
            (select count() from {warehouse.database}.events) as total,
            groupArray((second, happened)) as counts
        from (
            select toUnixTimestamp(toDateTime(ingested_at)) as second, sum(events) as happened
            from {warehouse.database}.ingest_batches
            where batch > {{first:UInt64}} and second > {{since:UInt32}} and second <= {{until:UInt32}}
            group by second
        )
    """
    since = end - SECONDS
    given = {"first": since * 1_000_000, "since": since, "until": end}
    newest, total, found = warehouse.rows(sql, given).data[0]
    counts = {int(second): int(happened) for second, happened in found}
    return int(newest or 0), int(total), [counts.get(second, 0) for second in range(since + 1, end + 1)]


def _newest(warehouse: Warehouse) -> list[Seen]:
    """The newest events, newest first. The ledger says since when there are enough of them: the events have no order by time."""
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
                    from (select * from {warehouse.database}.ingest_batches order by batch desc limit {SHOWN})
                )
                where newer < {SHOWN}
            )
        order by events.seq desc
        limit {SHOWN}
    """
    return msgspec.convert(warehouse.rows(sql).dicts(), list[Seen])
