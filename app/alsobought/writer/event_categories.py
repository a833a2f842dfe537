"""Categories of events that were stored before the catalogue had those of their items.

An event takes the category of its item when it is stored. Events that come before the catalogue have none; once their items
have one, these events get it, and the counts by category with them. An event that has a category keeps it, whatever becomes of
its item.

The counts are signed sums, so the difference is added to them; the events themselves change last. A crash in between is finished
by the next start (`storage.mutation_journal`), before any item is stored: so it finds the catalogue as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Set
from contextlib import suppress

from alsobought.errors import AlsoboughtError
from alsobought.events import REFUND
from alsobought.failpoints import reach
from alsobought.storage import mutation_journal
from alsobought.storage.catalogue import reload_dictionaries
from alsobought.storage.count_tables import CountTable, count_tables
from alsobought.storage.engine_settings import one_block
from alsobought.storage.mutation_journal import Rewrite
from alsobought.storage.sql_text import list_parameter, quoted, select_list
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.catalogue_rows import ItemRow
from alsobought.writer.table_rewrites import difference

log = logging.getLogger(__name__)

KIND = "categories"
MAX_AT_ONCE = (
    200_000  # events that wait for no command: `alsobought load items` or `rebuild` gives more of them their categories
)


def events_without(warehouse: Warehouse) -> int:
    """The number of events without a category whose items have one. Raises WarehouseFault."""
    sql = f"select count() from {warehouse.database}.events where {_condition(warehouse)}"
    return int(warehouse.trusted_rows(sql).data[0][0])


class EventCategories:
    """For the writer's thread: notes items that have a category for the first time."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._items: set[str] = set()

    @property
    def pending(self) -> bool:
        return bool(self._items)

    def note(self, rows: Iterable[ItemRow], stored: Set[str]) -> None:
        """Notes those of the new rows that have a category; of the items in `stored` that had one before, there is no need."""
        self._items.update(row.item_id for row in rows if row.category and row.item_id not in stored)

    def are_few(self) -> bool:
        """True if few events can lack the categories that were noted, and forgets them. Raises WarehouseFault."""
        database, items = self._warehouse.database, list_parameter(self._items)
        keys = f"select cityHash64(listed) from ({select_list('items')})"
        sql = f"select sum(events) from {database}.daily_popularity where item_key in ({keys})"
        known = f"select count() from {database}.item_ids where item_key in ({keys})"
        self._items.clear()
        if not self._warehouse.trusted_rows(known, {"items": items}).data[0][0]:
            return False
        events = int(self._warehouse.trusted_rows(sql, {"items": items}).data[0][0])
        if events > MAX_AT_ONCE:
            log.warning("up to %d events lack a category: `alsobought rebuild user_categories` adds it", events)
        return 0 < events <= MAX_AT_ONCE


def add_categories(warehouse: Warehouse, identity: int, confirm: Callable[[], None]) -> int:
    """Gives events without a category that of their item, and returns their number. `identity` is above every seq so far.

    Only while nothing is being stored and all views have every batch. Raises WarehouseFault, or the error of `confirm`.
    """
    reload_dictionaries(warehouse, ["catalogue"])
    events = events_without(warehouse)
    if events:
        tables = _counted_by_category(warehouse)
        names = [table.name for table in tables]
        rewrite = mutation_journal.begin(warehouse, identity, KIND, "{}", names, confirm)
        try:
            finish_categories(warehouse, rewrite, frozenset())
        except BaseException:
            with suppress(AlsoboughtError):
                mutation_journal.abandon(warehouse, rewrite)
            raise
    return events


def finish_categories(warehouse: Warehouse, rewrite: Rewrite, done: Set[str]) -> None:
    """Carries out what was begun. `done` are the tables that were changed before a crash."""
    database, condition = warehouse.database, _condition(warehouse)
    reload_dictionaries(warehouse, ["catalogue"])
    reach("categories.begun")
    before = f"(select * from {database}.events where {condition})"
    after = f"(select * replace ({_category(warehouse)} as category) from {before})"
    for table in _counted_by_category(warehouse):
        if table.name not in done:
            select = difference(table, table.over(before, database), table.over(after, database))
            warehouse.command(f"insert into {database}.{table.name} ({table.columns}) {select} {one_block()}")
        reach(f"categories.{table.name}")
    update = f"update category = {_category(warehouse)} where {condition}"
    settings = "settings mutations_sync = 1, allow_nondeterministic_mutations = 1"
    warehouse.command(f"alter table {database}.events {update} {settings}")
    reach("categories.changed")
    mutation_journal.finish(warehouse, rewrite)


def _counted_by_category(warehouse: Warehouse) -> list[CountTable]:
    """The count tables with a category in their key, whose counts can be subtracted from."""
    return [table for table in count_tables(warehouse) if table.is_summing and "category" in table.keys]


def _category(warehouse: Warehouse) -> str:
    return f"dictGet('{warehouse.database}.catalogue', 'category', cityHash64(item_id))"


def _condition(warehouse: Warehouse) -> str:
    """Not of refunds: no view counts them, and one may come for an item of which nothing else is known."""
    return f"category = '' and event_type != {quoted(REFUND)} and {_category(warehouse)} != ''"
