"""The invariant: every count table equals a recompute from `events`. `alsobought check` asks a running shop; this, an idle one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from alsobought.counts.recompute import Checks, Slots
from alsobought.errors import Unusable
from alsobought.storage.count_tables import count_tables
from alsobought.storage.warehouse import Warehouse


def wrong_rows(warehouse: Warehouse, folder: Path) -> Iterator[tuple[str, int]]:
    """(table, rows that are wrong), for one check after another. Only while nothing writes and no event has expired.

    Raises Unusable if there are no checks, or one of a table that is not there.
    """
    checks = Checks(warehouse, warehouse.database, folder)
    tables = {table.name: table for table in count_tables(warehouse)}
    if not checks.names:
        raise Unusable(f"there are no checks in {folder}")
    for name in checks.names:
        if name not in tables:
            raise Unusable(f"{folder}/{name}.sql checks a table that no view fills", "Run `alsobought migrate up`")
        yield name, checks.compare(tables[name], checks.steps(tables[name], Slots())).wrong


def wrong_sums(warehouse: Warehouse, path: Path) -> list[str]:
    """A sentence for each count table that does not add up to the number of events. Only while nothing writes."""
    sql = path.read_text().replace("{{ database }}", warehouse.database)
    return [
        f"{name} counts {found:,} events and there are {expected:,}"
        for name, found, expected in warehouse.trusted_rows(sql).data
    ]
