"""Compare count tables with the events of an idle service: every row, or only the sums.

For a running service there is `counts.consistency`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from alsobought.counts import serving_checks
from alsobought.counts.recompute import Checks, Slots
from alsobought.errors import Unusable
from alsobought.project_files import read_utf8
from alsobought.storage.count_tables import count_tables
from alsobought.storage.serving_tables import serving_tables
from alsobought.storage.warehouse import Warehouse


def wrong_rows(warehouse: Warehouse, folder: Path) -> Iterator[tuple[str, int]]:
    """(table, wrong rows) of each check, then of each serving table.

    Only while nothing writes and before any event has expired.

    Raises Unusable if there are no checks, or a check has no table.
    """
    checks = Checks(warehouse, warehouse.database, folder)
    tables = {table.name: table for table in count_tables(warehouse)}
    if not checks.names:
        raise Unusable(f"there are no checks in {folder}")
    for name in checks.names:
        if name not in tables:
            raise Unusable(f"{folder}/{name}.sql checks a table that no view feeds", "Run `alsobought migrate up`")
        yield name, checks.compare(tables[name], checks.steps(tables[name], Slots())).wrong
    for table in serving_tables(folder.parent.parent, warehouse.database):
        yield (
            table.name,
            serving_checks.compare(warehouse, table, serving_checks.steps(warehouse, table, Slots())).wrong,
        )


def wrong_sums(warehouse: Warehouse, path: Path) -> list[str]:
    """A message for each count table whose sum differs from the number of events.

    Only while nothing writes.
    """
    sql = read_utf8(path).replace("{{ database }}", warehouse.database)
    return [
        f"{name} counts {counted:,} events, but there are {expected:,}"
        for name, counted, expected in warehouse.trusted_rows(sql).data
    ]
