"""A count table made again from `events`, beside the one in service, and put in its place at once.

It is filled by the command (`counts.backfill`); the writer begins it and exchanges the tables, between two batches, when all views
have what `events` has. Whatever dies in between, the old table stays in service and the next command goes on.

Users who are forgotten or merged meanwhile are in it as they were: then it begins anew.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

import msgspec

from alsobought.counts.backfill import ADDING, Filling
from alsobought.counts.shadow_table import PART, RATE, Shadows, State, definition
from alsobought.counts.time_buckets import first_after, literal, start_of
from alsobought.errors import AlsoboughtError, Unusable, WarehouseFault
from alsobought.events import MAX_AHEAD
from alsobought.failpoints import reach
from alsobought.settings import Settings
from alsobought.storage import mutation_journal
from alsobought.storage.count_tables import CountTable, count_tables, select_tables
from alsobought.storage.retention import horizon, stored_at
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.writer import Writer

TIMES = 5  # it begins anew, at most
SPARE = timedelta(hours=23)  # so much longer than the margin of retention it may take
FEW = 5_000  # events are left to the writer
MANY = 10_000  # events tell how fast it goes


class Wanted(msgspec.Struct, frozen=True):
    """`since` is the first bucket that is made again, empty for all; `horizon` the first seq; `asked` the --since."""

    table: str
    asked: str = ""
    since: str = ""
    horizon: int = 0


class InTheWay(Exception):
    """What was filled is not what the events say now."""


class Doer(Protocol):
    """A shop, our own or the holder's."""

    @property
    def settings(self) -> Settings: ...
    @property
    def warehouse(self) -> Warehouse: ...
    def do(self, task: str, *arguments: Any) -> Any: ...


Bar = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]


@dataclass(frozen=True)
class Rebuilt:
    """`events` were read; `went_on` is how many of them an earlier run had."""

    events: int
    went_on: int
    seconds: float


# The command


def rebuild(shop: Doer, wanted: Wanted, bar: Bar) -> Rebuilt:
    """Makes one table again. Raises Unusable if something comes in between again and again."""
    shadows = Shadows(shop.warehouse, secrets.token_hex(8))
    began = time.monotonic()
    for _ in range(TIMES):
        state = msgspec.convert(shop.do("begin a rebuild", msgspec.to_builtins(wanted), shadows.claim), State)
        went_on = state.events
        try:
            with bar(wanted.table, state.total) as told:
                told(state.events)
                state = _fill(shop, shadows, state, told)
        except InTheWay:
            continue
        except WarehouseFault:
            if newest_change(shop.warehouse) == state.rewritten:  # else it was taken away by that (`discard`)
                raise
            continue
        read, seconds = state.events - went_on, time.monotonic() - began
        pace = int(read / seconds) if read >= MANY else 0
        if shop.do("end a rebuild", wanted.table, shadows.claim, pace):
            shadows.forget(wanted.table)
            reach("rebuild.dropped")
            shadows.close()
            return Rebuilt(state.events, went_on, time.monotonic() - began)
    raise Unusable(
        f"{wanted.table} is as it was: users were forgotten or merged, or its view changed, {TIMES} times meanwhile",
        "Try again when that is over",
    )


def _fill(shop: Doer, shadows: Shadows, state: State, told: Callable[[int], object]) -> State:
    warehouse, done = shop.warehouse, state.events

    def go_on(state: State) -> None:
        nonlocal done
        _refuse_without_claim(shadows, state.table)
        if newest_change(warehouse) != state.rewritten or _expired(warehouse, shop.settings, state):
            raise InTheWay
        told(state.events - done)
        done = state.events
        shadows.note(state)

    tables = count_tables(warehouse)
    table = _named(tables, state.table)
    if table is None or definition(table) != state.definition:
        raise InTheWay
    filling = Filling(shadows, table, tables, shop.settings.batch_rows, PART)
    try:
        state = filling.fill(state, go_on)
        told(state.events - done)
        done = state.events
        while (waiting := filling.waiting(state)) > FEW:
            state = filling.catch_up(state, go_on)
            if filling.waiting(state) > waiting:  # no faster than what comes: the writer does the rest
                break
        go_on(state)
    finally:
        filling.close()
    return state


def _named(tables: Sequence[CountTable], name: str) -> CountTable | None:
    return next((table for table in tables if table.name == name), None)


def _refuse_without_claim(shadows: Shadows, table: str) -> None:
    if not shadows.has_claim():
        raise Unusable(f"another rebuild was begun, and {table} is left to it", "Run one at a time")


def newest_change(warehouse: Warehouse) -> int:
    """The newest change of whose events are whose, begun or done."""
    sql = f"select max(id) from {warehouse.database}.rewrites where kind in ('forget', 'merge')"
    return int(warehouse.trusted_rows(sql).data[0][0])


def _expired(warehouse: Warehouse, settings: Settings, state: State) -> bool:
    """Whether events that are still to be read may be gone."""
    if state.at.filled:
        return False
    now = horizon(warehouse, settings, datetime.now(UTC))
    return bool(now) and now > state.horizon


# The writer's part


def plan(writer: Writer, names: Sequence[str], asked: str) -> list[dict[str, Any]]:
    """The tables in the order in which they are made, each with what of it can be.

    Raises Unusable for the first of which it cannot.
    """
    tables = select_tables(count_tables(writer.warehouse), names)
    now = writer.clock()
    oldest = horizon(writer.warehouse, writer.settings, now)
    oldest += int(SPARE.total_seconds() * 1_000_000) if oldest else 0
    found = [_wanted(writer.warehouse, table, asked, oldest) for table in tables]
    return [msgspec.to_builtins(wanted) for wanted in found]


def _wanted(warehouse: Warehouse, table: CountTable, asked: str, oldest: int) -> Wanted:
    if asked and not table.bucket:
        raise Unusable(f"{table.name} has no days or months, so that --since means nothing for it", "Rebuild it whole")
    since = start_of(warehouse, table, date.fromisoformat(asked)) if asked else None
    if not oldest:
        return Wanted(table.name, asked, asked)
    if table.bucket and table.engine in ADDING:
        seen = stored_at(oldest) + MAX_AHEAD
        certain = first_after(warehouse, table, seen.date())
        return Wanted(table.name, asked, str(max(since or certain, certain)), oldest)
    if "first_seq" in table.values and table.engine in ADDING:
        return Wanted(table.name, asked, "", oldest)
    raise Unusable(
        f"{table.name} cannot be made again: events expire, and its rows do not say when theirs were stored",
        "What it has stays as it is",
    )


def begin(writer: Writer, given: dict[str, Any], claim: str) -> dict[str, Any]:
    """Where to go on: at what an earlier command left behind if that still holds, else at the beginning."""
    wanted, warehouse = msgspec.convert(given, Wanted), writer.warehouse
    table = _named(count_tables(warehouse), wanted.table)
    if table is None:
        raise Unusable(f"there is no count table called {wanted.table!r} any more")
    shadows = Shadows(warehouse, claim)
    shadows.take()
    state = shadows.newest(wanted.table)
    if not (state and _holds(writer, shadows, state, table, wanted)):
        later = f"{table.bucket} >= {literal(table, wanted.since)}" if wanted.since else ""
        uuid = shadows.make(table, but=later, with_clone=bool(wanted.horizon and not wanted.since))
        reach("rebuild.made")
        sql = f"select max(seq), countIf(seq >= {wanted.horizon:d}) from {warehouse.database}.events"
        until, total = map(int, warehouse.trusted_rows(sql).data[0])
        state = State(
            table=table.name,
            definition=definition(table),
            asked=wanted.asked,
            since=wanted.since,
            horizon=wanted.horizon,
            rewritten=newest_change(warehouse),
            uuid=uuid,
            until=until,
            total=total,
        )
        shadows.note(state)
    reach("rebuild.begun")
    fields: dict[str, Any] = msgspec.to_builtins(state)
    return fields


def _holds(writer: Writer, shadows: Shadows, state: State, table: CountTable, wanted: Wanted) -> bool:
    oldest = horizon(writer.warehouse, writer.settings, writer.clock())
    return (
        state.kept  # before that there is nothing to go on with
        and state.definition == definition(table)
        and state.asked == wanted.asked
        and state.rewritten == newest_change(writer.warehouse)
        and state.uuid == shadows.uuid(shadows.name, table.name)  # not so once they were exchanged
        and bool(state.horizon) == bool(oldest)
        and (state.at.filled or oldest <= state.horizon)
    )


def exchange(writer: Writer, name: str, claim: str, pace: int) -> bool:
    """Takes in what is left and puts the table in its place; False if it must begin anew."""
    warehouse = writer.warehouse
    shadows = Shadows(warehouse, claim)
    _refuse_without_claim(shadows, name)
    tables = count_tables(warehouse)
    table = _named(tables, name)
    state = shadows.newest(name)
    if not state or not state.at.filled or not table or definition(table) != state.definition:
        return False
    if state.rewritten != newest_change(warehouse):
        return False
    rewrite = mutation_journal.begin(warehouse, writer.take_seq(), "rebuild", "", [name], writer.confirm)
    reach("rebuild.journal")
    try:
        _take_in_and_exchange(writer, shadows, table, tables, state)
    except BaseException:
        with suppress(AlsoboughtError):
            mutation_journal.abandon(warehouse, rewrite)
        raise
    mutation_journal.finish(warehouse, rewrite)
    if pace:
        mutation_journal.record_done(warehouse, writer.take_seq(), RATE, {name: pace})
    writer.catalogue.reload()
    writer.on_rewritten()
    return True


def _take_in_and_exchange(
    writer: Writer, shadows: Shadows, table: CountTable, tables: Sequence[CountTable], state: State
) -> None:
    filling = Filling(shadows, table, tables, writer.settings.batch_rows, "rebuild_rest")
    try:
        filling.catch_up(state, shadows.note)
    finally:
        filling.close()
    _refuse_without_claim(shadows, table.name)
    reach("rebuild.whole")
    writer.warehouse.command(f"exchange tables {writer.warehouse.database}.{table.name} and {shadows.of(table.name)}")
    reach("rebuild.exchanged")
