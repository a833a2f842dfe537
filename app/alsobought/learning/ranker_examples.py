"""Training examples of the ranker: candidates with their features as of a moment, and whether they were bought later."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from alsobought.errors import Unusable
from alsobought.learning.context import Context

BATCH_ITEMS = 400
HOLD_OUT_EVERY = 5  # one of so many items or users is held out

Columns = dict[str, np.ndarray]


def midnight(moment: datetime) -> datetime:
    """
    >>> midnight(datetime(2026, 5, 17, 12, tzinfo=UTC)).isoformat()
    '2026-05-17T00:00:00+00:00'
    """
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def item_examples(context: Context, begin: datetime, until: datetime, items: int) -> tuple[Columns, int]:
    """Candidates of the most bought items as of `begin`, and the number of orders from then until `until`.

    `asked` is how often such an order contained the item, `bought` how often it contained the candidate, too.
    Raises Unusable if there are none, or if none was bought.
    """
    window = {"begin": int(begin.timestamp()), "until": int(until.timestamp())}
    orders = context.columns("ranker_asked", items=items, **window)
    by_key = np.argsort(orders["item_key"])
    keys, asked = orders["item_key"][by_key], orders["asked"][by_key]
    parts: list[Columns] = []
    with context.bar("Reading candidates", len(keys), "items") as advance:
        for start in range(0, len(keys), BATCH_ITEMS):
            batch = keys[start : start + BATCH_ITEMS].tolist()
            pairs = context.columns("ranker_pairs", keys=batch, as_of=window["begin"])
            bought = context.columns("ranker_bought", keys=batch, **window)
            pairs["bought"] = _bought_counts(pairs, bought)
            pairs["asked"] = asked[np.searchsorted(keys, pairs["item_key"])]
            parts.append(pairs)
            advance(len(batch))
    examples = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    if examples:
        examples["held"] = examples["item_key"] % HOLD_OUT_EVERY == 0
    if not examples or not _has_purchases_in_both_parts(examples):
        raise Unusable(
            f"too little was bought since {begin:%Y-%m-%d} of items that were bought together before",
            "Try again when there are orders from before and after that day",
        )
    return examples, int(orders["orders"].sum())


def user_examples(context: Context, begin: datetime, until: datetime, users: int) -> Columns | None:
    """Candidates of users as of `begin`, and whether the user bought them until `until`.

    None if too few users bought before and after, or none bought a candidate.
    """
    window = {"begin": int(begin.timestamp()), "until": int(until.timestamp())}
    ids = [str(row[0]) for row in context.rows("ranker_people", people=users, **window)]
    parts: list[Columns] = []
    with context.bar("Reading users", len(ids), "users") as advance:
        for number, user in enumerate(ids):
            part = context.columns("ranker_person", user=user, **window)
            part["held"] = np.full(len(part["item_key"]), number % HOLD_OUT_EVERY == 0)
            parts.append(part)
            advance(1)
    if len(parts) < HOLD_OUT_EVERY:
        return None
    examples = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    examples["asked"] = np.ones(len(examples["item_key"]))
    return examples if _has_purchases_in_both_parts(examples) else None


def _has_purchases_in_both_parts(examples: Columns) -> bool:
    """True if some of the training examples and some of the held-out ones were bought."""
    return all(bool(examples["bought"][part].sum()) for part in (examples["held"], ~examples["held"]))


def _bought_counts(pairs: Columns, bought: Columns) -> np.ndarray:
    """Looks up the count of each pair; 0 where it was not bought."""

    def hashed(table: Columns) -> np.ndarray:
        return np.asarray(table["item_key"] * np.uint64(0x9E3779B97F4A7C15) ^ table["other_item_key"])

    bought_keys, pair_keys = hashed(bought), hashed(pairs)
    if not len(bought_keys):
        return np.zeros(len(pair_keys))
    order = np.argsort(bought_keys)
    positions = np.clip(np.searchsorted(bought_keys[order], pair_keys), 0, len(bought_keys) - 1)
    rows = order[positions]
    return np.where(bought_keys[rows] == pair_keys, bought["bought"][rows], 0.0)
