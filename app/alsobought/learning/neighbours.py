"""`alsobought learn neighbours`: of every item, what those who have it want next, by EASE (`learning.ease`).

The strongest method known for what somebody has never had; its lists are read by the pipes that recommend to a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alsobought.errors import Unusable
from alsobought.learning.context import Context
from alsobought.learning.protocol import Option, Report

FEWEST = 2  # items and people, to say anything


@dataclass(frozen=True)
class Neighbours:
    name: str = "neighbours"
    about: str = "Of each item the items that its people want next (EASE), for recommendations to a person."
    example: str = "alsobought learn neighbours --items 8000"
    tables: tuple[str, ...] = ("item_neighbours",)
    options: tuple[Option, ...] = (
        Option("items", int, 8000, "So many items, those with the most people.", at_least=2, at_most=30_000),
        Option("people", int, 5, "An item needs so many people.", at_least=1),
        Option("regularisation", float, 200.0, "The larger, the more cautious (λ).", at_least=0.01, at_most=1e6),
        Option("neighbours", int, 50, "An item stands in the lists of so many others.", at_least=1, at_most=1000),
    )

    def learn(self, context: Context, **options: Any) -> Report:
        """Raises Unusable where fewer than two items have enough people."""
        import numpy as np
        from scipy import sparse

        from alsobought.learning.ease import strongest, weights

        with context.bar("Learning neighbours", 4, "steps") as told:
            newest = context.columns("newest_event")
            read = context.columns("neighbours", most=options["items"], least=options["people"])
            people, rows = np.unique(read["user_key"], return_inverse=True)
            keys, columns = np.unique(read["item_key"], return_inverse=True)
            if min(len(keys), len(people)) < FEWEST:
                raise Unusable(
                    f"{len(keys)} items have {options['people']} people or more: that is too little to learn of",
                    "Try again when there are more events, or with --people 1",
                )
            told(1)
            matrix = sparse.csr_matrix((read["value"], (rows, columns)), shape=(len(people), len(keys)))
            made = weights(matrix, options["regularisation"])
            told(1)
            with context.replacement("item_neighbours") as table:
                stored = table.insert(
                    {"item_key": int(keys[item]), "neighbours": _pairs(keys[others], value)}
                    for item, others, value in strongest(made, options["neighbours"])
                )
                told(1)
                table.command("optimize table {table} final")
            told(1)
        share = float(read["happened"].sum() / max(1, int(newest["events"][0])))
        return Report(
            events=int(read["happened"].sum()),
            rows={"item_neighbours": stored},
            quality={"people": len(people), "items": len(keys), "share_of_events": share},
            line=f"{len(keys):,} items of {len(people):,} people, {share:.0%} of all events",
            until=int(newest["seq"][0]),
        )


def _pairs(keys: Any, values: Any) -> list[tuple[int, float]]:
    return list(zip(keys.tolist(), values.tolist(), strict=True))
