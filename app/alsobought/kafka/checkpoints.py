"""How far reading from Kafka is, and whether anything was left out.

What was read stands in `ingest_ranges`. Nothing was left out if every range of a partition begins where those before it
ended, or earlier after a crash, and if each of its messages was stored, known, or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from rich.table import Table

from alsobought.console import ago, escaped, out
from alsobought.errors import WarehouseFault
from alsobought.kafka.client import Place, Topic, bounds, topics
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.submission import utc_now

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ALARMS = 20  # of each kind

Logs = Mapping[Place, tuple[int, int]]
"""Of each place where Kafka's log begins and ends."""
Reached = Mapping[tuple[str, int], int]
"""Of each source and partition the offset at which reading goes on."""


class Part(msgspec.Struct, frozen=True):
    """A partition. `end` and `lag` are not known without Kafka; lag 0 means that answers show everything."""

    source: str
    topic: str
    partition: int
    read_to: int
    end: int | None = None
    lag: int | None = None


class Gap(msgspec.Struct, frozen=True):
    """Offsets from `first_offset` to before `next_offset` that nobody read, between others that were."""

    source: str
    partition: int
    first_offset: int
    next_offset: int

    def __str__(self) -> str:
        told = f"{self.next_offset - self.first_offset:,} offsets from {self.first_offset} on were left out"
        return f"{_place(self.source, self.partition)}: {told}"


class Range(msgspec.Struct, frozen=True):
    """A row of `ingest_ranges`: what became of the messages from `first_offset` to before `next_offset`."""

    source: str
    partition: int
    first_offset: int
    next_offset: int
    messages: int
    stored: int
    repeats: int
    refused: int
    noted_at: datetime | None = None

    def and_then(self, other: Range) -> Range:
        """Both as one: the other begins where this ends."""
        return msgspec.structs.replace(
            other,
            first_offset=self.first_offset,
            messages=self.messages + other.messages,
            stored=self.stored + other.stored,
            repeats=self.repeats + other.repeats,
            refused=self.refused + other.refused,
        )

    def __str__(self) -> str:
        """What is wrong with one that does not add up."""
        told = f"{self.stored:,} stored, {self.repeats:,} known and {self.refused:,} refused are not {self.messages:,} messages"
        if self.messages > self.next_offset - self.first_offset:
            told = f"{self.messages:,} messages are more than there are offsets"
        return f"{_place(self.source, self.partition)}, offsets {self.first_offset} to {self.next_offset}: {told}"


class Sums(msgspec.Struct, frozen=True):
    """Ranges that were read, and what became of their messages."""

    ranges: int
    messages: int
    stored: int
    repeats: int
    refused: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`without_kafka` says why the ends of the log are not known; `lag` is in messages, of all partitions."""

    partitions: list[Part]
    lag: int | None
    without_kafka: str
    events_per_second: float
    events_per_batch: float
    last_hour: Sums
    ever: Sums
    dead_letters: int
    newest_event: datetime | None
    seconds_since: float | None
    alarms: list[str]


def status(warehouse: Warehouse, settings: Settings, clock: Callable[[], datetime] = utc_now) -> Status:
    """How reading stands. The warehouse is asked before Kafka: what is read meanwhile counts as waiting, never as too much."""
    now = clock()
    reached = read_so_far(warehouse)
    gapped, unequal = gaps(warehouse), disagreements(warehouse)
    last_hour, ever = (_sums(warehouse, since) for since in (now - HOUR, None))
    per_second, per_batch = _pace(warehouse, now)
    parts, why, alarms = _newest(reached), "ALSOBOUGHT_KAFKA is not set", []
    if settings.kafka:
        try:
            known = topics(settings, make=False)
            places = [(topic.name, number) for topic in known.values() for number in range(topic.partitions)]
            logs = bounds(settings, places)
            parts, alarms, why = _compared(known, logs, reached), _strange(known, logs, reached), ""
        except (WarehouseFault, TimeoutError) as fault:
            why = str(fault) or f"Kafka at {settings.kafka} does not answer in time"
    newest = _newest_event(warehouse)
    return Status(
        partitions=parts,
        lag=None if why else sum(part.lag or 0 for part in parts),
        without_kafka=why,
        events_per_second=per_second,
        events_per_batch=per_batch,
        last_hour=last_hour,
        ever=ever,
        dead_letters=_dead_letters(warehouse),
        newest_event=newest,
        seconds_since=(now - newest).total_seconds() if newest else None,
        alarms=[*alarms, *_listed(gapped, "gaps"), *_listed(unequal, "ranges do not add up")],
    )


def gaps(warehouse: Warehouse) -> list[Gap]:
    """The offsets between ranges that nobody read; before the first range there may be some that Kafka had forgotten."""
    sql = f"""
        select source, partition, read_to as first_offset, begins as next_offset
        from (
            select
                source, partition, first_offset as begins,
                row_number() over (partition by source, `partition` order by first_offset, next_offset) as nth,
                max(next_offset) over (
                    partition by source, `partition` order by first_offset, next_offset
                    rows between unbounded preceding and 1 preceding
                ) as read_to
            from {warehouse.database}.ingest_ranges final
        )
        where nth > 1 and begins > read_to
        order by source, partition, begins
    """
    return msgspec.convert(warehouse.trusted_rows(sql).dicts(), list[Gap])


def disagreements(warehouse: Warehouse) -> list[Range]:
    """The ranges whose messages are not the sum of what became of them, or more than fit in."""
    sql = (
        "select source, partition, first_offset, next_offset, messages, stored, repeats, refused"
        f" from {warehouse.database}.ingest_ranges final"
        " where messages != stored + repeats + refused or first_offset + messages > next_offset"
        " order by source, partition, first_offset, next_offset"
    )
    return msgspec.convert(warehouse.trusted_rows(sql).dicts(), list[Range])


def read_so_far(warehouse: Warehouse) -> dict[tuple[str, int], int]:
    """{(source, partition): the next offset}, as `ledger.next_offset` returns it for one; the newest source last."""
    sql = f"""
        select source, partition, max(next_offset) as read_to
        from {warehouse.database}.ingest_ranges
        group by source, partition
        order by max(max(noted_at)) over (partition by source), source, partition
    """
    return {(row[0], int(row[1])): int(row[2]) for row in warehouse.trusted_rows(sql).data}


def _newest(reached: Reached) -> list[Part]:
    """What is known without Kafka: of each topic the incarnation that was read last."""
    newest = {_topic(source): source for source, _ in reached}
    return [
        Part(source, _topic(source), partition, read_to)
        for (source, partition), read_to in sorted(reached.items())
        if newest[_topic(source)] == source
    ]


def _compared(known: Mapping[str, Topic], logs: Logs, reached: Reached) -> list[Part]:
    parts = []
    for (name, partition), (first, end) in sorted(logs.items()):
        source = known[name].source
        read_to = reached.get((source, partition), 0)
        parts.append(Part(source, name, partition, read_to, end, max(0, end - max(read_to, first))))
    return parts


def _strange(known: Mapping[str, Topic], logs: Logs, reached: Reached) -> list[str]:
    """Where Kafka and the warehouse cannot both be right."""
    alarms = []
    for (name, partition), (first, end) in sorted(logs.items()):
        read_to = reached.get((known[name].source, partition), 0)
        if 0 < read_to < first:
            lost = f"{first - read_to:,} offsets from {read_to} on left Kafka before they were read"
            alarms.append(f"{name}/{partition}: {lost}")
        if read_to > end:
            alarms.append(f"{name}/{partition}: Kafka's log ends at {end}, before {read_to}, where reading is")
    return alarms


def _sums(warehouse: Warehouse, since: datetime | None) -> Sums:
    sql = (
        "select count() as ranges, sum(messages), sum(stored), sum(repeats), sum(refused)"
        f" from {warehouse.database}.ingest_ranges final"
    )
    given: dict[str, Any] = {}
    if since:
        sql += " where noted_at > {since:DateTime64(3, 'UTC')}"
        given["since"] = since
    return Sums(*map(int, warehouse.trusted_rows(sql, given).data[0]))


def _pace(warehouse: Warehouse, now: datetime) -> tuple[float, float]:
    """Events of Kafka a second in the last minute, and in a batch in the last hour."""
    sql = f"""
        select sumIf(events, ingested_at > {{minute:DateTime64(3, 'UTC')}}), sum(events), uniqExact(batch)
        from {warehouse.database}.ingest_batches
        where startsWith(source, 'kafka:') and ingested_at > {{hour:DateTime64(3, 'UTC')}}
    """
    given = {"minute": now - MINUTE, "hour": now - HOUR}
    last_minute, last_hour, batches = map(int, warehouse.trusted_rows(sql, given).data[0])
    return last_minute / MINUTE.total_seconds(), last_hour / batches if batches else 0.0


def _dead_letters(warehouse: Warehouse) -> int:
    """Those that wait for a replay."""
    sql = f"select count() from {warehouse.database}.dead_letters final where replayed_at is null"
    return int(warehouse.trusted_rows(sql).data[0][0])


def _newest_event(warehouse: Warehouse) -> datetime | None:
    """When the newest event of Kafka was stored; from then on answers show it."""
    sql = (
        f"select max(ingested_at), count() from {warehouse.database}.ingest_batches where startsWith(source, 'kafka:')"
    )
    newest, batches = warehouse.trusted_rows(f"{sql} settings date_time_output_format = 'iso'").data[0]
    return datetime.fromisoformat(newest) if int(batches) else None


def _listed(found: Sequence[Gap] | Sequence[Range], what: str) -> list[str]:
    more = [f"and {len(found) - ALARMS:,} more {what}"] if len(found) > ALARMS else []
    return [*map(str, found[:ALARMS]), *more]


def _topic(source: str) -> str:
    """The topic of a source.

    >>> _topic("kafka:events:x7Yk")
    'events'
    """
    return source.split(":")[1]


def _place(source: str, partition: int) -> str:
    return f"{_topic(source)}/{partition}"


def show(found: Status) -> None:
    """The status for people; what is wrong comes last."""
    table = Table("partition", box=None, header_style="bold")
    for name in ("read to", "end", "lag"):
        table.add_column(name, justify="right")
    for part in found.partitions:
        known = [f"{number:,}" if number is not None else "?" for number in (part.read_to, part.end, part.lag)]
        table.add_row(f"{part.topic}/{part.partition}", *known)
    if found.partitions:
        out.print(table)
    if found.lag is None:
        out.print(f"[yellow]{escaped(found.without_kafka)}[/]: how much waits there is not known", soft_wrap=True)
    else:
        out.print(f"{found.lag:,} messages wait in Kafka" if found.lag else "Everything that is in Kafka is visible")
    hour, ever = found.last_hour, found.ever
    if not ever.ranges:
        out.print("Nothing was read yet")
    else:
        pace = f"{found.events_per_second:,.1f} events/s in the last minute"
        out.print(f"{pace}, {found.events_per_batch:,.0f} a batch in the last hour", soft_wrap=True)
        for when, sums in (("in the last hour", hour), ("ever", ever)):
            told = f"{sums.messages:,} messages: {sums.stored:,} stored, {sums.repeats:,} known already"
            out.print(f"{told}, {sums.refused:,} refused {when}", soft_wrap=True)
    if found.seconds_since is not None:
        out.print(f"The newest event was stored {ago(found.seconds_since)}")
    if found.dead_letters:
        out.print(f"{found.dead_letters:,} dead letters: `alsobought dead-letters ls`", soft_wrap=True)
    for alarm in found.alarms:
        out.print(f"[red]fault[/] {escaped(alarm)}", soft_wrap=True)
    if ever.ranges and not found.alarms:
        out.print("[green]ok[/] nothing was left out")
