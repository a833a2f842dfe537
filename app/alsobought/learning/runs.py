"""The table `learned`: one row per learning run, with its options, row counts and quality."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from alsobought.learning.protocol import LearningResult, Value
from alsobought.storage.sql_text import time_text
from alsobought.storage.warehouse import Warehouse, every_node


class LearningRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `until` is the seq of the newest event that it read."""

    name: str
    learned_at: datetime
    events: int
    until: int
    seconds: float
    rows: dict[str, int]
    options: dict[str, Any]
    quality: dict[str, float]
    line: str


def record_run(
    warehouse: Warehouse,
    name: str,
    options: Mapping[str, Value],
    result: LearningResult,
    learned_at: datetime,
    seconds: float,
) -> LearningRun:
    """Stores a run; on a cluster, on every node."""
    run = LearningRun(
        name=name,
        learned_at=learned_at,
        events=result.events,
        until=result.until,
        seconds=round(seconds, 3),
        rows=result.rows,
        options=dict(options),
        quality={measure: round(value, 6) for measure, value in result.quality.items()},
        line=result.line,
    )
    texts = {field: msgspec.json.encode(getattr(run, field)).decode() for field in ("rows", "options", "quality")}
    row = msgspec.to_builtins(run) | texts | {"learned_at": time_text(learned_at)}
    for node in every_node(warehouse):
        node.insert("learned", msgspec.json.encode(row) + b"\n")
    return run


def latest_runs(warehouse: Warehouse) -> dict[str, LearningRun]:
    """The newest run by name."""
    return {run.name: run for run in _runs(warehouse, "limit 1 by name")}


def newest_runs(warehouse: Warehouse, most: int) -> list[LearningRun]:
    """The newest first."""
    return _runs(warehouse, f"limit {most:d}")


def _runs(warehouse: Warehouse, limit: str) -> list[LearningRun]:
    sql = f"""
        select name, toString(learned_at), events, until, seconds, rows, options, quality, line
        from {warehouse.database}.learned
        order by learned_at desc
        {limit}
    """
    return [_read(row) for row in warehouse.trusted_rows(sql).data]


def _read(row: list[object]) -> LearningRun:
    name, learned_at, events, until, seconds, rows, options, quality, line = row
    return msgspec.convert(
        {
            "name": name,
            "learned_at": datetime.fromisoformat(str(learned_at)).replace(tzinfo=UTC),
            "events": events,
            "until": until,
            "seconds": seconds,
            "rows": msgspec.json.decode(str(rows)),
            "options": msgspec.json.decode(str(options)),
            "quality": msgspec.json.decode(str(quality)),
            "line": line,
        },
        LearningRun,
    )
