"""`alsobought learn embeddings`: a vector for each item, and an index that finds similar items.

The vectors come from baskets (`learning.factors`), from titles, or are external: the shop's own, sent with the items.
Only one of the three serves at a time, because their vectors are not comparable. Without `full`, only items without a
vector get one, from the items that they occur with.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from alsobought.errors import Unusable
from alsobought.learning.context import Context
from alsobought.learning.nearest_index import create_index, measure_index
from alsobought.learning.protocol import LearningResult, Option
from alsobought.learning.table_swap import Replacement

TABLE = "item_embeddings"
TITLES, BASKETS, EXTERNAL = "titles", "baskets", "external"
EXTERNAL_MODEL = "brought"  # the value in item_embeddings.model, which pipes and clients read


@dataclass(frozen=True)
class Embeddings:
    name: str = "embeddings"
    about: str = "Learn a vector for each item, and an index that finds similar ones: for similar_items."
    example: str = "alsobought learn embeddings --from baskets --full"
    tables: tuple[str, ...] = (TABLE,)
    options: tuple[Option, ...] = (
        Option(
            "from",
            str,
            BASKETS,
            "Source of the vectors.",
            choices=(BASKETS, TITLES, EXTERNAL),
            deprecated_choices={EXTERNAL_MODEL: EXTERNAL},
        ),
        Option("dimensions", int, 64, "Length of a vector; external ones keep theirs.", minimum=2, maximum=512),
        Option("since", date, None, "Use only orders and sessions from this day on."),
        Option("groups", int, 5, "Minimum number of orders and sessions of an item.", minimum=1),
        Option("full", bool, False, "Learn all items, not only those without a vector."),
    )

    def learn(self, context: Context, **options: Any) -> LearningResult:
        """Raises Unusable if there are too few items."""
        source = options["from"]
        with context.bar(f"Learning embeddings from {source}", 4, "steps") as advance:
            newest = context.columns("newest_event")
            with context.replacement(TABLE) as table:
                table.command("alter table {table} drop index if exists nearest")
                if source == EXTERNAL:
                    events, inserted, dimensions, other_length = 0, None, *_copy_external(context, table)
                else:
                    events, inserted, dimensions = _insert_learned(context, table, options)
                    other_length = 0
                    advance(1)
                advance(1)
                create_index(table, dimensions)
                advance(1)
                quality = measure_index(context, table.name)
                rows = int(context.rows_of(table.name, "size")[0][0])
            advance(1)
        quality |= {
            "dimensions": dimensions,
            "made": rows if inserted is None else inserted,
            "other_length": other_length,
        }
        return LearningResult(
            events=events,
            rows={TABLE: rows},
            quality=quality,
            line=_summary(source, quality),
            until=int(newest["seq"][0]),
        )


def _summary(source: str, quality: dict[str, float]) -> str:
    omitted = f", {quality['other_length']:,.0f} of another length omitted" if quality["other_length"] else ""
    return (
        f"{quality['made']:,.0f} from {source}, {quality['dimensions']:.0f} dimensions{omitted};"
        f" the index finds {quality['recall']:.1%} of the 10 nearest in {quality['index_ms']:.1f} ms,"
        f" an exact search takes {quality['exact_ms']:.1f} ms"
    )


def _insert_learned(context: Context, table: Replacement, options: dict[str, Any]) -> tuple[int, int, int]:
    """Returns the number of events read, of vectors inserted, and of dimensions."""
    from alsobought.learning.item_vectors import learn_baskets, learn_new_items, learn_titles

    source, dimensions = options["from"], options["dimensions"]
    current = context.rows("vectors") if not options["full"] else []
    extensible = bool(current) and current[0][2] == source and len(current[0][1]) == dimensions
    if source == TITLES:  # each new title changes the weights of all words: always learned in full
        vectors = learn_titles(context, dimensions)
    elif extensible:
        vectors = learn_new_items(context, options, current)
    else:
        vectors = learn_baskets(context, options)
    if vectors.keep_current:
        table.command(f"insert into {{table}} select * from {context.warehouse.local_database}.{TABLE}")
    return vectors.events, table.insert(vectors.rows(source)), vectors.vectors.shape[1]


def _copy_external(context: Context, table: Replacement) -> tuple[int, int]:
    """Copies the external vectors of the most frequent length. Returns it, and the number of vectors of other lengths."""
    lengths = context.rows("brought")
    if not lengths:
        raise Unusable("no item has an external embedding", "Send items with one, or learn --from baskets")
    dimensions = int(lengths[0][0])
    external = f"{context.warehouse.local_database}.brought_embeddings final"
    table.command(
        f"insert into {{table}} select item_key, embedding, '{EXTERNAL_MODEL}',"
        f" (select max(version) from {external}) from {external} where length(embedding) = {dimensions:d}"
    )
    return dimensions, sum(int(items) for _, items in lengths[1:])
