"""Explain the cost of a request: what its query plan reads, and the statistics of one run."""

from __future__ import annotations

import re
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
class Selected:
    """How many the query reads, of how many there are."""

    read: int
    of: int


@dataclass(frozen=True)
class TableRead:
    """One read of a table by a query plan.

    A granule is 8192 rows, the smallest unit that is read; `rows` is the engine's upper estimate.
    `keys` are the columns by which an index selected rows; `whole` means that none did, so the read
    grows with the table. `parts`, `granules` and `rows` are None for a dictionary, which has none of
    them, and for a serving table, whose rows are found by their key. `rows` is also None if the plan
    reads the table more than once, because the engine estimates all of its reads together.
    """

    table: str
    whole: bool
    keys: list[str] = field(default_factory=list)
    parts: Selected | None = None
    granules: Selected | None = None
    rows: Selected | None = None


@dataclass(frozen=True)
class Explained:
    tables: list[TableRead]
    statistics: Statistics


def explain(warehouse: Warehouse, pipe: Pipe, raw: Mapping[str, Sequence[Any]], now: datetime) -> Explained:
    """The plan of the pipe's one query and the statistics of one run, without its fallbacks.

    Raises BadParameters, TooSlow, WarehouseFault.
    """
    sql, parameters = bound_sql(pipe, values(pipe.parameters, raw), now)
    return Explained(plan(warehouse, pipe, raw, now), warehouse.rows(sql, parameters).statistics)


def plan(warehouse: Warehouse, pipe: Pipe, raw: Mapping[str, Sequence[Any]], now: datetime) -> list[TableRead]:
    """What the pipe's one query would read; it does not run. Raises as `explain`."""
    sql, parameters = bound_sql(pipe, values(pipe.parameters, raw), now)
    steps = msgspec.json.decode(warehouse.rows(f"explain indexes = 1, json = 1\n{sql}", parameters).data[0][0])
    estimated = {row[1]: row[3] for row in warehouse.rows(f"explain estimate\n{sql}", parameters).data}
    total = dict(
        warehouse.rows(
            "select name, total_rows from system.tables where database = {database:String} and total_rows is not null",
            {"database": warehouse.local_database},
        ).data
    )
    nodes = [node for node in _nodes(steps) if _reads_table(node)]
    reads = Counter(map(_name, nodes))
    rows = {name: Selected(estimated.get(name, 0), total.get(name, 0)) for name, n in reads.items() if n == 1}
    tables = [_read(node, pipe.tables, rows.get(_name(node))) for node in nodes]
    tables += _key_value_reads(warehouse, pipe, sql, parameters)
    return sorted(_distinct(tables), key=lambda read: read.table)


def _key_value_reads(warehouse: Warehouse, pipe: Pipe, sql: str, parameters: Mapping[str, Any]) -> Iterator[TableRead]:
    """The reads of serving tables. The plan does not name them: with a full scan among them, each counts as one."""
    keys = dict(
        warehouse.rows(
            "select name, primary_key from system.tables where database = {database:String} and engine = 'EmbeddedRocksDB'",
            {"database": warehouse.local_database},
        ).data
    )
    if not keys.keys().isdisjoint(pipe.tables):
        lines = [str(line).strip() for (line,) in warehouse.rows(f"explain actions = 1\n{sql}", parameters).data]
        whole = "ReadType: FullScan" in lines
        for name in sorted(name for name in keys if re.search(rf"\b{name}\b", sql)):
            yield TableRead(name, whole, [] if whole else [keys[name]])


def _distinct(reads: Sequence[TableRead]) -> list[TableRead]:
    """Each read once: a plan repeats a read for every node that needs it."""
    return [read for index, read in enumerate(reads) if read not in reads[:index]]


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


def _read(node: Mapping[str, Any], tables: Sequence[str], rows: Selected | None) -> TableRead:
    if node["Node Type"] != "ReadFromMergeTree":
        return TableRead("catalogue" if "catalogue" in tables else "a dictionary", whole=True)
    indexes = node.get("Indexes", [])
    keys = list(
        dict.fromkeys(key for index in indexes if index.get("Condition") != "true" for key in index.get("Keys", []))
    )
    first, last = (indexes[0], indexes[-1]) if indexes else ({}, {})
    granules = Selected(last.get("Selected Granules", 0), first.get("Initial Granules", 0)) if indexes else None
    return TableRead(
        _name(node),
        whole=not keys,
        keys=keys,
        parts=Selected(last.get("Selected Parts", 0), first.get("Initial Parts", 0)) if indexes else None,
        granules=granules,
        rows=rows,
    )
