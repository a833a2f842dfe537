"""The vector index of item_embeddings: its creation, and its recall and speed against an exact search."""

from __future__ import annotations

import statistics
import time

from alsobought.learning.context import Context
from alsobought.learning.table_swap import Replacement

INDEX = "nearest"
DISTANCE_TOLERANCE = 1e-5  # of 32-bit floats
SAMPLE_ITEMS = 100


def create_index(table: Replacement, dimensions: int) -> None:
    """Merges the table into one part first: the engine searches each part by itself, and a merge builds its graph again."""
    table.command("optimize table {table} final")
    index_type = f"vector_similarity('hnsw', 'cosineDistance', {dimensions:d})"
    table.command(f"alter table {{table}} add index {INDEX} embedding type {index_type}")
    table.command(f"alter table {{table}} materialize index {INDEX} settings mutations_sync = 2")


def measure_index(context: Context, table: str) -> dict[str, float]:
    """The recall of the 10 nearest of a sample of items, and the median milliseconds of both searches.

    Every item as near as the tenth is a hit, because many items may have the same title.
    """
    keys = [row[0] for row in context.rows_of(table, "some_items", most=SAMPLE_ITEMS)]
    seconds: dict[bool, list[float]] = {False: [], True: []}
    hits = expected = 0
    for key in keys:
        distances = {}
        for exact in (False, True):
            started = time.perf_counter()
            distances[exact] = [row[1] for row in context.rows_of(table, "nearest", exact=exact, item_key=key)]
            seconds[exact].append(time.perf_counter() - started)
        hits += sum(distance <= distances[True][-1] + DISTANCE_TOLERANCE for distance in distances[False])
        expected += len(distances[True])
    return {
        "recall": hits / max(1, expected),
        "index_ms": 1000 * statistics.median(seconds[False]),
        "exact_ms": 1000 * statistics.median(seconds[True]),
    }
