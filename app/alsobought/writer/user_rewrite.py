"""Forgetting a user, and merging a guest into an account: the rows of one user are taken out of every table, or made another's.

What a user adds to a table is what its view says of the user's events alone, since pairs and first times never reach across
users. So a signed count loses what the view says of the events as they were and gains what it says of them as they will be;
rows that belong to the user are deleted or written again; and the events themselves go last, for all else is made from them.

Every step may be done twice. Where that would count twice, the journal (`storage.mutation_journal`) tells by the newest block
of the table whether it was done. A crash is made good by the next writer, before it stores anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from alsobought.errors import AlsoboughtError
from alsobought.failpoints import reach
from alsobought.storage import mutation_journal
from alsobought.storage.count_tables import CountTable, count_tables
from alsobought.storage.mutation_journal import Rewrite
from alsobought.storage.scratch_database import Scratch, drop_scratch
from alsobought.storage.warehouse import Warehouse, one_block, quoted

KEYS = 10_000  # named in one statement
BEFORE, AFTER = "before", "after"  # the scratch databases
GIVEN = "JSONExtractKeysAndValues(parameters, 'Array(String)')"
NAMES_USER = f"arrayExists(given -> given.1 = 'user_id' and has(given.2, {{0}}), {GIVEN})"
"""Of a recorded request whether it asked for this user."""
NAMED = ("user_id", "userId", "anonymousId", "session_id")
OF_USER = "{0} in (" + ", ".join(f"JSONExtractString(body, '{name}')" for name in NAMED) + ")"
"""Of a dead letter whether it is this user's, as far as it can be read."""


class Wanted(msgspec.Struct, frozen=True):
    """`users` go, or become `into`. `at` is when; `horizon` the seq before which events may have expired, 0 if none ever did."""

    users: list[str]
    into: str
    at: datetime
    horizon: int = 0


class Part(msgspec.Struct, frozen=True):
    """How many rows of a table the users had, or had a part in, and have; `checksum` is of what they alone would make of it.

    From rows that many share their part is taken out. That nothing is left of it there `check` proves.
    """

    table: str
    rows_before: int
    rows_after: int
    checksum: str


def rewrite_users(warehouse: Warehouse, identity: int, wanted: Wanted, confirm: Callable[[], None]) -> list[Part]:
    """Only while nothing is stored and all views have every batch. `identity` is above every seq so far.

    Raises what `confirm` does if the turn is not ours any more: then nothing was changed.

    Returns what `events` had of them, and for a forgotten user what every count table had.
    """
    kind = "merge" if wanted.into else "forget"
    about = msgspec.json.encode(wanted).decode()
    tables = count_tables(warehouse)
    names = ["events", *(table.name for table in tables)]
    rewrite = mutation_journal.begin(warehouse, identity, kind, about, names, confirm)
    try:
        return _carry_out(warehouse, rewrite, wanted, tables, frozenset())
    except BaseException:
        with suppress(AlsoboughtError):
            mutation_journal.let_go(warehouse, rewrite)
        raise


def finish_rewrites(warehouse: Warehouse) -> int:
    """Ends what a crash interrupted, and says how much that was."""
    found = mutation_journal.unfinished(warehouse)
    for rewrite in found:
        if rewrite.about:
            blocks = mutation_journal.newest_blocks(warehouse, rewrite.marks)
            done = frozenset(table for table, before in rewrite.marks.items() if blocks[table] > before)
            wanted = msgspec.json.decode(rewrite.about, type=Wanted)
            _carry_out(warehouse, rewrite, wanted, count_tables(warehouse), done)
        else:  # an exchange of tables is done or not done
            mutation_journal.end(warehouse, rewrite)
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
    if wanted.into and not parts[0].rows_before and not change.names_them():
        change.end()
        return parts
    change.take_events()
    for table in tables if parts[0].rows_before else [table for table in tables if table.names_users]:
        share = None if wanted.into else change.share(table)
        change.rewrite(table)
        if share:
            after = change.left(table) if table.owner else 0
            parts.append(msgspec.structs.replace(share, rows_after=after))
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
        self._rewrite, self._done, self._tables = rewrite, done, tables
        self._all = _listed([*wanted.users, *([wanted.into] if wanted.into else [])])

    def names_them(self) -> bool:
        """Whether a count table names those who go: it may know them from events that have expired."""
        return any(self._has(table.name, self.theirs("user_id")) for table in self._tables if table.names_users)

    def take_events(self) -> None:
        """Their events into the two scratch databases."""
        warehouse, wanted, tables = self._warehouse, self._wanted, self._tables
        self._before, self._after = Scratch(warehouse, BEFORE), Scratch(warehouse, AFTER)
        kept = f"seq >= {wanted.horizon:d}"
        self._before.events(f"select * from {self._database}.events where user_id in ({self._all}) and {kept}")
        becomes = f"select * replace ({quoted(wanted.into)} as user_id) from {self._before.name}.events"
        self._after.events(becomes + ("" if wanted.into else " limit 0"))
        read = {name for table in tables for name in table.reads}
        histories = [table for table in tables if table.name in read]
        self._before.histories(histories, wanted.horizon)
        self._after.histories(histories, wanted.horizon)

    def end(self) -> None:
        mutation_journal.end(self._warehouse, self._rewrite)
        drop_scratch(self._warehouse, BEFORE, AFTER)

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

    def share(self, table: CountTable) -> Part:
        """What a table has of them before."""
        sql = f"select count(), hex(groupBitXor(cityHash64(*))) from {self._before.made(table)}"
        count, checksum = self._warehouse.trusted_rows(sql).data[0]
        return Part(table.name, int(count), 0, str(checksum))

    def left(self, table: CountTable) -> int:
        """The rows that are still there of them in a table of rows that are theirs alone."""
        theirs = f"select {table.owner} from {self._before.made(table)}"
        sql = f"select count() from {self._database}.{table.name} where {table.owner} in ({theirs})"
        return int(self._warehouse.trusted_rows(sql).data[0][0])

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
            self._insert_once(table, f"select {table.columns} from ({self._renamed(table.name)})")
        self.delete(table.name, self.theirs("user_id"))

    def _renamed(self, table: str) -> str:
        """Their rows of a table under their new name. In two steps: the new name would win over the column in a condition."""
        theirs = f"select * from {self._database}.{table} where {self.theirs('user_id')}"
        return f"select * replace ({quoted(self._wanted.into)} as user_id) from ({theirs})"

    def _difference(self, table: CountTable) -> str:
        """What signed counts gain by what is said of the events now, and lose by what was."""
        keys = ", ".join(table.keys)
        lost = ", ".join(f"-{value} as {value}" for value in table.values)
        both = (
            f"select * from {self._after.made(table)} union all select {keys}, {lost} from {self._before.made(table)}"
        )
        sums = ", ".join(f"sum(one.{value}) as {value}" for value in table.values)
        changed = " or ".join(f"{value} != 0" for value in table.values)
        return f"select {keys}, {sums} from ({both}) as one group by {keys} having {changed}"

    def _write_again(self, table: CountTable) -> None:
        """Rows of one owner each: those of the owners that will be are added, those of owners that are no more go."""
        owner = table.owner
        self._insert_once(table, f"select * from {self._after.made(table)}")
        gone = f"select {owner} from {self._before.made(table)} except select {owner} from {self._after.made(table)}"
        self._delete_keys(table, (owner,), f"select distinct {owner} from ({gone})")

    def _make_again(self, table: CountTable) -> None:
        """Rows that many users share and that cannot be subtracted from: each is made again of the events that are left.

        Where events have expired only those that say of which batch they are: others may stand for events that are gone.
        """
        if table.name in self._done or self._same(table) or (self._wanted.horizon and "batch" not in table.keys):
            return
        keys = ", ".join(table.keys)
        theirs = f"select distinct {keys} from {self._before.made(table)}"
        self._delete_keys(table, table.keys, theirs)
        others = f"select * from {self._database}.events where user_id not in ({self._all})"
        left = table.over(f"({others} union all select * from {self._after.name}.events)", self._after.name)
        self._insert_once(table, f"select {table.columns} from ({left}) where ({keys}) in ({theirs})")

    def _same(self, table: CountTable) -> bool:
        if not self._wanted.into:
            return False
        before, after = (f"select * from {one.made(table)}" for one in (self._before, self._after))
        sql = f"select count() from (({before} except {after}) union all ({after} except {before}))"
        return not self._warehouse.trusted_rows(sql).data[0][0]

    def move_events(self) -> None:
        """Puts the events back under their new name, past the views."""
        if not self._wanted.into or "events" in self._done:
            return
        events, moved = f"{self._database}.events", f"{self._after.name}.moved"
        self._warehouse.command(f"create table {moved} as {events}")
        self._warehouse.command(f"insert into {moved} {self._renamed('events')} {one_block()}")
        self._warehouse.command(f"alter table {events} attach partition tuple() from {moved}")

    def delete_traces(self) -> None:
        """What speaks of them elsewhere: the requests that asked for them, and dead letters."""
        for user in self._wanted.users:
            self.delete("requests", NAMES_USER.format(quoted(user)))
            self.delete("dead_letters", OF_USER.format(quoted(user)))

    def delete(self, table: str, condition: str) -> None:
        """A delete goes through all parts of a table, so that it is asked first whether there is anything."""
        if self._has(table, condition):
            self._warehouse.command(
                f"alter table {self._database}.{table} delete where {condition} settings mutations_sync = 2"
            )

    def _has(self, table: str, condition: str) -> bool:
        sql = f"select 1 from {self._database}.{table} where {condition} limit 1"
        return bool(self._warehouse.trusted_rows(sql).data)

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
            self._rewrite = mutation_journal.go_on(self._warehouse, self._rewrite)


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(map(quoted, texts))


def _literal(value: Any) -> str:
    return quoted(value) if isinstance(value, str) else str(value)
