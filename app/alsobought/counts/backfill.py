"""Events into a table that is being made again, by its view's own SELECT and in pieces that memory holds.

First all events up to a seq, in the order of their users: what a view counts never reaches across users, so that whole users,
with nothing known from before, give what the view gave. A user of more events than a piece holds comes in pieces, with what
the view's histories know of the earlier ones. Then what was stored meanwhile, in whole batches, as the view itself got it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from alsobought.counts.shadow_table import Place, Shadows, State
from alsobought.counts.time_buckets import literal
from alsobought.failpoints import reach
from alsobought.storage.count_tables import CountTable
from alsobought.storage.engine_settings import one_block
from alsobought.storage.scratch_database import Scratch
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse

# Inside a view it took 4 times as long.
FILTER_LAST = "query_plan_filter_push_down = 0, enable_optimize_predicate_expression = 0"
ADDING = ("SummingMergeTree", "AggregatingMergeTree")  # rows of the same key add up


@dataclass(frozen=True)
class Piece:
    """Events from behind one place up to another: `condition` says which, `earlier` those that the histories have to know."""

    to: Place
    condition: str
    earlier: str = ""


class Filling:
    """`rows` is how many events are taken at once."""

    def __init__(
        self, shadows: Shadows, table: CountTable, tables: Sequence[CountTable], rows: int, scratch: str
    ) -> None:
        self._shadows, self._table, self._rows = shadows, table, rows
        self._warehouse: Warehouse = shadows.warehouse
        self._histories = _read_by(table, tables)
        self._scratch = Scratch(self._warehouse, scratch)
        self._columns = _columns_read(self._warehouse, [table, *self._histories])
        self._scratch.create_events(f"{self._of_events()} limit 0")
        self._scratch.create_histories(self._histories, 0)

    def close(self) -> None:
        self._scratch.drop()

    def fill(self, state: State, go_on: Callable[[State], None]) -> State:
        """Everything up to `state.until`. `go_on` is told of each step before it, and may raise."""
        if not state.kept:
            go_on(state)
            self._keep(state)
            state = msgspec.structs.replace(state, kept=True)
            if self._table.engine not in ADDING:
                self._make_at_once(state)
                filled = Place(seq=state.until, filled=True)
                state = msgspec.structs.replace(state, at=filled, events=state.total)
            reach("rebuild.kept")
        while not state.at.filled and (piece := self._next_piece(state)):
            state = self._take(state, piece, go_on, self._rows_of_users)
        return state if state.at.filled else msgspec.structs.replace(state, at=Place(seq=state.until, filled=True))

    def catch_up(self, state: State, go_on: Callable[[State], None]) -> State:
        """What was stored since, as far as it is known when this begins."""
        for last in list(self._batches(state.at.seq)):
            condition = f"seq > {state.at.seq:d} and seq <= {last:d}"
            piece = Piece(Place(seq=last, filled=True), condition)
            state = self._take(state, piece, go_on, self._rows_of_batches)
        return state

    def waiting(self, state: State) -> int:
        """Events that were stored since."""
        return self._number(f"select count() from {self._events} where seq > {state.at.seq:d}")

    # One piece

    def _take(
        self, state: State, piece: Piece, go_on: Callable[[State], None], rows_of: Callable[[State, Piece], str]
    ) -> State:
        events = self._number(f"select count() from {self._events} where {piece.condition}")
        block = self._shadows.block(self._table.name)
        state = msgspec.structs.replace(state, to=piece.to, to_events=state.events + events, block=block)
        go_on(state)
        reach("rebuild.noted")
        settings = one_block() + (f", {FILTER_LAST}" if state.since else "")
        self._shadows.insert(self._table, rows_of(state, piece), settings)
        reach("rebuild.caught_up" if state.at.filled else "rebuild.filled")
        return state.there()

    def _rows_of_batches(self, _: State, piece: Piece) -> str:
        """The view's histories are those in service: they may know these events already, as when the view is fed."""
        self._scratch.replace_events(f"{self._of_events()} where {piece.condition}")
        return self._table.over(f"{self._scratch.name}.events", self._warehouse.database)

    def _rows_of_users(self, state: State, piece: Piece) -> str:
        table, condition = self._table, piece.condition
        if state.since:
            since = f"timestamp >= toDateTime64({quoted(f'{state.since} 00:00:00')}, 3, 'UTC')"
            of_late = f"select user_id from {self._events} where {condition} and {since}"
            condition = f"{condition} and user_id in ({of_late})"
        self._scratch.replace_events(f"{self._of_events()} where {condition}")
        self._scratch.replace_histories(self._histories, state.horizon)
        if piece.earlier:
            self._tell_of(f"{self._of_events()} where {piece.earlier}")
        view = self._scratch.view(table)
        if state.since:
            return f"select * from ({view}) where {table.bucket} >= {literal(table, state.since)}"
        if state.horizon:
            keys = ", ".join(table.keys)
            owned = f"where {table.owner} in (select {table.owner} from ({view}))" if table.owner else ""
            return f"select * from ({view}) where ({keys}) not in ({self._keys_kept(state, owned)})"
        return view

    def _tell_of(self, earlier: str) -> None:
        for history in self._histories:
            known = history.over(f"({earlier})", self._scratch.name)
            into = f"insert into {self._scratch.name}.{history.name} ({history.columns})"
            self._warehouse.command(f"{into} select {history.columns} from ({known})")

    # What is not made of pieces

    def _keep(self, state: State) -> None:
        """The rows that are not made again: those of earlier buckets, or those that know events that may have expired."""
        if state.since:  # what is not kept was deleted from the first moment on
            self._shadows.wait_for_deletes(self._table.name)
        elif state.horizon:
            keys, clone = ", ".join(self._table.keys), self._shadows.clone(self._table.name)
            self._stream(f"select * from {clone} where ({keys}) in ({self._keys_kept(state, '')})")

    def _keys_kept(self, state: State, where: str) -> str:
        keys, clone = ", ".join(self._table.keys), self._shadows.clone(self._table.name)
        return f"select {keys} from {clone} {where} group by {keys} having min(first_seq) < {state.horizon:d}"

    def _make_at_once(self, state: State) -> None:
        """Rows that replace each other cannot be put together from pieces."""
        events = f"({self._of_events()} where seq <= {state.until:d})"
        rows = f"select * from ({self._table.over(events, self._scratch.name)})"
        self._stream(
            rows + (f" where {self._table.bucket} >= {literal(self._table, state.since)}" if state.since else "")
        )

    def _stream(self, select: str) -> None:
        """Rows of any number, in blocks of a usual size."""
        self._shadows.insert(
            self._table,
            select,
            "settings insert_deduplicate = 0, max_insert_threads = 1, optimize_aggregation_in_order = 1",
        )

    # Where the pieces end

    def _next_piece(self, state: State) -> Piece | None:
        kept = f"seq >= {state.horizon:d} and seq <= {state.until:d}"
        user, seq = quoted(state.at.user), state.at.seq
        rest = f"user_id = {user} and seq > {seq:d} and {kept}"
        if self._number(f"select count() from (select 1 from {self._events} where {rest} limit 1)"):
            return self._of_one_user(state, rest, f"user_id = {user} and seq <= {seq:d} and seq >= {state.horizon:d}")
        behind = f"user_id > {user} and {kept}"
        first = self._texts(f"select user_id from {self._events} where {behind} order by user_id, seq limit 1")
        if not first:
            return None
        sql = f"select user_id from {self._events} where {behind} order by user_id, seq limit 1 offset {self._rows:d}"
        beyond = self._texts(sql)
        if beyond == first:
            theirs = quoted(first[0])
            return self._of_one_user(state, f"user_id = {theirs} and {kept}", "")
        upto = f" and user_id < {quoted(beyond[0])}" if beyond else ""
        last = self._texts(f"select max(user_id) from {self._events} where {behind}{upto}")[0]
        return Piece(Place(last, state.until), f"{behind} and user_id <= {quoted(last)}")

    def _of_one_user(self, state: State, theirs: str, earlier: str) -> Piece:
        """Smaller ones: all of it may be one order, where each line makes up to 200 rows."""
        few = max(1, self._rows // 5)
        sql = f"select seq from {self._events} where {theirs} order by user_id, seq limit 1 offset {few - 1:d}"
        found = self._warehouse.trusted_rows(sql).data
        last = int(found[0][0]) if found else state.until
        name = self._texts(f"select any(user_id) from {self._events} where {theirs}")[0]
        return Piece(Place(name, last), f"{theirs} and seq <= {last:d}", earlier)

    def _batches(self, after: int) -> Iterator[int]:
        """The last seq of as many whole batches as make a piece, and so on: a row of a batch is made of all of it."""
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

    def _of_events(self) -> str:
        return f"select {', '.join(self._columns)} from {self._events}"

    def _number(self, sql: str) -> int:
        return int(self._warehouse.trusted_rows(sql).data[0][0])

    def _texts(self, sql: str) -> list[str]:
        return [str(row[0]) for row in self._warehouse.trusted_rows(sql).data]


def _read_by(table: CountTable, tables: Sequence[CountTable]) -> list[CountTable]:
    """The histories that a view reads, and those that their views read, none before its own."""
    names = set(table.reads)
    for one in reversed(tables):
        if one.name in names:
            names |= one.reads
    return [one for one in tables if one.name in names]


def _columns_read(warehouse: Warehouse, tables: Sequence[CountTable]) -> list[str]:
    """The columns of `events` that these views may read: any whose name stands in them."""
    sql = "select name from system.columns where database = {database:String} and table = 'events' order by position"
    names = [str(row[0]) for row in warehouse.trusted_rows(sql, {"database": warehouse.database}).data]
    words = set(re.findall(r"\w+|\*", " ".join(table.select for table in tables)))
    return [name for name in names if name in words or name == "seq"]
