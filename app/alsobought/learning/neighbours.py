"""`alsobought learn neighbours`: for every item, the items that its users want next, by EASE (`learning.ease`).

Of the measured methods, the best for items that are new to a user. The pipes that recommend to a user read the lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alsobought.errors import Unusable
from alsobought.learning.context import Context
from alsobought.learning.protocol import LearningResult, Option

MIN_ITEMS = MIN_USERS = 2


@dataclass(frozen=True)
class Neighbours:
    name: str = "neighbours"
    about: str = "Learn for each item the items that its users want next (EASE), for recommendations to a user."
    example: str = "alsobought learn neighbours --items 8000"
    tables: tuple[str, ...] = ("item_neighbours",)
    options: tuple[Option, ...] = (
        Option("items", int, 8000, "Number of items, those with the most users.", minimum=2, maximum=30_000),
        Option("people", int, 5, "Minimum number of users of an item.", minimum=1),
        Option(
            "regularisation", float, 200.0, "Regularisation λ: larger values recommend less.", minimum=0.01, maximum=1e6
        ),
        Option("neighbours", int, 50, "Maximum number of lists that contain an item.", minimum=1, maximum=1000),
    )

    def learn(self, context: Context, **options: Any) -> LearningResult:
        """Raises Unusable if fewer than two items have enough users."""
        import numpy as np
        from scipy import sparse

        from alsobought.learning.ease import strongest, weights

        with context.bar("Learning neighbours", 4, "steps") as advance:
            newest = context.columns("newest_event")
            signals = context.columns("neighbours", most=options["items"], least=options["people"])
            users, rows = np.unique(signals["user_key"], return_inverse=True)
            keys, columns = np.unique(signals["item_key"], return_inverse=True)
            if len(keys) < MIN_ITEMS or len(users) < MIN_USERS:
                raise Unusable(
                    f"{len(keys)} items have {options['people']} users or more: too little to learn from",
                    "Try again with more events, or with --people 1",
                )
            advance(1)
            matrix = sparse.csr_matrix((signals["value"], (rows, columns)), shape=(len(users), len(keys)))
            item_weights = weights(matrix, options["regularisation"])
            advance(1)
            with context.replacement("item_neighbours") as table:
                stored = table.insert(
                    {"item_key": int(keys[item]), "neighbours": _pairs(keys[others], value)}
                    for item, others, value in strongest(item_weights, options["neighbours"])
                )
                advance(1)
                table.command("optimize table {table} final")
            advance(1)
        share = float(signals["happened"].sum() / max(1, int(newest["events"][0])))
        return LearningResult(
            events=int(signals["happened"].sum()),
            rows={"item_neighbours": stored},
            quality={"people": len(users), "items": len(keys), "share_of_events": share},
            line=f"{len(keys):,} items of {len(users):,} users, {share:.0%} of all events",
            until=int(newest["seq"][0]),
        )


def _pairs(keys: Any, values: Any) -> list[tuple[int, float]]:
    return list(zip(keys.tolist(), values.tolist(), strict=True))
