"""`alsobought learn embeddings`: a vector for each item, and the index that finds those near one.

Of baskets: what stands in the same orders and sessions (`learning.factors`). Of titles: words of title, brand and category.
Brought: the shop's own, as they came with the items. One of the three answers at a time, for their vectors do not compare.
What has no vector yet gets one from what it stands with, and the others stay, unless all are asked for.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from alsobought.errors import Unusable
from alsobought.learning.context import Context
from alsobought.learning.protocol import Option, Report
from alsobought.learning.table_swap import Replacement

if TYPE_CHECKING:
    import numpy as np

TABLE = "item_embeddings"
INDEX = "nearest"
EQUAL = 1e-5  # distances of 32-bit numbers
SAMPLE = 100  # items whose neighbours are looked for both ways
TITLES = "titles"
BASKETS = "baskets"
BROUGHT = "brought"


@dataclass(frozen=True)
class Vectors:
    """Keys of items and their vectors, of length 1. `kept`: those that answer now stay beside them."""

    keys: np.ndarray
    vectors: np.ndarray
    events: int
    kept: bool

    def rows(self, model: str) -> Iterator[dict[str, Any]]:
        for key, vector in zip(self.keys.tolist(), self.vectors, strict=True):
            yield {"item_key": key, "embedding": [float(f"{x:.7g}") for x in vector], "model": model, "version": 0}


@dataclass(frozen=True)
class Embeddings:
    name: str = "embeddings"
    about: str = "A vector for each item, and an index that finds what is near: for similar_items."
    example: str = "alsobought learn embeddings --from baskets --full"
    tables: tuple[str, ...] = (TABLE,)
    options: tuple[Option, ...] = (
        Option("from", str, BASKETS, "What vectors are made of.", choices=(BASKETS, TITLES, BROUGHT)),
        Option(
            "dimensions", int, 64, "How many numbers a vector has; brought ones have theirs.", at_least=2, at_most=512
        ),
        Option("since", date, None, "Only orders and sessions from this day on."),
        Option("groups", int, 5, "An item needs so many orders or sessions.", at_least=1),
        Option("full", bool, False, "All items, not only those without a vector."),
    )

    def learn(self, context: Context, **options: Any) -> Report:
        """Raises Unusable where there are not enough items."""
        model = options["from"]
        with context.bar(f"Learning embeddings from {model}", 4, "steps") as told:
            newest = context.columns("newest_event")
            with context.replacement(TABLE) as table:
                table.command(f"alter table {{table}} drop index if exists {INDEX}")
                if model == BROUGHT:
                    events, dimensions, aside = 0, *_bring(context, table)
                    made = 0
                else:
                    found = _vectors(context, model, options)
                    told(1)
                    if found.kept:
                        table.command(f"insert into {{table}} select * from {context.warehouse.database}.{TABLE}")
                    made = table.insert(found.rows(model))
                    events, dimensions, aside = found.events, found.vectors.shape[1], 0
                told(1)
                _index(table, dimensions)
                told(1)
                quality = _quality(context, table.name)
                rows = int(context.of_table(table.name, "size")[0][0])
            told(1)
        quality |= {"dimensions": dimensions, "made": rows if model == BROUGHT else made, "other_length": aside}
        return Report(
            events=events,
            rows={TABLE: rows},
            quality=quality,
            line=_line(model, quality),
            until=int(newest["seq"][0]),
        )


def _line(model: str, quality: dict[str, float]) -> str:
    aside = f", {quality['other_length']:,.0f} of another length left aside" if quality["other_length"] else ""
    return (
        f"{quality['made']:,.0f} made from {model}, {quality['dimensions']:.0f} dimensions{aside};"
        f" the index finds {quality['recall']:.1%} of the 10 nearest in {quality['index_ms']:.1f} ms,"
        f" looking at each takes {quality['exact_ms']:.1f} ms"
    )


def _vectors(context: Context, model: str, options: dict[str, Any]) -> Vectors:
    """All anew, or only those of items that have none, where the present ones are of the same kind."""
    present = context.rows("vectors") if not options["full"] else []
    same = bool(present) and present[0][2] == model and len(present[0][1]) == options["dimensions"]
    if model == TITLES:
        return _of_titles(context, options)  # its words weigh otherwise with every new one: always all
    if not same:
        return _of_baskets(context, options)
    return _of_new_items(context, options, present)


def _groups(context: Context, options: dict[str, Any], *, new: bool) -> tuple[np.ndarray, Any]:
    """The keys of the items, and groups by items as a sparse matrix of ones."""
    import numpy as np
    from scipy import sparse

    since = 0
    if options["since"]:
        midnight = datetime.combine(options["since"], datetime.min.time(), UTC)
        since = int(context.columns("first_seq", since=int(midnight.timestamp()))["seq"][0])
    read = context.columns("groups", since=since, least=options["groups"], new=new)
    groups, rows = np.unique(read["group_key"], return_inverse=True)
    keys, columns = np.unique(read["item_key"], return_inverse=True)
    shape = (len(groups), len(keys))
    return keys, sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)


def _of_baskets(context: Context, options: dict[str, Any]) -> Vectors:
    from alsobought.learning.factors import association, pairs_of, unit, vectors

    keys, groups = _groups(context, options, new=False)
    matrix = association(pairs_of(groups))
    if len(keys) < 2 or not matrix.nnz:
        raise Unusable(
            f"{len(keys)} items stand in {options['groups']} orders or sessions or more: too little to learn of",
            "Try --groups 1, or --from titles",
        )
    found = unit(vectors(matrix, options["dimensions"], symmetric=True))
    keep = found.any(axis=1)
    return Vectors(keys[keep], _wide(found[keep], options["dimensions"]), int(groups.nnz), kept=False)


def _of_new_items(context: Context, options: dict[str, Any], present: list[list[Any]]) -> Vectors:
    """Of items without a vector: the mean of the vectors that they stand with, each as much as it goes with them."""
    import numpy as np
    from scipy import sparse

    from alsobought.learning.factors import association, pairs_of, unit

    known = {row[0]: row[1] for row in present}
    keys, groups = _groups(context, options, new=True)
    is_new = np.array([key not in known for key in keys.tolist()], bool)
    if not is_new.any():
        return Vectors(keys[:0], np.zeros((0, options["dimensions"]), np.float32), 0, kept=True)
    counted = context.columns("groups_of_items")
    times = dict(zip(counted["item_key"].tolist(), counted["groups"].tolist(), strict=True))
    totals = np.array([times[key] for key in keys.tolist()], np.float64)
    pairs = sparse.csr_matrix(pairs_of(groups)[is_new])
    nothing = [0.0] * options["dimensions"]
    theirs = np.array([known.get(key, nothing) for key in keys.tolist()], np.float32)
    found = unit(association(pairs, totals) @ theirs)
    keep = found.any(axis=1)
    return Vectors(keys[is_new][keep], found[keep], int(groups.nnz), kept=True)


def _of_titles(context: Context, options: dict[str, Any]) -> Vectors:
    import numpy as np

    from alsobought.learning.factors import unit, vectors, words_of

    rows = context.rows("titles")
    if len(rows) < 2:
        raise Unusable("the catalogue has no words for two items", "Load items with titles: alsobought load items")
    matrix = words_of([row[1] for row in rows])
    found = unit(vectors(matrix, options["dimensions"], symmetric=False))
    keep = found.any(axis=1)
    keys = np.array([row[0] for row in rows], np.uint64)
    return Vectors(keys[keep], _wide(found[keep], options["dimensions"]), 0, kept=False)


def _wide(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    """With zeros behind, where a small shop has fewer dimensions than were asked for."""
    import numpy as np

    return np.pad(vectors, ((0, 0), (0, dimensions - vectors.shape[1])))


def _bring(context: Context, table: Replacement) -> tuple[int, int]:
    """Takes the shop's own vectors of the length that most have: that length, and how many have another."""
    found = context.rows("brought")
    if not found:
        raise Unusable("no item came with an embedding", "Send items with one, or learn --from baskets")
    dimensions = int(found[0][0])
    brought = f"{context.warehouse.database}.brought_embeddings final"
    table.command(
        f"insert into {{table}} select item_key, embedding, '{BROUGHT}', (select max(version) from {brought}) from {brought}"
        f" where length(embedding) = {dimensions:d}"
    )
    return dimensions, sum(int(items) for _, items in found[1:])


def _index(table: Replacement, dimensions: int) -> None:
    """One part and one graph: each part is searched by itself, and a graph is made anew with every merge."""
    table.command("optimize table {table} final")
    kind = f"vector_similarity('hnsw', 'cosineDistance', {dimensions:d})"
    table.command(f"alter table {{table}} add index {INDEX} embedding type {kind}")
    table.command(f"alter table {{table}} materialize index {INDEX} settings mutations_sync = 2")


def _quality(context: Context, table: str) -> dict[str, float]:
    """How many of the 10 nearest the index finds, of some items, and how long both ways take.

    What is as near as the tenth is as good: many items may have the same title.
    """
    keys = [row[0] for row in context.of_table(table, "some_items", most=SAMPLE)]
    seconds: dict[bool, list[float]] = {False: [], True: []}
    hits = wanted = 0
    for key in keys:
        far = {}
        for exact in (False, True):
            began = time.perf_counter()
            far[exact] = [row[1] for row in context.of_table(table, "nearest", exact=exact, item_key=key)]
            seconds[exact].append(time.perf_counter() - began)
        hits += sum(distance <= far[True][-1] + EQUAL for distance in far[False])
        wanted += len(far[True])
    return {
        "recall": hits / max(1, wanted),
        "index_ms": 1000 * statistics.median(seconds[False]),
        "exact_ms": 1000 * statistics.median(seconds[True]),
    }
