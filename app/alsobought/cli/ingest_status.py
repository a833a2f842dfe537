"""`alsobought ingest --status`: print the status of ingestion for people or as JSON."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.table import Table

from alsobought.console import ago, escaped, out
from alsobought.kafka.ingest_status import Status


def print_status(status: Status) -> None:
    """Alarms come last, with what ends a halt."""
    _print_lag(status)
    _print_messages(status)
    if status.seconds_since is not None:
        out.print(f"The newest event was stored {ago(status.seconds_since)}")
    if status.dead_letters:
        out.print(f"{status.dead_letters:,} dead letters: `alsobought dead-letters ls`", soft_wrap=True)
    for alarm in status.alarms:
        out.print(f"[red]fault[/] {escaped(alarm)}", soft_wrap=True)
    if status.halt:
        since = f"{status.halt.halted_at:%Y-%m-%d %H:%M:%S} UTC"
        out.print(f"Reading is halted since {since}. {escaped(status.halt.hint)}", soft_wrap=True)
    if status.ever.ranges and not status.alarms:
        out.print("[green]ok[/] no offsets were missed")


def _print_lag(status: Status) -> None:
    table = Table("partition", box=None, header_style="bold")
    for name in ("next offset", "end", "lag"):
        table.add_column(name, justify="right")
    for partition in status.partitions:
        numbers = (partition.next_offset, partition.end, partition.lag)
        cells = [f"{number:,}" if number is not None else "?" for number in numbers]
        table.add_row(f"{partition.topic}/{partition.partition}", *cells)
    if status.partitions:
        out.print(table)
    if status.lag is None:
        out.print(f"[yellow]{escaped(status.without_kafka)}[/], so the lag is unknown", soft_wrap=True)
    elif status.lag:
        out.print(f"{status.lag:,} messages wait in Kafka")
    else:
        out.print("No messages wait in Kafka")


def _print_messages(status: Status) -> None:
    if not status.ever.ranges:
        out.print("No messages were read yet")
        return
    rate = f"{status.events_per_second:,.1f} events/s in the last minute"
    out.print(f"{rate}, {status.events_per_batch:,.0f} per batch in the last hour", soft_wrap=True)
    for period, outcomes in (("last hour", status.last_hour), ("total", status.ever)):
        out.print(
            f"{period}: {outcomes.messages:,} messages, {outcomes.stored:,} stored,"
            f" {outcomes.duplicates:,} duplicates, {outcomes.rejected:,} rejected, {outcomes.skipped:,} skipped",
            soft_wrap=True,
        )


def status_json(status: Status) -> dict[str, Any]:
    """The status as JSON values, also with the deprecated `read_to`, `repeats` and `refused`."""
    values: dict[str, Any] = msgspec.to_builtins(status)
    for partition in values["partitions"]:
        partition["read_to"] = partition["next_offset"]
    for outcomes in (values["last_hour"], values["ever"]):
        outcomes["repeats"], outcomes["refused"] = outcomes["duplicates"], outcomes["rejected"]
    return values
