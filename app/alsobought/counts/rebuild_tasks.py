"""The writer's part of a rebuild, between two batches: plan it, begin it, exchange the tables.

After an erasure or a merge of users the shadow table is out of date, and the rebuild starts over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

import msgspec

from alsobought.counts.backfill import ADDITIVE_ENGINES, Backfill
from alsobought.counts.shadow_table import RATE_KIND, RebuildState, ShadowTables, definition
from alsobought.counts.time_buckets import first_after, literal, start_of
from alsobought.errors import AlsoboughtError, Unusable, WarehouseFault
from alsobought.events import MAX_AHEAD
from alsobought.failpoints import reach
from alsobought.storage import mutation_journal
from alsobought.storage.count_tables import CountTable, count_tables, select_tables
from alsobought.storage.replicated_tables import put_into_service, serving_rows
from alsobought.storage.retention import horizon, stored_at
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.writer import Writer

EXPIRY_MARGIN = timedelta(hours=23)  # a rebuild may take this much longer than the margin of retention
MAX_HOLD_SECONDS = 900  # so long refunds wait for a rebuild, which they would set back to its start
CATCH_UP_DATABASE = "rebuild_rest"  # scratch database of the writer


class RebuildPlan(msgspec.Struct, frozen=True):
    """What part of a table is rebuilt: from bucket `since`, empty for all, and from seq `horizon`.

    `since_option` is the --since of the command.
    """

    table: str
    since_option: str = ""
    since: str = ""
    horizon: int = 0


def plan(writer: Writer, names: Sequence[str], since_option: str) -> list[dict[str, Any]]:
    """A plan for each table, in the order in which they are to be rebuilt.

    Raises Unusable for the first table that cannot be rebuilt.
    """
    tables = select_tables(count_tables(writer.warehouse), names)
    oldest = horizon(writer.warehouse, writer.settings, writer.clock())
    oldest += int(EXPIRY_MARGIN.total_seconds() * 1_000_000) if oldest else 0
    plans = [_plan(writer.warehouse, table, since_option, oldest) for table in tables]
    return [msgspec.to_builtins(plan) for plan in plans]


def _plan(warehouse: Warehouse, table: CountTable, since_option: str, oldest: int) -> RebuildPlan:
    if since_option and not table.bucket:
        raise Unusable(f"{table.name} has no days or months, so --since does not apply to it", "Rebuild it whole")
    since = start_of(warehouse, table, date.fromisoformat(since_option)) if since_option else None
    if not oldest:
        return RebuildPlan(table.name, since_option, since_option)
    if table.bucket and table.engine in ADDITIVE_ENGINES:
        latest = stored_at(oldest) + MAX_AHEAD
        complete = first_after(warehouse, table, latest.date())
        return RebuildPlan(table.name, since_option, str(max(since or complete, complete)), oldest)
    if "first_seq" in table.values and table.engine in ADDITIVE_ENGINES:
        return RebuildPlan(table.name, since_option, "", oldest)
    raise Unusable(
        f"{table.name} cannot be rebuilt: events expire, and its rows do not record when their events were stored",
        "Its rows stay as they are",
    )


def begin(writer: Writer, fields: dict[str, Any], claim: str) -> dict[str, Any]:
    """The state to continue from: that of an earlier command if it is still valid, or a new one."""
    wanted, warehouse = msgspec.convert(fields, RebuildPlan), writer.warehouse
    writer.corrections.refunds.hold(MAX_HOLD_SECONDS)
    table = table_named(count_tables(warehouse), wanted.table)
    if table is None:
        raise Unusable(f"the count table {wanted.table!r} was dropped")
    shadows = ShadowTables(warehouse, claim)
    shadows.take_claim()
    state = shadows.newest_state(wanted.table)
    if not (state and _is_valid(writer, shadows, state, table, wanted)):
        later = f"{table.bucket} >= {literal(table, wanted.since)}" if wanted.since else ""
        uuid = shadows.create(table, but=later, with_clone=bool(wanted.horizon and not wanted.since))
        reach("rebuild.created")
        sql = f"select max(seq), countIf(seq >= {wanted.horizon:d}) from {warehouse.database}.events"
        until, total = map(int, warehouse.trusted_rows(sql).data[0])
        state = RebuildState(
            table=table.name,
            definition=definition(table),
            since_option=wanted.since_option,
            since=wanted.since,
            horizon=wanted.horizon,
            last_rewrite=newest_rewrite(warehouse),
            uuid=uuid,
            until=until,
            total=total,
        )
        shadows.checkpoint(state)
    reach("rebuild.begun")
    state_fields: dict[str, Any] = msgspec.to_builtins(state)
    return state_fields


def _is_valid(
    writer: Writer, shadows: ShadowTables, state: RebuildState, table: CountTable, wanted: RebuildPlan
) -> bool:
    oldest = horizon(writer.warehouse, writer.settings, writer.clock())
    return (
        state.carried_over  # before that there is nothing worth continuing
        and state.definition == definition(table)
        and state.since_option == wanted.since_option
        and state.last_rewrite == newest_rewrite(writer.warehouse)
        and state.uuid == shadows.uuid(shadows.name, table.name)  # another one after the exchange
        and bool(state.horizon) == bool(oldest)
        and (state.position.backfilled or oldest <= state.horizon)
    )


def exchange(writer: Writer, name: str, claim: str, rate: int) -> bool:
    """Catches up and puts the shadow table into service; False if the rebuild must start over.

    `rate`, in events a second, is kept for estimates; 0 for none.
    """
    warehouse = writer.warehouse
    shadows = ShadowTables(warehouse, claim)
    require_claim(shadows, name)
    tables = count_tables(warehouse)
    table = table_named(tables, name)
    state = shadows.newest_state(name)
    if not state or not state.position.backfilled or not table or definition(table) != state.definition:
        return False
    if state.last_rewrite != newest_rewrite(warehouse):
        return False
    rewrite = mutation_journal.begin(warehouse, writer.take_seq(), "rebuild", "", [name], writer.confirm)
    reach("rebuild.journal")
    try:
        serving = writer.serving.forget_positions([name])
        _catch_up_and_exchange(writer, shadows, table, tables, state)
    except BaseException:
        with suppress(AlsoboughtError):
            mutation_journal.abandon(warehouse, rewrite)
        raise
    mutation_journal.finish(warehouse, rewrite)
    if rate:
        mutation_journal.record_done(warehouse, writer.take_seq(), RATE_KIND, {name: rate})
    writer.corrections.refunds.hold(0)
    writer.catalogue.reload()
    writer.serving.make_again(serving)
    writer.on_rewritten()
    return True


def make_serving_tables(writer: Writer, names: Sequence[str]) -> None:
    """Makes all rows of these serving tables again, now or when the writer is idle. One that cannot be read is emptied first."""
    for name in names:
        try:
            writer.warehouse.trusted_rows(f"select count() from {writer.warehouse.database}.{name} where not ignore(*)")
        except WarehouseFault:
            writer.warehouse.command(
                f"truncate table {writer.warehouse.database}.{serving_rows(writer.warehouse, name)}"
            )
    writer.serving.make_again(writer.serving.forget_positions(names))
    writer.on_rewritten()


def refresh_serving_tables(writer: Writer, seconds: float) -> int:
    """Makes rows of serving tables that are left, for about so long; returns the number of steps that are left then.

    On a server, until none are left: there each task takes the lease again, which notes again all rows of a table that is not
    complete, so that a large table would never be.
    """
    writer.serving.refresh(math.inf if writer.warehouse.shared else seconds)
    writer.catalogue.refresh_demand()
    return writer.serving.pending


def _catch_up_and_exchange(
    writer: Writer, shadows: ShadowTables, table: CountTable, tables: Sequence[CountTable], state: RebuildState
) -> None:
    backfill = Backfill(shadows, table, tables, writer.settings.batch_rows, CATCH_UP_DATABASE)
    try:
        backfill.catch_up(state, shadows.checkpoint)
    finally:
        backfill.close()
    require_claim(shadows, table.name)
    reach("rebuild.complete")
    put_into_service(writer.warehouse, table.name, shadows.of(table.name))
    reach("rebuild.exchanged")


def table_named(tables: Sequence[CountTable], name: str) -> CountTable | None:
    return next((table for table in tables if table.name == name), None)


def require_claim(shadows: ShadowTables, table: str) -> None:
    """Raises Unusable if another command has the claim."""
    if not shadows.has_claim():
        raise Unusable(f"another rebuild has started and took over {table}", "Run one at a time")


def newest_rewrite(warehouse: Warehouse) -> int:
    """The id of the newest change of stored events, in progress or done, by anything but a rebuild."""
    kinds = "('forget', 'merge', 'unmerge', 'refund', 'categories', 'adopt', 'leave')"
    sql = f"select max(id) from {warehouse.database}.rewrites where kind in {kinds}"
    return int(warehouse.trusted_rows(sql).data[0][0])
