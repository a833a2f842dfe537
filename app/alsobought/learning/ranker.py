"""`alsobought learn ranker`: by how much each feature of a pair of items raises its rank, from what people then bought.

Point in time: candidates and features are asked as of a midnight, `days` before now, by the text that answers, with pairs counted
again from the events before it; what is learnt of them is what stood in the orders from then on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from alsobought.errors import Unusable
from alsobought.learning.context import Context
from alsobought.learning.protocol import Option, Report

if TYPE_CHECKING:
    import numpy as np

    Columns = dict[str, np.ndarray]

TABLE = "ranker_weights"
PAIRS, PEOPLE = "also_bought", "rank"  # the models
NOT_FEATURES = ("item_key", "other_item_key", "times", "decayed", "asked", "bought", "held")
TOGETHER = 400  # items whose candidates are read at a time
HELD_OUT = 5  # of so many items or people one is not learnt of but judged by


@dataclass(frozen=True)
class Ranker:
    name: str = "ranker"
    about: str = "How to rank, from what was then bought: for also_bought_ranked and rank."
    example: str = "alsobought learn ranker --items 6000"
    tables: tuple[str, ...] = (TABLE,)
    options: tuple[Option, ...] = (
        Option("items", int, 8000, "Learn of so many items, those bought most.", at_least=10, at_most=100_000),
        Option("people", int, 300, "Learn of so many people; 0: nothing about people.", at_least=0, at_most=100_000),
        Option("days", int, 28, "Learn of what was bought in so many days.", at_least=1, at_most=365),
        Option("buckets", int, 10, "Each feature has so many buckets.", at_least=2, at_most=100),
        Option("caution", float, 1.0, "The larger, the closer to no weight at all.", at_least=1e-6, at_most=1e6),
    )

    def learn(self, context: Context, **options: Any) -> Report:
        """Raises Unusable where too little was bought since the month began that is learnt of."""
        from alsobought.learning.logistic import fitted, judged

        begin, until = midnight(context.now - timedelta(days=options["days"])), context.now
        newest = context.columns("newest_event")
        read, orders = of_pairs(context, begin, until, options["items"])
        models = {PAIRS: read}
        people = of_people(context, begin, until, options["people"])
        if people is not None:
            models[PEOPLE] = people
        quality: dict[str, float] = {}
        rows: list[dict[str, Any]] = []
        with context.bar("Learning the weights", len(models), "models") as told:
            for model, examples in models.items():
                features = [name for name in examples if name not in NOT_FEATURES]
                by = (examples, features, options["buckets"], options["caution"])
                found = judged(*by, held=examples["held"])
                quality |= {f"{model}_{measure}": value for measure, value in found.items()}
                quality[f"{model}_examples"] = len(examples["asked"])
                rows += [{"model": model, **row} for row in fitted(*by)]
                told(1)
        with context.replacement(TABLE) as table:
            stored = table.insert(rows)
        said = "; ".join(_said(model, quality) for model in models)
        return Report(
            events=orders,
            rows={TABLE: stored},
            quality=quality,
            line=f"as of {begin:%Y-%m-%d}, judged by what was not learnt of: {said}",
            until=int(newest["seq"][0]),
        )


def _said(model: str, quality: dict[str, float]) -> str:
    measures = [
        f"{words} {quality[f'{model}_{name}']:.4f} (formula {quality[f'{model}_{name}_of_formula']:.4f})"
        for name, words in (("auc", "AUC"), ("log_loss", "log loss"))
    ]
    return f"{model}, {int(quality[f'{model}_examples']):,} examples, " + ", ".join(measures)


def midnight(moment: datetime) -> datetime:
    """
    >>> midnight(datetime(2026, 5, 17, 12, tzinfo=UTC)).isoformat()
    '2026-05-17T00:00:00+00:00'
    """
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def of_pairs(context: Context, begin: datetime, until: datetime, items: int) -> tuple[Columns, int]:
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
    if not read or not _both_have_some(read):
        raise Unusable(
            f"too little was bought since {begin:%Y-%m-%d} of what went together before: there is nothing to learn of",
            "Try again when there are orders from before and after that day",
        )
    read["held"] = read["item_key"] % HELD_OUT == 0
    return read, int(asked["orders"].sum())


def of_people(context: Context, begin: datetime, until: datetime, people: int) -> Columns | None:
    """The candidates of people as of `begin`, with their features, and whether they bought them until `until`.

    None where nobody bought before and after, or nobody a candidate.
    """
    import numpy as np

    window = {"begin": int(begin.timestamp()), "until": int(until.timestamp())}
    users = [str(row[0]) for row in context.rows("ranker_people", people=people, **window)]
    parts: list[Columns] = []
    with context.bar("Reading people", len(users), "people") as told:
        for number, user in enumerate(users):
            part = context.columns("ranker_person", user=user, **window)
            part["held"] = np.full(len(part["item_key"]), number % HELD_OUT == 0)
            parts.append(part)
            told(1)
    if len(parts) < HELD_OUT:
        return None
    read = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    read["asked"] = np.ones(len(read["item_key"]))
    some = [read["bought"][part].sum() for part in (read["held"], ~read["held"])]
    return read if all(some) else None


def _both_have_some(read: Columns) -> bool:
    """Whether something was bought of what is learnt of, and of what is held out."""
    held = read["item_key"] % HELD_OUT == 0
    return bool(read["bought"][held].sum()) and bool(read["bought"][~held].sum())


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
