"""Rebuild a count table from `events` in a shadow table, which `counts.rebuild_tasks` then puts into service.

The command backfills (`counts.backfill`); the writer begins the rebuild and exchanges the tables
(`counts.rebuild_tasks`). If any process dies in between, the old table stays in service and the
next command continues.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from alsobought.counts.backfill import Backfill
from alsobought.counts.rebuild_tasks import RebuildPlan, newest_rewrite, require_claim, table_named
from alsobought.counts.shadow_table import BACKFILL_DATABASE, RebuildState, ShadowTables, definition
from alsobought.errors import Unusable, WarehouseFault
from alsobought.failpoints import reach
from alsobought.settings import Settings
from alsobought.storage.count_tables import count_tables
from alsobought.storage.retention import horizon
from alsobought.storage.warehouse import Warehouse

MAX_RESTARTS = 5
MAX_WAITING_EVENTS = 5_000  # so many may be left to the writer
MIN_EVENTS_FOR_RATE = 10_000


class OutOfDate(Exception):
    """The shadow table no longer matches the events.

    Users were erased or merged, the view was changed, or events expired.
    """


class ServiceHandle(Protocol):
    """The running service: of this process, or of the one that holds the folder."""

    @property
    def settings(self) -> Settings: ...
    @property
    def warehouse(self) -> Warehouse: ...
    def do(self, task: str, *arguments: Any) -> Any: ...


ProgressBar = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]


@dataclass(frozen=True)
class Rebuilt:
    """`events` were read, `resumed` of them by an earlier run that was interrupted."""

    events: int
    resumed: int
    seconds: float


def rebuild(service: ServiceHandle, plan: RebuildPlan, bar: ProgressBar) -> Rebuilt:
    """Rebuilds one table. Raises Unusable if it must start over again and again."""
    shadows = ShadowTables(service.warehouse, secrets.token_hex(8))
    start = time.monotonic()
    for _ in range(MAX_RESTARTS):
        fields = service.do("begin a rebuild", msgspec.to_builtins(plan), shadows.claim)
        state = msgspec.convert(fields, RebuildState)
        resumed = state.events
        try:
            with bar(plan.table, state.total) as advance:
                advance(state.events)
                state = _backfill(service, shadows, state, advance)
        except OutOfDate:
            continue
        except WarehouseFault:
            if newest_rewrite(service.warehouse) == state.last_rewrite:  # else the rewrite dropped it (`discard_all`)
                raise
            continue
        events, seconds = state.events - resumed, time.monotonic() - start
        rate = int(events / seconds) if events >= MIN_EVENTS_FOR_RATE else 0
        if service.do("end a rebuild", plan.table, shadows.claim, rate):
            shadows.discard(plan.table)
            reach("rebuild.dropped")
            shadows.close()
            return Rebuilt(state.events, resumed, time.monotonic() - start)
    raise Unusable(
        f"{plan.table} is unchanged: users were erased or merged, or its view was changed, {MAX_RESTARTS} times during"
        " the rebuild",
        "Try again later",
    )


def _backfill(
    service: ServiceHandle, shadows: ShadowTables, state: RebuildState, advance: Callable[[int], object]
) -> RebuildState:
    warehouse, reported = service.warehouse, state.events

    def checkpoint(state: RebuildState) -> None:
        nonlocal reported
        require_claim(shadows, state.table)
        if newest_rewrite(warehouse) != state.last_rewrite or _has_expired(warehouse, service.settings, state):
            raise OutOfDate
        advance(state.events - reported)
        reported = state.events
        shadows.checkpoint(state)

    tables = count_tables(warehouse)
    table = table_named(tables, state.table)
    if table is None or definition(table) != state.definition:
        raise OutOfDate
    backfill = Backfill(shadows, table, tables, service.settings.batch_rows, BACKFILL_DATABASE)
    try:
        state = backfill.run(state, checkpoint)
        advance(state.events - reported)
        reported = state.events
        while (waiting := backfill.waiting(state)) > MAX_WAITING_EVENTS:
            state = backfill.catch_up(state, checkpoint)
            if backfill.waiting(state) > waiting:  # events arrive faster than this: the writer does the rest
                break
        checkpoint(state)
    finally:
        backfill.close()
    return state


def _has_expired(warehouse: Warehouse, settings: Settings, state: RebuildState) -> bool:
    """True if events that are still to be read may be gone."""
    if state.position.backfilled:
        return False
    oldest = horizon(warehouse, settings, datetime.now(UTC))
    return bool(oldest) and oldest > state.horizon
