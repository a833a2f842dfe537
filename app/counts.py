"""The invariant: every count table equals a recompute from `events`. sql/checks/ holds one query per table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jinja2

from app.errors import Unusable
from app.warehouse import Warehouse

SHARE = 200_000  # events whose pairs are compared at once: about 2 GB


def wrong_rows(warehouse: Warehouse, folder: Path) -> Iterator[tuple[str, int]]:
    """(table, rows that must not exist), for one check after another.

    Raises Unusable if there are no checks.
    """
    paths = sorted(folder.glob("*.sql"))
    if not paths:
        raise Unusable(f"there are no checks in {folder}")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701
    )
    events = int(warehouse.trusted_rows(f"select count() from {warehouse.database}.events").data[0][0])
    shares = 1 + events // SHARE
    for path in paths:
        sql = environment.get_template(path.name).render(database=warehouse.database, shares=shares)
        yield path.stem, int(warehouse.trusted_rows(f"select count() from (\n{sql}\n)").data[0][0])


def wrong_sums(warehouse: Warehouse, path: Path) -> list[str]:
    """A sentence for each count table that does not add up to the number of events. Only while nothing writes."""
    sql = path.read_text().replace("{{ database }}", warehouse.database)
    return [
        f"{name} counts {found:,} events and there are {expected:,}"
        for name, found, expected in warehouse.trusted_rows(sql).data
    ]
