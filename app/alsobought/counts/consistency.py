"""`alsobought check` and the sample of a running service: freeze the tables, then compare each with a recompute from `events`.

The tables are compared as they were between two batches, in clones, while the shop goes on: a wrong row is no false alarm.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from alsobought.counts.recompute import SLOTS, Checks, Comparison, Slots
from alsobought.errors import Unusable
from alsobought.storage.count_tables import count_tables, select_tables
from alsobought.storage.warehouse import Warehouse


class Checked(msgspec.Struct):
    """The tables in the order in which they are made: histories before those that read them."""

    checked_at: datetime
    seconds: float
    sample: float
    tables: list[Comparison]

    @property
    def wrong(self) -> list[str]:
        return [table.table for table in self.tables if table.wrong]


Told = Callable[[int, int], None]


def check(
    warehouse: Warehouse,
    do: Callable[..., Any],
    folder: Path,
    slots: Slots = Slots(),  # noqa: B008
    *,
    only: Sequence[str] = (),
    name: str = "check",
    threads: int = 0,
    told: Told = lambda _done, _of: None,
) -> Checked:
    """Compares the tables in a frozen copy. `do` has the writer freeze; the warehouse is not the writer's if that is storing.

    `told` hears how many steps are done, of how many, and may raise to stop.
    Raises Unusable for a table that is none, Busy if another check is under way.
    """
    began, started = datetime.now(UTC), time.monotonic()
    tables = count_tables(warehouse)
    tables = select_tables(tables, only) if only else tables
    with _frozen(warehouse, do, name) as frozen:
        checks = Checks(warehouse, frozen["database"], folder, frozen["horizon"])
        plan = [(table, checks.steps(table, slots)) for table in tables]
        done = _counter(sum(len(steps) for _, steps in plan), told)
        found = [checks.compare(table, steps, done, threads) for table, steps in plan]
    return Checked(began, round(time.monotonic() - started, 3), (slots.end - slots.first) / SLOTS, found)


@contextmanager
def _frozen(warehouse: Warehouse, do: Callable[..., Any], name: str) -> Iterator[dict[str, Any]]:
    frozen = do("freeze", name)
    try:
        yield frozen
    finally:
        warehouse.command(f"drop database if exists {frozen['database']} sync")


def _counter(total: int, told: Told) -> Callable[[], None]:
    steps = iter(range(1, total + 1))
    told(0, total)
    return lambda: told(next(steps), total)


def sample_of(text: str) -> Slots:
    """A share such as 1% as slots somewhere, elsewhere each time.

    >>> slots = sample_of("0.5 %")
    >>> slots.first, slots.end
    (0, 50)

    Raises Unusable if that is no share.
    """
    found = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*%", text.strip())
    wide = round(float(found[1]) * SLOTS / 100) if found else 0
    if not 0 < wide <= SLOTS:
        raise Unusable(f"{text!r} is no sample", "Give a share of the rows, such as 1% or 0.5%; at least 0.01%")
    return Slots(0, wide, random.randrange(SLOTS))
