"""Backfill a shadow table from `events`, with its view's own SELECT, in slices that fit in memory.

First all events up to a seq, in the order of their users: a view never counts across users, so
whole users with empty histories give what the view gave. A user with more events than a slice holds
is split; the view's histories are then given the earlier events. After that the events stored
meanwhile, in whole batches, as the view itself received them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from alsobought.counts.shadow_table import Position, RebuildState, ShadowTables
from alsobought.counts.time_buckets import literal
from alsobought.failpoints import reach
from alsobought.storage.count_tables import CountTable
from alsobought.storage.engine_settings import one_block
from alsobought.storage.scratch_database import Scratch
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse

# With the filter pushed down into the view, it took 4 times as long.
FILTER_LAST = "query_plan_filter_push_down = 0, enable_optimize_predicate_expression = 0"
ADDITIVE_ENGINES = ("SummingMergeTree", "AggregatingMergeTree")  # rows of the same key add up
USER_SLICE_DIVISOR = 5  # an order line makes up to 200 rows of pairs

Checkpoint = Callable[[RebuildState], None]


@dataclass(frozen=True)
class Slice:
    """The events up to a position. `earlier` selects those that the histories must have."""

    target: Position
    condition: str
    earlier: str = ""


class Backfill:
    """`rows` is the number of events of a slice."""

    def __init__(
        self, shadows: ShadowTables, table: CountTable, tables: Sequence[CountTable], rows: int, scratch: str
    ) -> None:
        self._shadows, self._table, self._rows = shadows, table, rows
        self._warehouse: Warehouse = shadows.warehouse
        self._histories = _histories_of(table, tables)
        self._scratch = Scratch(self._warehouse, scratch)
        self._columns = _columns_read(self._warehouse, [table, *self._histories])
        self._scratch.create_events(f"{self._select_events()} limit 0")
        self._scratch.create_histories(self._histories, 0)

    def close(self) -> None:
        self._scratch.drop()

    def run(self, state: RebuildState, checkpoint: Checkpoint) -> RebuildState:
        """Backfills everything up to `state.until`.

        Calls `checkpoint`, which may raise, before each step.
        """
        if not state.carried_over:
            checkpoint(state)
            self._carry_over(state)
            state = msgspec.structs.replace(state, carried_over=True)
            if self._table.engine not in ADDITIVE_ENGINES:
                self._backfill_at_once(state)
                end = Position(seq=state.until, backfilled=True)
                state = msgspec.structs.replace(state, position=end, events=state.total)
            reach("rebuild.carried_over")
        while not state.position.backfilled and (slice_ := self._next_slice(state)):
            state = self._take(state, slice_, checkpoint, self._rows_of_users)
        if state.position.backfilled:
            return state
        return msgspec.structs.replace(state, position=Position(seq=state.until, backfilled=True))

    def catch_up(self, state: RebuildState, checkpoint: Checkpoint) -> RebuildState:
        """Adds the batches stored since, up to the newest one at the time of the call."""
        for last in list(self._batches(state.position.seq)):
            condition = f"seq > {state.position.seq:d} and seq <= {last:d}"
            slice_ = Slice(Position(seq=last, backfilled=True), condition)
            state = self._take(state, slice_, checkpoint, self._rows_of_batches)
        return state

    def waiting(self, state: RebuildState) -> int:
        """The number of events stored since."""
        return self._number(f"select count() from {self._events} where seq > {state.position.seq:d}")

    # One slice

    def _take(
        self,
        state: RebuildState,
        slice_: Slice,
        checkpoint: Checkpoint,
        rows_of: Callable[[RebuildState, Slice], str],
    ) -> RebuildState:
        events = self._number(f"select count() from {self._events} where {slice_.condition}")
        block = self._shadows.block(self._table.name)
        state = msgspec.structs.replace(state, target=slice_.target, target_events=state.events + events, block=block)
        checkpoint(state)
        reach("rebuild.checkpointed")
        settings = one_block() + (f", {FILTER_LAST}" if state.since else "")
        self._shadows.insert(self._table, rows_of(state, slice_), settings)
        reach("rebuild.caught_up" if state.position.backfilled else "rebuild.backfilled")
        return state.completed()

    def _rows_of_batches(self, _: RebuildState, slice_: Slice) -> str:
        """The view over the histories in service.

        They may hold these events already, as they may when the view runs.
        """
        self._scratch.replace_events(f"{self._select_events()} where {slice_.condition}")
        return self._table.over(f"{self._scratch.name}.events", self._warehouse.database)

    def _rows_of_users(self, state: RebuildState, slice_: Slice) -> str:
        table, condition = self._table, slice_.condition
        if state.since:
            since = f"timestamp >= toDateTime64({quoted(f'{state.since} 00:00:00')}, 3, 'UTC')"
            active = f"select user_id from {self._events} where {condition} and {since}"
            condition = f"{condition} and user_id in ({active})"
        self._scratch.replace_events(f"{self._select_events()} where {condition}")
        self._scratch.replace_histories(self._histories, state.horizon)
        if slice_.earlier:
            self._add_to_histories(f"{self._select_events()} where {slice_.earlier}")
        view = self._scratch.view(table)
        if state.since:
            return f"select * from ({view}) where {table.bucket} >= {literal(table, state.since)}"
        if state.horizon:
            keys = ", ".join(table.keys)
            owned = f"where {table.owner} in (select {table.owner} from ({view}))" if table.owner else ""
            return f"select * from ({view}) where ({keys}) not in ({self._keys_carried_over(state, owned)})"
        return view

    def _add_to_histories(self, earlier: str) -> None:
        for history in self._histories:
            rows = history.over(f"({earlier})", self._scratch.name)
            into = f"insert into {self._scratch.name}.{history.name} ({history.columns})"
            self._warehouse.command(f"{into} select {history.columns} from ({rows})")

    # Rows that do not come in slices

    def _carry_over(self, state: RebuildState) -> None:
        """Copies the rows that are not recomputed.

        Those of earlier buckets, or those with events that may have expired.
        """
        if state.since:  # the shadow began as a copy, from which the other rows are being deleted
            self._shadows.wait_for_deletes(self._table.name)
        elif state.horizon:
            keys, clone = ", ".join(self._table.keys), self._shadows.clone(self._table.name)
            self._stream(f"select * from {clone} where ({keys}) in ({self._keys_carried_over(state, '')})")

    def _keys_carried_over(self, state: RebuildState, where: str) -> str:
        keys, clone = ", ".join(self._table.keys), self._shadows.clone(self._table.name)
        return f"select {keys} from {clone} {where} group by {keys} having min(first_seq) < {state.horizon:d}"

    def _backfill_at_once(self, state: RebuildState) -> None:
        """ReplacingMergeTree tables cannot be backfilled in slices."""
        events = f"({self._select_events()} where seq <= {state.until:d})"
        rows = f"select * from ({self._table.over(events, self._scratch.name)})"
        self._stream(
            rows + (f" where {self._table.bucket} >= {literal(self._table, state.since)}" if state.since else "")
        )

    def _stream(self, select: str) -> None:
        """Inserts any number of rows, in blocks of the usual size."""
        self._shadows.insert(
            self._table,
            select,
            "settings insert_deduplicate = 0, max_insert_threads = 1, optimize_aggregation_in_order = 1",
        )

    # The bounds of a slice

    def _next_slice(self, state: RebuildState) -> Slice | None:
        in_range = f"seq >= {state.horizon:d} and seq <= {state.until:d}"
        user, seq = quoted(state.position.user), state.position.seq
        rest = f"user_id = {user} and seq > {seq:d} and {in_range}"
        if self._number(f"select count() from (select 1 from {self._events} where {rest} limit 1)"):
            return self._slice_of_user(state, rest, f"user_id = {user} and seq <= {seq:d} and seq >= {state.horizon:d}")
        behind = f"user_id > {user} and {in_range}"
        first = self._texts(f"select user_id from {self._events} where {behind} order by user_id, seq limit 1")
        if not first:
            return None
        sql = f"select user_id from {self._events} where {behind} order by user_id, seq limit 1 offset {self._rows:d}"
        beyond = self._texts(sql)
        if beyond == first:
            return self._slice_of_user(state, f"user_id = {quoted(first[0])} and {in_range}", "")
        before = f" and user_id < {quoted(beyond[0])}" if beyond else ""
        last = self._texts(f"select max(user_id) from {self._events} where {behind}{before}")[0]
        return Slice(Position(last, state.until), f"{behind} and user_id <= {quoted(last)}")

    def _slice_of_user(self, state: RebuildState, condition: str, earlier: str) -> Slice:
        """A part of one user's events.

        It is smaller than others: all of it may be one order, with many pairs a line.
        """
        rows = max(1, self._rows // USER_SLICE_DIVISOR)
        sql = f"select seq from {self._events} where {condition} order by user_id, seq limit 1 offset {rows - 1:d}"
        bound = self._warehouse.trusted_rows(sql).data
        last = int(bound[0][0]) if bound else state.until
        name = self._texts(f"select any(user_id) from {self._events} where {condition}")[0]
        return Slice(Position(name, last), f"{condition} and seq <= {last:d}", earlier)

    def _batches(self, after: int) -> Iterator[int]:
        """The last seq of each slice of whole batches: a row of a batch is made of all of it."""
        sql = f"select max(seq), count() from {self._events} where seq > {after:d} group by batch order by batch"
        rows = last = 0
        for newest, count in self._warehouse.trusted_rows(sql).data:
            if rows and rows + int(count) > self._rows:
                yield last
                rows = 0
            rows, last = rows + int(count), int(newest)
        if rows:
            yield last

    @property
    def _events(self) -> str:
        return f"{self._warehouse.database}.events"

    def _select_events(self) -> str:
        return f"select {', '.join(self._columns)} from {self._events}"

    def _number(self, sql: str) -> int:
        return int(self._warehouse.trusted_rows(sql).data[0][0])

    def _texts(self, sql: str) -> list[str]:
        return [str(row[0]) for row in self._warehouse.trusted_rows(sql).data]


def _histories_of(table: CountTable, tables: Sequence[CountTable]) -> list[CountTable]:
    """The histories that a view reads, also through others, in the order of dependencies."""
    names = set(table.reads)
    for other in reversed(tables):
        if other.name in names:
            names |= other.reads
    return [other for other in tables if other.name in names]


def _columns_read(warehouse: Warehouse, tables: Sequence[CountTable]) -> list[str]:
    """The columns of `events` that these views may read: those whose name occurs in their text."""
    sql = "select name from system.columns where database = {database:String} and table = 'events' order by position"
    names = [str(row[0]) for row in warehouse.trusted_rows(sql, {"database": warehouse.database}).data]
    words = set(re.findall(r"\w+|\*", " ".join(table.select for table in tables)))
    return [name for name in names if name in words or name == "seq"]
