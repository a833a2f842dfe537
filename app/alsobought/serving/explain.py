"""What a question costs: which part of each table the engine reads for it, by its plan, and the truth of one run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from alsobought.pipes.library import Pipe
from alsobought.pipes.parameters import values
from alsobought.serving.answers import bound_sql
from alsobought.storage.results import Statistics
from alsobought.storage.warehouse import Warehouse


@dataclass(frozen=True)
class Part:
    """Read of how many."""

    read: int
    of: int


@dataclass(frozen=True)
class TableRead:
    """One reading of a table. A granule is 8192 rows, the least that is read; `rows` is what the engine expects at most.

    `keys` are the columns by which its index chose; `whole` says that nothing was left out, however large it grows.
    `parts`, `granules` and `rows` are None where the table has no such thing: a dictionary. `rows` also where the table is
    read more than once, since the engine expects them for all its readings together.
    """

    table: str
    whole: bool
    keys: list[str] = field(default_factory=list)
    parts: Part | None = None
    granules: Part | None = None
    rows: Part | None = None


@dataclass(frozen=True)
class Explained:
    tables: list[TableRead]
    statistics: Statistics


def explain(warehouse: Warehouse, pipe: Pipe, given: Mapping[str, Sequence[Any]], now: datetime) -> Explained:
    """The plan of the pipe's one query, and what running it took; its fallback is not asked.

    Raises BadParameters, TooSlow, WarehouseFault.
    """
    sql, parameters = bound_sql(pipe, values(pipe.parameters, given), now)
    plan = msgspec.json.decode(warehouse.rows(f"explain indexes = 1, json = 1\n{sql}", parameters).data[0][0])
    estimated = {row[1]: row[3] for row in warehouse.rows(f"explain estimate\n{sql}", parameters).data}
    total = dict(
        warehouse.rows(
            "select name, total_rows from system.tables where database = {database:String} and total_rows is not null",
            {"database": warehouse.database},
        ).data
    )
    nodes = [node for node in _nodes(plan) if _reads_table(node)]
    often = Counter(map(_name, nodes))
    rows = {name: Part(estimated.get(name, 0), total.get(name, 0)) for name, times in often.items() if times == 1}
    tables = [_read(node, pipe.tables, rows.get(_name(node))) for node in nodes]
    return Explained(sorted(_once(tables), key=lambda read: read.table), warehouse.rows(sql, parameters).statistics)


def _once(reads: Sequence[TableRead]) -> list[TableRead]:
    """The same reading of a table stands in a plan once for every place that needs it."""
    return [read for place, read in enumerate(reads) if read not in reads[:place]]


def _nodes(plan: Any) -> Iterator[dict[str, Any]]:
    if isinstance(plan, dict):
        if "Node Type" in plan:
            yield plan
        for inner in plan.values():
            yield from _nodes(inner)
    elif isinstance(plan, list):
        for inner in plan:
            yield from _nodes(inner)


def _reads_table(node: Mapping[str, Any]) -> bool:
    return node["Node Type"] == "ReadFromMergeTree" or node.get("Description") == "Dictionary"


def _name(node: Mapping[str, Any]) -> str:
    return str(node["Description"]).rpartition(".")[2]


def _read(node: Mapping[str, Any], tables: Sequence[str], rows: Part | None) -> TableRead:
    if node["Node Type"] != "ReadFromMergeTree":
        return TableRead("catalogue" if "catalogue" in tables else "a dictionary", whole=True)
    indexes = node.get("Indexes", [])
    keys = list(
        dict.fromkeys(key for index in indexes if index.get("Condition") != "true" for key in index.get("Keys", []))
    )
    first, last = (indexes[0], indexes[-1]) if indexes else ({}, {})
    granules = Part(last.get("Selected Granules", 0), first.get("Initial Granules", 0)) if indexes else None
    return TableRead(
        _name(node),
        whole=not keys,
        keys=keys,
        parts=Part(last.get("Selected Parts", 0), first.get("Initial Parts", 0)) if indexes else None,
        granules=granules,
        rows=rows,
    )
