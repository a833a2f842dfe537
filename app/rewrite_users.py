"""Forgetting a user, and merging a guest into an account: the rows of one user are taken out of every table, or made another's.

What a user adds to a table is what its view says of the user's events alone, since pairs and first times never reach across
users. So a signed count loses what the view says of the events as they were and gains what it says of them as they will be;
rows that belong to the user are deleted or written again; and the events themselves go last, for all else is made from them.

Every step may be done twice. Where that would count twice, the journal (`app/rewrites.py`) tells by the newest block of the
table whether it was done. A crash is made good by the next writer, before it stores anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence, Set
from datetime import datetime
from typing import Any

import msgspec

from app import rewrites
from app.failpoints import reach
from app.rewrites import Rewrite
from app.scratch import Scratch
from app.views import CountTable, count_tables
from app.warehouse import Warehouse, one_block, quoted

KEYS = 10_000  # named in one statement


class Wanted(msgspec.Struct, frozen=True):
    """`users` go, or become `into`. `at` is when; `horizon` the seq before which events may have expired, 0 if none ever did."""

    users: list[str]
    into: str
    at: datetime
    horizon: int = 0


class Part(msgspec.Struct, frozen=True):
    """What a table had of the users before, and has now. In a table of counts it is the rows that they had a part in.

    `checksum` is of the rows that the users alone made: what was taken out.
    """

    table: str
    rows_before: int
    rows_after: int
    checksum: str


def rewrite_users(warehouse: Warehouse, identity: int, wanted: Wanted) -> list[Part]:
    """Only while nothing is stored and all views have every batch. `identity` is above every seq so far.

    Returns what `events` had of them, and for a forgotten user what every count table had.
    """
    kind = "merge" if wanted.into else "forget"
    about = msgspec.json.encode(wanted).decode()
    tables = count_tables(warehouse)
    rewrite = rewrites.begin(warehouse, identity, kind, about, ["events", *(table.name for table in tables)])
    return _carry_out(warehouse, rewrite, wanted, tables, frozenset())


def finish_rewrites(warehouse: Warehouse) -> int:
    """Ends what a crash interrupted, and says how much that was."""
    found = rewrites.unfinished(warehouse)
    for rewrite in found:
        if rewrite.about:
            blocks = rewrites.newest_blocks(warehouse, rewrite.marks)
            done = frozenset(table for table, before in rewrite.marks.items() if blocks[table] > before)
            wanted = msgspec.json.decode(rewrite.about, type=Wanted)
            _carry_out(warehouse, rewrite, wanted, count_tables(warehouse), done)
        else:  # an exchange of tables is done or not done
            rewrites.end(warehouse, rewrite)
    return len(found)


def _carry_out(
    warehouse: Warehouse, rewrite: Rewrite, wanted: Wanted, tables: Sequence[CountTable], done: Set[str]
) -> list[Part]:
    """`done` are the tables whose insert came before a crash: nothing else has been inserted since."""
    reach("rewrite.begun")
    change = _Change(warehouse, rewrite, wanted, tables, done)
    change.note_people()
    reach("rewrite.noted")
    parts = [change.events()]
    for table in tables if parts[0].rows_before else [table for table in tables if table.names_users]:
        before = None if wanted.into else change.rows(table)
        change.rewrite(table)
        if before:
            parts.append(Part(table.name, before[0], change.rows(table)[0], before[1]))
        reach(f"rewrite.{table.name}")
    change.move_events()
    reach("rewrite.moved")
    change.delete("events", change.theirs("user_id"))
    reach("rewrite.deleted")
    if not wanted.into:
        change.delete_traces()
    change.end()
    reach("rewrite.ended")
    return parts


class _Change:
    """The events of these users, and of who they become, as they were (`_before`) and as they will be (`_after`)."""

    def __init__(
        self, warehouse: Warehouse, rewrite: Rewrite, wanted: Wanted, tables: Sequence[CountTable], done: Set[str]
    ) -> None:
        self._warehouse, self._wanted, self._database = warehouse, wanted, warehouse.database
        self._rewrite, self._done = rewrite, done
        self._before, self._after = Scratch(warehouse, "before"), Scratch(warehouse, "after")
        into = [wanted.into] if wanted.into else []
        self._all = _listed([*wanted.users, *into])
        kept = f"seq >= {wanted.horizon:d}"
        self._before.events(f"select * from {self._database}.events where user_id in ({self._all}) and {kept}")
        becomes = f"select * replace ({quoted(wanted.into)} as user_id) from {self._before.name}.events"
        self._after.events(becomes + ("" if into else " limit 0"))
        read = {name for table in tables for name in table.reads}
        histories = [table for table in tables if table.name in read]
        self._before.histories(histories, wanted.horizon)
        self._after.histories(histories, wanted.horizon)

    def end(self) -> None:
        rewrites.end(self._warehouse, self._rewrite)
        self._before.drop()
        self._after.drop()

    def theirs(self, column: str) -> str:
        """The condition that a row is of those who go."""
        return f"{column} in ({_listed(self._wanted.users)})"

    def note_people(self) -> None:
        """That they are gone, or who they are now: also all that were merged into them before."""
        wanted, database = self._wanted, self._database
        guests = f"select guest_id from {database}.user_merges where user_id in ({_listed(wanted.users)})"
        at = quoted(f"{wanted.at:%Y-%m-%d %H:%M:%S.%f}"[:-3])
        if wanted.into:
            everyone = f"select arrayJoin([{_listed(wanted.users)}]) as guest_id union distinct {guests}"
            self._insert("user_merges", f"select guest_id, {quoted(wanted.into)}, {at} from ({everyone})")
        else:
            everyone = f"select arrayJoin([{_listed(wanted.users)}]) as user_id union distinct {guests}"
            self._insert("forgotten_users", f"select cityHash64(user_id), {at} from ({everyone})")
            self.delete("user_merges", f"{self.theirs('user_id')} or {self.theirs('guest_id')}")

    def events(self) -> Part:
        sql = f"select count(), hex(groupBitXor(cityHash64(event_id, seq))) from {self._database}.events"
        count, checksum = self._warehouse.trusted_rows(f"{sql} where {self.theirs('user_id')}").data[0]
        return Part("events", int(count), 0, str(checksum))

    def rows(self, table: CountTable) -> tuple[int, str]:
        """The rows of a table that they have, or have a part in, and the checksum of what they alone would make."""
        keys, view = ", ".join(table.keys), self._before.view(table)
        counted = " or ".join(f"sum({value}) != 0" for value in table.values) if table.sums else "1"
        there = f"select {keys} from {self._database}.{table.name} where ({keys}) in (select {keys} from ({view}))"
        sql = (
            f"select (select count() from ({there} group by {keys} having {counted})),"
            f" hex(groupBitXor(cityHash64({table.columns}))) from ({view})"
        )
        count, checksum = self._warehouse.trusted_rows(sql).data[0]
        return int(count), str(checksum)

    def rewrite(self, table: CountTable) -> None:
        """One table as if they had never been, or had always been the other."""
        self._go_on()
        if table.names_users:
            self._rename(table)
        elif table.sums:
            self._insert_once(table, self._difference(table))
        elif table.owner:
            self._write_again(table)
        else:
            self._make_again(table)

    def _rename(self, table: CountTable) -> None:
        if self._wanted.into:
            renamed = f"{quoted(self._wanted.into)} as user_id"
            theirs = f"select * from {self._database}.{table.name} where {self.theirs('user_id')}"
            self._insert_once(table, f"select {table.columns} from (select * replace ({renamed}) from ({theirs}))")
        self.delete(table.name, self.theirs("user_id"))

    def _difference(self, table: CountTable) -> str:
        """What signed counts gain by what is said of the events now, and lose by what was."""
        keys = ", ".join(table.keys)
        lost = ", ".join(f"-{value} as {value}" for value in table.values)
        both = (
            f"select {table.columns} from ({self._after.view(table)})"
            f" union all select {keys}, {lost} from ({self._before.view(table)})"
        )
        sums = ", ".join(f"sum(one.{value}) as {value}" for value in table.values)
        changed = " or ".join(f"{value} != 0" for value in table.values)
        return f"select {keys}, {sums} from ({both}) as one group by {keys} having {changed}"

    def _write_again(self, table: CountTable) -> None:
        """Rows of one owner each: those of the owners that will be are added, those of owners that are no more go."""
        owner = table.owner
        self._insert_once(table, f"select {table.columns} from ({self._after.view(table)})")
        gone = (
            f"select {owner} from ({self._before.view(table)}) except select {owner} from ({self._after.view(table)})"
        )
        self._delete_keys(table, (owner,), f"select distinct {owner} from ({gone})")

    def _make_again(self, table: CountTable) -> None:
        """Rows that many users share and that cannot be subtracted from: each is made again of the events that are left."""
        if table.name in self._done or self._same(table):
            return
        keys = ", ".join(table.keys)
        theirs = f"select distinct {keys} from ({self._before.view(table)})"
        self._delete_keys(table, table.keys, theirs)
        others = f"select * from {self._database}.events where user_id not in ({self._all})"
        left = table.over(f"({others} union all select * from {self._after.name}.events)", self._after.name)
        self._insert_once(table, f"select {table.columns} from ({left}) where ({keys}) in ({theirs})")

    def _same(self, table: CountTable) -> bool:
        if not self._wanted.into:
            return False
        before, after = (f"select {table.columns} from ({one.view(table)})" for one in (self._before, self._after))
        sql = f"select count() from (({before} except {after}) union all ({after} except {before}))"
        return not self._warehouse.trusted_rows(sql).data[0][0]

    def move_events(self) -> None:
        """Puts the events back under their new name, past the views."""
        if not self._wanted.into or "events" in self._done:
            return
        events, moved = f"{self._database}.events", f"{self._after.name}.moved"
        self._warehouse.command(f"create table {moved} as {events}")
        theirs = f"select * from {events} where {self.theirs('user_id')}"  # beside the new name, where would read that
        renamed = f"select * replace ({quoted(self._wanted.into)} as user_id) from ({theirs})"
        self._warehouse.command(f"insert into {moved} {renamed} {one_block()}")
        self._warehouse.command(f"alter table {events} attach partition tuple() from {moved}")

    def delete_traces(self) -> None:
        """What speaks of them elsewhere: the requests that named them, and dead letters."""
        for user in self._wanted.users:
            named = "arrayExists(given -> has(given.2, {0}), JSONExtractKeysAndValues(parameters, 'Array(String)'))"
            self.delete("requests", named.format(quoted(user)))
            body = msgspec.json.encode(user).decode()
            self.delete("dead_letters", f"position(body, {quoted(body)}) > 0")

    def delete(self, table: str, condition: str) -> None:
        self._warehouse.command(
            f"alter table {self._database}.{table} delete where {condition} settings mutations_sync = 2"
        )

    def _delete_keys(self, table: CountTable, keys: Sequence[str], select: str) -> None:
        """Names them one by one: a delete that a crash leaves behind goes on by itself, when no scratch table is left."""
        found = iter(self._warehouse.trusted_rows(select).data)
        while some := list(itertools.islice(found, KEYS)):
            listed = ", ".join(f"({', '.join(map(_literal, row))})" for row in some)
            self.delete(table.name, f"({', '.join(keys)}) in ({listed})")

    def _insert_once(self, table: CountTable, select: str) -> None:
        if table.name not in self._done:
            self._insert(table.name, select, f"({table.columns})")

    def _insert(self, table: str, select: str, columns: str = "") -> None:
        self._warehouse.command(f"insert into {self._database}.{table} {columns} {select} {one_block()}")

    def _go_on(self) -> None:
        if self._warehouse.shared:
            self._rewrite = rewrites.go_on(self._warehouse, self._rewrite)


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(map(quoted, texts))


def _literal(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else str(value)
