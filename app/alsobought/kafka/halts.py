"""Halts of the stream, as rows of `ingest_halts`: every process can show them, whichever one reads Kafka."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from alsobought.storage.warehouse import Warehouse

log = logging.getLogger(__name__)


class Halt(msgspec.Struct, frozen=True, kw_only=True):
    """The stream is halted since `halted_at`; `hint` is what ends it. The row with the latest `noted_at` counts."""

    halted_at: datetime
    reason: str
    hint: str
    noted_at: datetime
    ended_at: datetime | None = None


def current_halt(warehouse: Warehouse) -> Halt | None:
    """The halt that has not ended."""
    sql = (
        f"select halted_at, reason, hint, noted_at, ended_at from {warehouse.database}.ingest_halts final"
        " order by halted_at desc limit 1 settings date_time_output_format = 'iso'"
    )
    rows = warehouse.trusted_rows(sql).dicts()
    halt = msgspec.convert(rows[0], Halt) if rows else None
    return halt if halt and not halt.ended_at else None


class HaltRecorder:
    """Records when a halt begins, with its first error, and when it ends. `insert` stores a row."""

    def __init__(self, warehouse: Warehouse, clock: Callable[[], datetime], insert: Callable[[Halt], object]) -> None:
        self._warehouse, self._clock, self._insert = warehouse, clock, insert
        self._halt: Halt | None = None

    def look_up(self) -> None:
        """Another process may have begun or ended a halt."""
        self._halt = current_halt(self._warehouse)

    def begin(self, reason: str, hint: str) -> None:
        """Does not raise: the stream is halted all the same, and the next attempt records it."""
        if self._halt:
            return
        now = self._clock()
        halt = Halt(halted_at=now, reason=reason, hint=hint, noted_at=now)
        try:
            self._insert(halt)
        except Exception as error:
            log.warning("the halt could not be recorded: %s", error)
        else:
            self._halt = halt

    def end(self) -> None:
        if halt := self._halt:
            now = max(self._clock(), halt.noted_at + timedelta(milliseconds=1))
            self._insert(msgspec.structs.replace(halt, ended_at=now, noted_at=now))
            self._halt = None
            log.info("Kafka ingestion goes on after a halt")
