"""Redistribute the users of a cluster over another number of shards, while nothing is stored.

Users move in large groups (`writer.user_move`), each exact in itself, and who is where says what is left to do: so a run that was
killed at any point is simply repeated. Counts of events that have expired stay where they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from alsobought.errors import Unusable
from alsobought.failpoints import reach
from alsobought.storage import mutation_journal
from alsobought.storage.catalogue import reload_dictionaries
from alsobought.storage.count_tables import count_tables
from alsobought.storage.sql_text import quoted
from alsobought.storage.topology import shard_index
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.staging import copy_rows
from alsobought.writer.submission import MaintenanceTask
from alsobought.writer.user_move import move_while_held, resume_moves, together
from alsobought.writer.writer import Writer

USERS_AT_ONCE = 20_000
COPIED = "reference"
"""The kind of the entry in a new shard's journal that it has the tables that every shard has whole."""
OWN_TABLES = (
    *("events", "users", "user_merges", "rewrites", "writers", "migrations", "loads", "serving_positions", "requests"),
    *("ingest_ranges", "ingest_halts", "dead_letters", "rejected_events", "dropped_events", "access_keys", "audit_log"),
)
"""Tables of one shard alone, beside the count tables. All others are the same on every shard, or may be: of placements and
experiment_stops, a row that is there twice says the same."""


class Resharding:
    """`old` are the writers of the shards as they were, `new` as they will be; a shard that stays is the same writer in both."""

    def __init__(self, old: Sequence[Writer], new: Sequence[Writer]) -> None:
        self.old, self.new = old, new
        self._all = [*new, *(writer for writer in old if writer not in new)]

    def require_same_tables(self) -> None:
        """Raises Unusable for a shard that was not migrated."""
        tables = self.old[0].warehouse.tables()
        for number, writer in enumerate(self.new):
            if writer.warehouse.tables() != tables:
                raise Unusable(f"shard {number} has other tables than the first old one", "Run `alsobought migrate up`")

    def resume(self) -> None:
        """Finishes what an earlier run or a merge left behind."""
        resume_moves(self._all, lambda account: shard_index(account, len(self.new)))

    def copy_reference_tables(self) -> list[str]:
        """Copies the tables that every shard has whole to the new shards, and returns the tables' names."""
        source, names = self.old[0], _reference_tables(self.old[0].warehouse)
        for target in self.new:
            if target not in self.old:
                together([source, target], lambda target=target: _copy_tables(source, target, names))  # type: ignore[misc]
        return names

    def count_misplaced(self) -> int:
        """The number of events that are to move."""
        return sum(
            int(writer.warehouse.trusted_rows(f"select count() from {self._misplaced_events(writer)}").data[0][0])
            for writer in self._all
        )

    def move_users(self, on_moved: Callable[[int], object]) -> int:
        """Moves every user to the shard of the account, and returns their number. `on_moved` is called with numbers of events.

        Rows of serving tables are made once, at the end.
        """
        moved = 0
        for source in self._all:
            for groups in self._pages(source):
                for number, users in groups.items():
                    target = self.new[number]
                    self._forget_serving_positions(source, target)
                    together(
                        [source, target],
                        lambda source=source, target=target, users=users: move_while_held(  # type: ignore[misc]
                            source, target, users, refresh=False, on_moved=on_moved
                        ),
                    )
                    reach("reshard.moved")
                    moved += len(users)
        for writer in self._all:
            writer.run(MaintenanceTask(lambda writer=writer: _make_serving_tables(writer), exclusive=True)).result()  # type: ignore[misc]
        return moved

    def _forget_serving_positions(self, *writers: Writer) -> None:
        """After a kill, the next start makes all rows."""
        for writer in writers:
            writer.serving.forget_positions([table.name for table in writer.serving.tables])

    def _pages(self, source: Writer) -> Iterator[dict[int, list[str]]]:
        """The users who are to leave a shard, in the order of their ids, by the number of their shard."""
        warehouse, last = source.warehouse, ""
        tables = ["events", "users", "user_merges"]
        tables += [table.name for table in count_tables(warehouse) if table.has_user_id]
        while True:
            behind = f"user_id > {quoted(last)} and {self._is_misplaced(source)}"
            selects = " union distinct ".join(
                f"(select distinct user_id from {warehouse.database}.{table} where {behind} order by user_id"
                f" limit {USERS_AT_ONCE})"
                for table in tables
            )
            guests = f"select guest_id from {warehouse.database}.user_merges"
            sql = f"select user_id, CRC32(user_id) % {len(self.new)} from ({selects}) where user_id not in ({guests})"
            rows = warehouse.trusted_rows(f"{sql} order by user_id limit {USERS_AT_ONCE}").data
            if not rows:
                return
            groups: dict[int, list[str]] = defaultdict(list)
            for user, number in rows:
                groups[int(number)].append(str(user))
            yield groups
            last = str(rows[-1][0])

    def _misplaced_events(self, writer: Writer) -> str:
        return f"{writer.warehouse.database}.events where {self._is_misplaced(writer)}"

    def _is_misplaced(self, writer: Writer) -> str:
        if writer not in self.new:
            return "true"
        return f"CRC32(user_id) % {len(self.new)} != {self.new.index(writer)}"


def _reference_tables(warehouse: Warehouse) -> list[str]:
    counts = {table.name for table in count_tables(warehouse)}
    sql = "select name from system.tables where database = {database:String} and engine like '%MergeTree' order by name"
    names = [str(name) for (name,) in warehouse.trusted_rows(sql, {"database": warehouse.database}).data]
    return [name for name in names if name not in counts.union(OWN_TABLES)]


def _copy_tables(source: Writer, target: Writer, names: Sequence[str]) -> None:
    recorded = f"select count() from {target.warehouse.database}.rewrites where kind = '{COPIED}'"
    if target.warehouse.trusted_rows(recorded).data[0][0]:
        return
    for name in names:
        into = f"{target.warehouse.database}.{name}"
        target.warehouse.command(f"truncate table {into}")
        select = f"select * from {source.warehouse.database}.{name}"
        copy_rows(source.warehouse, target.warehouse, select, into, "*")
        reach(f"reshard.{name}")
    mutation_journal.record_done(target.warehouse, target.take_seq(), COPIED, {})
    reload_dictionaries(target.warehouse)


def _make_serving_tables(writer: Writer) -> None:
    writer.catalogue.reload()
    writer.serving.make_again(writer.serving.tables)
    writer.serving.refresh()
    writer.on_rewritten()
