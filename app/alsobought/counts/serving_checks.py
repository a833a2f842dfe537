"""Compare serving tables with the SELECTs that make their rows.

Rows change while they are compared: those that seem wrong are compared again on the writer's thread, between two batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from alsobought.counts.recompute import WORST_SHOWN, Comparison, Difference, Slots
from alsobought.storage.engine_settings import DISTRIBUTED_SETTINGS
from alsobought.storage.results import plain_type
from alsobought.storage.serving_tables import Picks, ServingTable, with_keys
from alsobought.storage.sql_text import settings_clause
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.writer import Writer

ROWS_PER_STEP = 1_000_000  # of the count tables that are read for one statement
MAX_SUSPECTS = 1_000  # of a step
CLUSTER_ATTEMPTS, PAUSE_SECONDS = 5, 1.0
SHOWN_CHARACTERS = 200

WrongRow = list[Any]
"""A key as text, the row in the table, and the row as it should be: maps of column and text, empty where there is none."""
Again = Callable[[str, Sequence[str]], list[WrongRow]]
"""Compares rows of a table, given their keys, while nothing is stored."""


def steps(warehouse: Warehouse, table: ServingTable, slots: Slots) -> list[Slots]:
    """The parts in which a table is compared, to bound memory."""
    counts = (f"(select count() from {warehouse.database}.{name})" for name in sorted(table.reads))
    rows = int(warehouse.trusted_rows(f"select greatest(0, {', '.join(counts)})").data[0][0])
    width = slots.end - slots.first
    return slots.parts(1 + rows * width // Slots().end // ROWS_PER_STEP)


def compare(
    warehouse: Warehouse,
    table: ServingTable,
    parts: Sequence[Slots],
    *,
    again: Again | None = None,
    done: Callable[[], None] = lambda: None,
) -> Comparison:
    """Compares one part after another, and rows that differ `again` if the service runs.

    Calls `done`, which may raise to stop, after each part.
    """
    comparison = Comparison(table.name)
    for slots in parts:
        rows, keys = warehouse.trusted_rows(_compare_sql(warehouse, table, slots.condition)).data[0]
        comparison.rows += int(rows)
        wrong = _still_wrong(warehouse, table, keys, again)
        comparison.wrong += len(wrong)
        for key, stored, made in wrong[: WORST_SHOWN - len(comparison.worst)]:
            comparison.worst.append(Difference({table.key: key}, stored or None, made or None))
        done()
    return comparison


def _still_wrong(warehouse: Warehouse, table: ServingTable, keys: Sequence[str], again: Again | None) -> list[WrongRow]:
    """Of the rows with these keys, those that are wrong.

    On a cluster, the writers of other shards go on meanwhile: only rows that stay wrong are.
    """
    wrong: list[WrongRow] = []
    for attempt in range(CLUSTER_ATTEMPTS if warehouse.cluster else 1):
        if not keys:
            return []
        if attempt:
            time.sleep(PAUSE_SECONDS)
        wrong = again(table.name, keys) if again else wrong_rows_of(warehouse, table, keys)
        keys = [key for key, *_ in wrong]
    return wrong


def compare_again(writer: Writer, name: str, keys: Sequence[str]) -> list[WrongRow]:
    """The rows with these keys that are wrong between two batches. On the writer's thread."""
    table = next(table for table in writer.serving.tables if table.name == name)
    writer.serving.refresh()
    return wrong_rows_of(writer.warehouse, table, keys)


def wrong_rows_of(warehouse: Warehouse, table: ServingTable, keys: Sequence[str]) -> list[WrongRow]:
    """The rows with these keys that are wrong."""
    picks = with_keys(keys if table.key == "user_id" else map(int, keys))
    settings = settings_clause(DISTRIBUTED_SETTINGS) if warehouse.cluster else ""
    sql = f"""
        select toString({table.key}), maxMap(if(stored, row, map())), maxMap(if(stored, map(), row))
        from ({_both_sides(warehouse, table, picks)})
        group by {table.key}
        having uniqExact(hash) != 1 or count() != 2
        order by {table.key}
        {settings}
    """
    return warehouse.trusted_rows(sql).data


def _compare_sql(warehouse: Warehouse, table: ServingTable, picks: Picks) -> str:
    """The number of rows, and the keys of those that differ."""
    settings = settings_clause(DISTRIBUTED_SETTINGS) if warehouse.cluster else ""
    return f"""
        select count(), groupArrayIf({MAX_SUSPECTS})(toString({table.key}), differs)
        from (
            select {table.key}, uniqExact(hash) != 1 or count() != 2 as differs
            from ({_both_sides(warehouse, table, picks)})
            group by {table.key}
        )
        {settings}
    """


def _both_sides(warehouse: Warehouse, table: ServingTable, picks: Picks) -> str:
    types = {name: plain_type(kind) for name, kind in warehouse.schema()[table.name].items()}
    columns = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in types.items())
    values = [name for name in types if name != table.key]
    texts = ", ".join(f"'{name}', left(toString({name}), {SHOWN_CHARACTERS})" for name in values)
    row = f"{table.key}, cityHash64({', '.join(values)}) as hash, map({texts}) as row"
    stored = f"select {columns} from {warehouse.database}.{table.name} where {picks(table.key)}"
    source = warehouse.cluster.select(table, picks) if warehouse.cluster else table.select(picks)
    made = f"select {columns} from ({source})"
    return f"select {row}, true as stored from ({stored}) union all select {row}, false from ({made})"
