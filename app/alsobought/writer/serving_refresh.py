"""Keeps the serving tables up to the count tables: after each batch, the rows are made again that its events touched.

A row is made from the counts alone, so that it does no harm to make it twice. A table may instead mend the row as it is, where
few of its counts have changed: that is done for the latest batch alone, and for rows that lack nothing else. A position in
`serving_positions` says up to which event all rows are made: after a crash, those are made again that later events touched.
Rows of large batches are left until the writer has nothing else to do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

from alsobought.errors import AlsoboughtError
from alsobought.failpoints import reach
from alsobought.storage.engine_settings import one_block
from alsobought.storage.serving_tables import Picks, ServingTable, in_part, serving_tables, with_keys
from alsobought.storage.sql_text import list_parameter, quoted, select_pairs
from alsobought.storage.warehouse import Warehouse

log = logging.getLogger(__name__)

KEYS_PER_INSERT = 200
MAX_MENDED = 1_000  # rows; each is looked for in all of them
MANY_KEYS = 5_000
MIN_SECONDS = 0.3  # with less time there is a batch behind, which touches rows again
ROWS_PER_PART = 1_000_000  # of the count tables that are read for a part of a table
SAMPLE = 10_000  # rows whose users divide a table into parts
MAX_CAUGHT_UP_EVENTS = 200_000  # after more of them, all rows are made
MAKE_SECONDS = 2.0  # to make all rows of a table at once; the rest follows
RECORD_SECONDS = 10.0  # between two records of the position, where no other process follows
GROUPS = {
    "orders": ("order_items", "order_key", "cityHash64(first, second)"),
    "sessions": ("session_items", "session_key", "cityHash64(first, second)"),
    "buyers": ("buyer_items", "buyer_key", "cityHash64(first)"),
}
"""For each kind of group: the history that has its items, the key there, and how it is computed."""


class TouchingEvent(Protocol):
    """The columns of a stored event that say which rows it touches."""

    @property
    def user_id(self) -> str: ...
    @property
    def item_id(self) -> str: ...
    @property
    def order_id(self) -> str: ...
    @property
    def session_id(self) -> str: ...
    @property
    def event_type(self) -> str: ...


class Keys(NamedTuple):
    """Whose rows are to be made: `of` is "user_id", "item_key", or a kind of group; `name` is empty but for orders and sessions."""

    of: str
    owner: str
    name: str = ""


class Part(NamedTuple):
    """A part of a table that is made whole; with `clear`, rows for which there is nothing to count are deleted."""

    table: ServingTable
    picks: Picks
    clear: bool


class Mendable(NamedTuple):
    """The keys of the items with new counts, and those of them whose rows lack nothing else."""

    changed: frozenset[str | int] = frozenset()
    keys: frozenset[str | int] = frozenset()


class ServingRefresh:
    """For the writer's thread."""

    def __init__(self, warehouse: Warehouse, home: Path, *, followed: bool = False) -> None:
        """With `followed`, each position is recorded, for processes that follow."""
        self._warehouse, self._followed = warehouse, followed
        self.tables = serving_tables(home, warehouse.database)
        kinds = {table.kind for table in self.tables}
        self._kinds = sorted(kinds, key=lambda kind: kind != "user_id")  # a shard makes those alone
        self._changed: dict[Keys, None] = {}
        self._rows: dict[str, dict[str | int, None]] = {kind: {} for kind in self._kinds}
        self._mendable: dict[str, Mendable] = {}
        self._parts: list[Part] = []
        self._newest_seq = self._recorded_seq = 0
        self._recorded_at = 0.0
        self.made_parts = False
        """True if parts of tables were made, whose rows no event names. Whoever announces that sets it back."""

    @property
    def pending(self) -> int:
        """The number of steps that are left: inserts of some rows or of a part, on a cluster also into a node that was down."""
        rows = sum(-(-len(keys) // KEYS_PER_INSERT) for keys in self._rows.values())
        due = self._warehouse.cluster.due if self._warehouse.cluster else 0
        return len(self._parts) + rows + bool(self._changed) + due

    @property
    def has_work(self) -> bool:
        """True if there is a step to do, or will be once a node answers again."""
        cluster = self._warehouse.cluster
        return bool(self.pending) or bool(cluster and cluster.has_work)

    def note(self, events: Iterable[TouchingEvent], newest_seq: int) -> None:
        """Notes the rows that stored events touch; `newest_seq` is that of the last one."""
        for event in events:
            self._note(event)
        self._newest_seq = max(self._newest_seq, newest_seq)

    def refresh(self, seconds: float = float("inf"), *, newest: bool = False) -> None:
        """Makes the noted rows, the latest first, for about so long. If the warehouse refuses, they wait for the next time.

        With `newest`, those that were noted since the last call are made in any case.
        """
        until = time.monotonic() + seconds
        try:
            steps = self._find_rows()
            if seconds > MIN_SECONDS:
                self._prefer_parts()
            while self.pending and (time.monotonic() < until or (newest and steps > 0)):
                self._step()
                steps -= 1
            if self._followed or time.monotonic() >= self._recorded_at + RECORD_SECONDS:
                self.record()
        except AlsoboughtError as error:
            log.warning("serving tables were not refreshed: %s", error)

    def catch_up(self) -> None:
        """Notes what the serving tables lack since their recorded positions. Raises WarehouseFault."""
        database = self._warehouse.database
        sql = f"select name, definition, seq from {database}.serving_positions final"
        positions = {name: (definition, int(seq)) for name, definition, seq in self._warehouse.trusted_rows(sql).data}
        newest = int(self._warehouse.trusted_rows(f"select max(seq) from {database}.events").data[0][0])
        self._newest_seq = max(self._newest_seq, newest)
        seqs = []
        for table in self.tables:
            definition, seq = positions.get(table.name, ("", 0))
            if newest and definition != table.definition:
                self.note_all(table)
            else:
                seqs.append(seq)
        if newest and seqs and min(seqs) < newest:
            self._note_since(min(seqs))

    def note_all(self, table: ServingTable) -> None:
        """Notes all rows of a table, and those that should not be there."""
        rows = self._count(table.name)
        parts = 1 + max(rows, *map(self._count, table.reads)) // ROWS_PER_PART
        by_key = self._ranges_of_users(parts) if table.key == "user_id" else _ranges_of_items(parts)
        self._parts = [part for part in self._parts if part.table != table]
        self._parts += [Part(table, picks, clear=rows > 0) for picks in by_key]

    def forget_positions(self, names: Iterable[str]) -> list[ServingTable]:
        """The tables with these names or that read one of them. If this process is killed, the next start makes all their rows.

        Call it before what they read changes, and `make_again` afterwards.
        """
        changed, tables = set(names), []
        for table in self.tables:
            if table.name in changed or table.reads & changed:
                changed.add(table.name)
                tables.append(table)
                self._insert_position(table.name, "", 0)
        return tables

    def make_again(self, tables: Iterable[ServingTable]) -> None:
        """Makes all rows of these tables, now or when the writer is idle."""
        for table in tables:
            self.note_all(table)
        self._recorded_seq = 0
        self.refresh(MAKE_SECONDS)

    def _count(self, table: str) -> int:
        return int(self._warehouse.trusted_rows(f"select count() from {self._warehouse.database}.{table}").data[0][0])

    def _ranges_of_users(self, parts: int) -> list[Picks]:
        """Picks users by ranges of ids with about as many rows each. Ranges of hashes would read all users for each part."""
        sql = f"select arraySort(groupArraySample({SAMPLE}, 1)(user_id)) from {self._warehouse.database}.user_items"
        sample = self._warehouse.trusted_rows(sql).data[0][0] if parts > 1 else []
        bounds = sorted({sample[len(sample) * number // parts] for number in range(1, parts)} if sample else ())
        return [_between(first, last) for first, last in pairwise([None, *bounds, None])]

    def _note(self, event: TouchingEvent) -> None:
        user, bought = event.user_id, event.event_type == "purchase"
        if "user_id" in self._kinds:
            self._changed[Keys("user_id", user)] = None
        if "item_key" in self._kinds:
            self._changed[Keys("item_key", event.item_id)] = None
        if "orders" in self._kinds and bought and event.order_id:
            self._changed[Keys("orders", user, event.order_id)] = None
        if "sessions" in self._kinds and event.event_type == "view" and event.session_id:
            self._changed[Keys("sessions", user, event.session_id)] = None
        if "buyers" in self._kinds and bought:
            self._changed[Keys("buyers", user)] = None

    def _note_since(self, seq: int) -> None:
        columns = "user_id, item_id, order_id, session_id, event_type"
        sql = (
            f"select {columns} from {self._warehouse.database}.events where seq > {seq:d} limit {MAX_CAUGHT_UP_EVENTS}"
        )
        rows = self._warehouse.trusted_rows(sql).data
        if len(rows) == MAX_CAUGHT_UP_EVENTS:
            for table in self.tables:
                self.note_all(table)
        else:
            for row in rows:
                self._note(_Event(*row))

    def _find_rows(self) -> int:
        """Turns what events touched into keys of rows; those of the latest events come last. Returns the steps they take."""
        changed, self._changed, self._mendable = self._changed, {}, {}
        most = 0
        try:
            for kind in self._kinds:
                if keys := [key for key in changed if key.of == kind]:
                    keys_of_rows = [key.owner for key in keys] if kind == "user_id" else self._item_keys(kind, keys)
                    rows, keys_now = self._rows[kind], frozenset[str | int](keys_of_rows)
                    most = max(most, len(keys_now))
                    if len(keys_now) <= MAX_MENDED and not self._parts:
                        self._mendable[kind] = Mendable(keys_now, keys_now.difference(rows))
                    for one in keys_of_rows:
                        rows.pop(one, None)
                        rows[one] = None
        except BaseException:
            self._changed = changed | self._changed
            raise
        return -(-most // KEYS_PER_INSERT)

    def _prefer_parts(self) -> None:
        """Makes a table whole where that is quicker: rows by key take about four times as long as rows of a part."""
        for kind, rows in self._rows.items():
            if len(rows) > MANY_KEYS:
                tables = [table for table in self.tables if table.kind == kind]
                if 4 * len(rows) > self._count(tables[0].name):
                    rows.clear()
                    for table in tables:
                        self.note_all(table)

    def _item_keys(self, kind: str, keys: Sequence[Keys]) -> list[int]:
        """The items that events touched, or those in the groups that they touched."""
        parameters = {
            "owners": list_parameter(key.owner for key in keys),
            "names": list_parameter(key.name for key in keys),
        }
        listed = select_pairs("owners", "names")
        if kind == "item_key":
            sql = f"select distinct cityHash64(first) from ({listed})"
        else:
            history, column, expression = GROUPS[kind]
            groups = f"select {expression} from ({listed})"
            sql = f"select distinct item_key from {self._warehouse.database}.{history} where {column} in ({groups})"
        return [int(key) for (key,) in self._warehouse.trusted_rows(sql, parameters).data]

    def _step(self) -> None:
        """Makes some rows of each table, or else a part of one."""
        if any(self._rows.values()):
            for kind, rows in self._rows.items():
                self._make_rows(kind, rows)
        elif not self._parts and self._warehouse.cluster:
            self._warehouse.cluster.catch_up()
        else:
            part = self._parts[0]
            self._make(part.table, part.picks, clear=part.clear)
            del self._parts[0]
            self.made_parts = True

    def _make_rows(self, kind: str, rows: dict[str | int, None]) -> None:
        """Makes the latest of these rows, in all tables of a kind."""
        keys = [rows.popitem()[0] for _ in range(min(len(rows), KEYS_PER_INSERT))]
        try:
            changed, mendable = self._mendable.get(kind, Mendable())
            for table in self.tables if keys else []:
                if table.kind == kind:
                    mended = mendable.intersection(keys) if table.mends else ()
                    if mended:
                        self._make(table, with_keys(mended), changed=with_keys(changed))
                    if whole := [key for key in keys if key not in mended]:
                        self._make(table, with_keys(whole))
        except BaseException:
            rows.update(dict.fromkeys(keys))
            self._mendable.pop(kind, None)
            raise

    def _make(self, table: ServingTable, picks: Picks, *, changed: Picks | None = None, clear: bool = False) -> None:
        reach("serving.refresh")
        table.make(self._warehouse, picks, changed=changed, clear=clear)

    def record(self) -> None:
        """Records the position if all rows are made. Raises WarehouseFault."""
        cluster = self._warehouse.cluster
        if self.pending or self._newest_seq == self._recorded_seq or (cluster and cluster.lagging):
            return
        for table in self.tables:
            self._insert_position(table.name, table.definition, self._newest_seq)
        self._recorded_seq, self._recorded_at = self._newest_seq, time.monotonic()

    def _insert_position(self, name: str, definition: str, seq: int) -> None:
        values = f"{quoted(name)}, {quoted(definition)}, {seq:d}"
        into = f"insert into {self._warehouse.database}.serving_positions (name, definition, seq)"
        self._warehouse.command(f"{into} select {values} {one_block()}")


def _ranges_of_items(parts: int) -> list[Picks]:
    return [in_part("item_key", number, parts) for number in range(parts)]


def _between(first: str | None, last: str | None) -> Picks:
    """Picks the rows with keys above the first one, up to the last one; None is no bound.

    >>> _between("ann", "bob")("user_id"), _between(None, None)("user_id")
    ("user_id > 'ann' and user_id <= 'bob'", '1')
    """
    bounds = [(">", first), ("<=", last)]
    return lambda column: (
        " and ".join(f"{column} {sign} {quoted(key)}" for sign, key in bounds if key is not None) or "1"
    )


class _Event(NamedTuple):
    user_id: str
    item_id: str
    order_id: str
    session_id: str
    event_type: str
