"""`alsobought learn ranker`: by how much each feature of a pair of items raises its rank, from what people then bought.

Point in time: candidates and features are asked as of the first of a month, at least `days` before now, by the text that answers;
what is learnt of them is what stood in the orders from then on. Pairs are counted by month, so no other day would be exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from app.errors import Unusable
from app.learning.context import Context
from app.learning.learner import Option, Report

if TYPE_CHECKING:
    import numpy as np

    Columns = dict[str, np.ndarray]

TABLE = "ranker_weights"
MODEL = "also_bought"
NOT_FEATURES = ("item_key", "other_item_key", "times", "decayed")
TOGETHER = 400  # items whose candidates are read at a time
HELD_OUT = 5  # of so many items one is not learnt of but judged by


@dataclass(frozen=True)
class Ranker:
    name: str = "ranker"
    about: str = "How to rank what goes with an item, from what was then bought with it: for also_bought_ranked."
    example: str = "alsobought learn ranker --items 6000"
    tables: tuple[str, ...] = (TABLE,)
    options: tuple[Option, ...] = (
        Option("items", int, 6000, "Learn of so many items, those bought most.", at_least=10, at_most=100_000),
        Option("days", int, 28, "Learn of what was bought in at least so many days.", at_least=1, at_most=365),
        Option("buckets", int, 10, "Each feature has so many buckets.", at_least=2, at_most=100),
        Option("caution", float, 1.0, "The larger, the closer to no weight at all.", at_least=1e-6, at_most=1e6),
    )

    def learn(self, context: Context, **options: Any) -> Report:
        """Raises Unusable where too little was bought since the month began that is learnt of."""
        from app.learning.logistic import fitted, judged

        begin, until = months_start(context.now - timedelta(days=options["days"])), context.now
        newest = context.columns("newest_event")
        read, orders = examples(context, begin, until, options["items"])
        features = [name for name in read if name not in (*NOT_FEATURES, "asked", "bought")]
        held = read["item_key"] % HELD_OUT == 0
        with context.bar("Learning the weights", 2, "steps") as told:
            quality = judged(read, features, held, options["buckets"], options["caution"])
            told(1)
            rows = fitted(read, features, options["buckets"], options["caution"])
            told(1)
        with context.replacement(TABLE) as table:
            stored = table.insert({"model": MODEL, **row} for row in rows)
        return Report(
            events=orders,
            rows={TABLE: stored},
            quality={"pairs": len(held), **quality},
            line=f"of {len(held):,} pairs as of {begin:%Y-%m-%d}; AUC {quality['auc']:.4f}, formula {quality['auc_of_formula']:.4f};"
            f" log loss {quality['log_loss']:.5f}, formula {quality['log_loss_of_formula']:.5f}, on items not learnt of",
            until=int(newest["seq"][0]),
        )


def months_start(moment: datetime) -> datetime:
    """
    >>> months_start(datetime(2026, 5, 17, 12, tzinfo=UTC)).isoformat()
    '2026-05-01T00:00:00+00:00'
    """
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def examples(context: Context, begin: datetime, until: datetime, items: int) -> tuple[Columns, int]:
    """Candidates as of `begin`, with their features, how often they were asked about and bought until `until`; and the orders.

    Raises Unusable where there are none, or nothing of them was bought.
    """
    import numpy as np

    window = {"begin": int(begin.timestamp()), "until": int(until.timestamp())}
    asked = context.columns("ranker_asked", items=items, **window)
    keys = np.sort(asked["item_key"])
    share = asked["asked"][np.argsort(asked["item_key"])]
    parts: list[Columns] = []
    with context.bar("Reading candidates", len(keys), "items") as told:
        for some in _in_parts(keys):
            pairs = context.columns("ranker_pairs", keys=some.tolist(), as_of=window["begin"])
            bought = context.columns("ranker_bought", keys=some.tolist(), **window)
            pairs["bought"] = _looked_up(pairs, bought)
            pairs["asked"] = share[np.searchsorted(keys, pairs["item_key"])]
            parts.append(pairs)
            told(len(some))
    read = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    if not read or not read["bought"].sum():
        raise Unusable(
            f"too little was bought since {begin:%Y-%m-%d} of what went together before: there is nothing to learn of",
            "Try again when there are orders of two months",
        )
    return read, int(asked["orders"].sum())


def _in_parts(keys: np.ndarray) -> Iterator[np.ndarray]:
    for at in range(0, len(keys), TOGETHER):
        yield keys[at : at + TOGETHER]


def _looked_up(pairs: Columns, bought: Columns) -> np.ndarray:
    """Of each pair what is bought of it, 0 where nothing is."""
    import numpy as np

    def mixed(table: Columns) -> np.ndarray:
        return np.asarray(table["item_key"] * np.uint64(0x9E3779B97F4A7C15) ^ table["other_item_key"])

    known = mixed(bought)
    order = np.argsort(known)
    wanted = mixed(pairs)
    place = np.clip(np.searchsorted(known[order], wanted), 0, max(0, len(known) - 1))
    if not len(known):
        return np.zeros(len(wanted))
    found = order[place]
    return np.where(known[found] == wanted, bought["bought"][found], 0.0)
