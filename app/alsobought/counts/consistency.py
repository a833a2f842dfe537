"""Consistency check: compare a snapshot of every count table with a recompute from `events`.

The service runs meanwhile. The snapshot is taken between two batches, so that a batch that is only
half counted is never reported as an error.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from alsobought.counts import serving_checks
from alsobought.counts.recompute import SLOTS, Checks, Comparison, Slots
from alsobought.errors import Unusable
from alsobought.storage.count_tables import count_tables, require_tables
from alsobought.storage.serving_tables import serving_tables
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.event_categories import events_without
from alsobought.writer.pending_refunds import CONCERNED
from alsobought.writer.refunds import read_lines, refunded_lines


class Checked(msgspec.Struct):
    """The result. Histories come before the tables that read them.

    `events_without_category`: their items have one. `purchases_not_refunded`: lines that refunds in the sample take back.
    """

    checked_at: datetime
    seconds: float
    sample: float
    tables: list[Comparison]
    events_without_category: int = 0
    purchases_not_refunded: int = 0

    @property
    def wrong(self) -> list[str]:
        return [table.table for table in self.tables if table.wrong]


Progress = Callable[[int, int], None]


def check(
    warehouse: Warehouse,
    do: Callable[..., Any],
    folder: Path,
    slots: Slots = Slots(),  # noqa: B008
    *,
    only: Sequence[str] = (),
    name: str = "check",
    threads: int = 0,
    progress: Progress = lambda _done, _total: None,
) -> Checked:
    """Compares the tables in a snapshot, which the writer takes through `do`.

    Use a connection other than the writer's.

    `progress` is called with the number of steps done and their total, and may raise to stop.
    Raises Unusable for an unknown table, Busy if another check is in progress.
    """
    started_at, start = datetime.now(UTC), time.monotonic()
    counts, serving = count_tables(warehouse), serving_tables(folder.parent.parent, warehouse.database)
    if only:
        require_tables([*counts, *serving], only)
        counts = [table for table in counts if table.name in only]
        serving = [table for table in serving if table.name in only]
    do("apply refunds")
    with _snapshot(warehouse, do, name) as snapshot:
        checks = Checks(warehouse, snapshot["database"], folder, snapshot["horizon"])
        plan = [(table, checks.steps(table, slots)) for table in counts]
        of_serving = [(table, serving_checks.steps(warehouse, table, slots)) for table in serving]
        done = _counter(sum(len(steps) for _, steps in [*plan, *of_serving]), progress)
        comparisons = [checks.compare(table, steps, done, threads) for table, steps in plan]
    again = partial(do, "compare serving rows")
    comparisons += [
        serving_checks.compare(warehouse, table, steps, again=again, done=done) for table, steps in of_serving
    ]
    seconds = round(time.monotonic() - start, 3)
    share = (slots.end - slots.first) / SLOTS
    return Checked(started_at, seconds, share, comparisons, events_without(warehouse), _not_refunded(warehouse, slots))


def _not_refunded(warehouse: Warehouse, slots: Slots) -> int:
    """The lines of users in the sample that refunds take back, and that are purchases all the same."""
    in_sample = slots.condition("user_id")
    sql = f"select distinct user_id from {warehouse.database}.events where {CONCERNED} and {in_sample}"
    users = [user for (user,) in warehouse.trusted_rows(sql).data]
    return len(refunded_lines(read_lines(warehouse, users))) if users else 0


@contextmanager
def _snapshot(warehouse: Warehouse, do: Callable[..., Any], name: str) -> Iterator[dict[str, Any]]:
    snapshot = do("snapshot", name)
    try:
        yield snapshot
    finally:
        warehouse.command(f"drop database if exists {snapshot['database']} sync")


def _counter(total: int, progress: Progress) -> Callable[[], None]:
    steps = iter(range(1, total + 1))
    progress(0, total)
    return lambda: progress(next(steps), total)


def sample_of(text: str) -> Slots:
    """A share such as 1% as slots at a random position.

    >>> slots = sample_of("0.5 %")
    >>> slots.first, slots.end
    (0, 50)

    Raises Unusable for anything else.
    """
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*%", text.strip())
    width = round(float(match[1]) * SLOTS / 100) if match else 0
    if not 0 < width <= SLOTS:
        raise Unusable(
            f"{text!r} is not a valid --sample", "Give a share of the rows, such as 1% or 0.5%; at least 0.01%"
        )
    return Slots(0, width, random.randrange(SLOTS))
