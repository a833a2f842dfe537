"""Serving tables: one row for each item or user, made by a SELECT over the count tables, so that a pipe finds it by its key.

A migration creates the table, sql/serving/<name>.sql makes its rows. Its comment ends with the key, and with what touches a row:

    -- @key user_id                  an event of the user
    -- @key item_key                 an event of the item
    -- @key item_key of orders       a purchase in an order with the item; also `of sessions` (a view), `of buyers` (a purchase)

The SELECT says `where {{ picks("user_id") }}` wherever it reads a table: the condition for the rows that are wanted. A row that is
a long list can be mended instead of made: see `ServingTable.mends`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import islice
from pathlib import Path

import jinja2

from alsobought.errors import Unusable
from alsobought.project_files import read_utf8, reason
from alsobought.storage.engine_settings import one_block
from alsobought.storage.replicated_tables import serving_rows
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse

KEY_LINE = re.compile(r"^-- @key (?:(user_id)|(item_key)(?: of (orders|sessions|buyers))?)$", re.MULTILINE)

HASHES = 2**64
KEYS_PER_DELETE = 10_000
IN_ORDER = "optimize_aggregation_in_order = 1, max_threads = 1"
"""Count tables are sorted by what their rows are grouped by. For the companions of 50 items this takes half of the CPU time."""

Picks = Callable[[str], str]
"""The condition on a column, given its name, that picks the wanted rows."""


@dataclass(frozen=True)
class ServingTable:
    """`group` is empty, or whose items an event touches: those of its order, session or buyer."""

    name: str
    key: str
    group: str
    reads: frozenset[str]
    definition: str
    mends: bool
    """True if the definition uses `changed`, the condition for the other items whose counts a batch has changed, by their column:
    with it, the SELECT counts those again, and takes all others from the row as it is. Without it, it counts all."""
    _template: jinja2.Template
    _database: str

    @property
    def kind(self) -> str:
        """Whose events touch a row: "user_id", "item_key", or a kind of group."""
        return self.group or self.key

    def select(self, picks: Picks, changed: Picks | None = None, database: str = "") -> str:
        """A SELECT of the picked rows, as the count tables give them now, or mended where counts have changed."""
        return self._template.render(database=database or self._database, picks=picks, changed=changed)

    def make(self, warehouse: Warehouse, picks: Picks, *, changed: Picks | None = None, clear: bool = False) -> None:
        """Replaces the picked rows by those of `select`; with `clear`, deletes those of which it gives none."""
        if warehouse.cluster:
            warehouse.cluster.make(self, picks, changed=changed, clear=clear)
        else:
            self.make_here(warehouse, picks, changed=changed, clear=clear)

    def make_here(
        self, warehouse: Warehouse, picks: Picks, *, changed: Picks | None = None, clear: bool = False
    ) -> None:
        """The same of the tables of this node alone."""
        selected, rows = self.select(picks, changed), f"{self._database}.{serving_rows(warehouse, self.name)}"
        warehouse.command(f"insert into {rows} {selected} {one_block()}, {IN_ORDER}")
        if clear:
            others = f"{picks(self.key)} and {self.key} not in (select {self.key} from ({self.select(picks)}))"
            if warehouse.replicated:  # a mutation runs on each replica, and must do the same on all
                self._delete_keys(warehouse, rows, f"select distinct {self.key} from {rows} where {others}")
            else:
                warehouse.command(f"alter table {rows} delete where {others}")

    def _delete_keys(self, warehouse: Warehouse, rows: str, select: str) -> None:
        keys = iter([key for (key,) in warehouse.trusted_rows(select).data])
        while batch := list(islice(keys, KEYS_PER_DELETE)):
            warehouse.command(
                f"delete from {rows} where {with_keys(batch)(self.key)} settings lightweight_deletes_sync = 1"
            )


def serving_tables(home: Path, database: str) -> list[ServingTable]:
    """The definitions in sql/serving/, each after those it reads. Raises Unusable for one that cannot be read."""
    folder = home / "sql" / "serving"
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, home / "sql" / "macros"]),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701
    )
    tables = {path.stem: _read(path, environment, database) for path in sorted(folder.glob("*.sql"))}
    order = TopologicalSorter({name: sorted(table.reads & tables.keys()) for name, table in tables.items()})
    return [tables[name] for name in order.static_order()]


def with_sources(names: Iterable[str], tables: Iterable[ServingTable]) -> set[str]:
    """These tables, and for serving tables among them those that their rows are made from."""
    read, reads = set(names), {table.name: table.reads for table in tables}
    while added := {source for name in read for source in reads.get(name, ())} - read:
        read |= added
    return read


def _read(path: Path, environment: jinja2.Environment, database: str) -> ServingTable:
    try:
        match = KEY_LINE.search(read_utf8(path))
    except OSError as error:
        raise Unusable(f"{path.name} cannot be read: {reason(error)}", "Put a text file in its place") from error
    except UnicodeDecodeError as error:
        raise Unusable(f"{path.name} is not UTF-8 text", "Save it as UTF-8") from error
    if not match:
        raise Unusable(f"{path.name} does not say whose rows it makes", "Add `-- @key user_id` or `-- @key item_key`")
    try:
        template = environment.get_template(path.name)
        text = template.render(database=database, picks=str, changed=None)
        mended = template.render(database=database, picks=str, changed=str)
    except jinja2.TemplateError as error:
        raise Unusable(
            f"{path.name} does not render: {error}", "It may use `database`, `picks` and `changed`"
        ) from error
    reads = frozenset(re.findall(rf"\b{re.escape(database)}\.(\w+)", text))
    definition = hashlib.sha256(text.replace(f"{database}.", "").encode()).hexdigest()[:16]
    key, group = match[1] or match[2], match[3] or ""
    return ServingTable(path.stem, key, group, reads, definition, mended != text, template, database)


def with_keys(keys: Iterable[str | int]) -> Picks:
    """Picks the rows with these keys.

    >>> with_keys(["ann", "o'neil"])("user_id")
    "user_id in ('ann', 'o\\\\'neil')"
    """
    listed = ", ".join(quoted(key) if isinstance(key, str) else str(key) for key in keys)
    return lambda column: f"{column} in ({listed})"


def in_part(key: str, part: int, parts: int) -> Picks:
    """Picks the rows of one of so many equal parts: a range of hashes, which the index of a table helps to find.

    >>> in_part("user_id", 2, 8)("user_id")
    'cityHash64(user_id) between 4611686018427387904 and 6917529027641081855'
    """
    first, last = (HASHES * number // parts for number in (part, part + 1))
    hashed = "cityHash64({})" if key == "user_id" else "{}"
    return lambda column: f"{hashed.format(column)} between {first} and {last - 1}"
