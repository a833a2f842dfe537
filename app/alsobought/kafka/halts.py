"""Halts of the stream, as rows of `ingest_halts`: every process can show them, whichever one reads Kafka."""

from __future__ import annotations

from datetime import datetime

import msgspec

from alsobought.storage.warehouse import Warehouse


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
