"""A temporary database: the SQL of views and checks finds its tables there by their usual names."""

from __future__ import annotations

from collections.abc import Iterable

from alsobought.settings import SCRATCH_SUFFIXES
from alsobought.storage.count_tables import CountTable
from alsobought.storage.replicated_tables import create_like
from alsobought.storage.warehouse import Warehouse

RESULT_SUFFIX = "_made"


def clone_table(warehouse: Warehouse, table: str, clone: str) -> None:
    """Clones one of our tables as `clone` (with its database), on this node. Files are shared until one of the two drops them."""
    create_like(warehouse, clone, table)
    warehouse.command(f"alter table {clone} attach partition tuple() from {warehouse.database}.{table}")


def drop_scratch(warehouse: Warehouse, *names: str) -> None:
    """Drops scratch databases, also those that an earlier process left behind."""
    for name in names:
        warehouse.command(f"drop database if exists {warehouse.database}_{name} sync")


class Scratch:
    """The database `<ours>_<name>`: empty when it is opened, gone when it is dropped or opened again."""

    def __init__(self, warehouse: Warehouse, name: str) -> None:
        if f"_{name}" not in SCRATCH_SUFFIXES:
            raise ValueError(f"a shop may have a database that ends in _{name}: add it to SCRATCH_SUFFIXES")
        self.warehouse, self.name, self._short = warehouse, f"{warehouse.database}_{name}", name
        self._made: set[str] = set()
        self.drop()
        warehouse.command(f"create database {self.name}")

    def drop(self) -> None:
        drop_scratch(self.warehouse, self._short)

    def clone(self, table: str) -> None:
        """Clones one of our tables as it is now."""
        clone_table(self.warehouse, table, f"{self.name}.{table}")

    def restrict_events(self, since: int) -> None:
        """Hides the cloned events before this seq."""
        self.warehouse.command(f"rename table {self.name}.events to {self.name}.all_events")
        recent = f"select * from {self.name}.all_events where seq >= {since:d}"
        self.warehouse.command(f"create view {self.name}.events as {recent}")

    def create_events(self, select: str) -> None:
        """Creates the events that the views will read."""
        self.warehouse.command(f"create table {self.name}.events engine = Memory as {select}")

    def replace_events(self, select: str) -> None:
        """Replaces them by others of the same columns. Only before any result is computed."""
        self.warehouse.command(f"truncate table {self.name}.events")
        self.warehouse.command(f"insert into {self.name}.events {select}")

    def create_histories(self, tables: Iterable[CountTable], before: int) -> None:
        """Copies from each count table the rows of these events' users, orders and sessions from before the horizon.

        Nothing where no event ever expired: then the events are complete.
        """
        ours, tables = self.warehouse.database, list(tables)
        for table in tables:
            self.warehouse.command(f"create table {self.name}.{table.name} engine = Memory as {ours}.{table.name}")
        self._copy_histories(tables, before)

    def replace_histories(self, tables: Iterable[CountTable], before: int) -> None:
        """The same for the events that are in here now."""
        tables = list(tables)
        for table in tables:
            self.warehouse.command(f"truncate table {self.name}.{table.name}")
        self._copy_histories(tables, before)

    def _copy_histories(self, tables: Iterable[CountTable], before: int) -> None:
        ours = self.warehouse.database
        for table in tables:
            if before and "first_seq" in table.values and (owner := table.owner):
                owners = f"select {owner} from ({table.over(f'{self.name}.events', self.name)})"
                rows = f"select * from {ours}.{table.name} where {owner} in ({owners})"
                earlier = f"select {table.columns} from ({rows}) where first_seq < {before:d}"
                self.warehouse.command(f"insert into {self.name}.{table.name} ({table.columns}) {earlier}")

    def view(self, table: CountTable) -> str:
        """The SELECT of a table's view over the events in here."""
        return table.over(f"{self.name}.events", self.name)

    def result(self, table: CountTable) -> str:
        """The table with the result of that SELECT, computed at the first call."""
        name = f"{self.name}.{table.name}{RESULT_SUFFIX}"
        if name not in self._made:
            select = self.view(table)
            if table.feeds:
                self._make_feeds(table, table.feeds)
                select = table.over_feeds(self.name)
            self._make(name, f"select {table.columns} from ({select})")
        return name

    def _make_feeds(self, table: CountTable, feeds: Iterable[str]) -> None:
        """The rows of feeds, once for all tables that read them."""
        for feed in feeds:
            if f"{self.name}.{feed}" not in self._made:
                self._make_feeds(table, table.feeds_of(feed))
                self._make(f"{self.name}.{feed}", table.feed_over(feed, self.name))

    def _make(self, name: str, select: str) -> None:
        self.warehouse.command(f"create table {name} engine = Memory as {select}")
        self._made.add(name)
