"""What a re-ranker knows of an item: how it sells, how often its buyers come back, in which baskets, and its catalogue entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from alsobought.evaluation.baselines.scores import Floats, popularity
from alsobought.evaluation.log import Integers, Interactions
from alsobought.items import Item

WEEK, MONTH, QUARTER = 7, 28, 84  # days
PRIOR_BUYERS = 2  # with one basket each, so that one buyer who came back is not a rate


class ItemFeatures:
    """Arrays with one number per item. `columns` are features; the codes of category, department and brand are not."""

    def __init__(self, past: Interactions, items: Mapping[str, Item]) -> None:
        names, lines = past.names, past.lines
        catalogue = [items.get(name) for name in names.items]
        width = len(catalogue)
        self.baskets = np.bincount(lines.item, minlength=width).astype(np.float64)
        self.sold = self.baskets > 0
        buyers = np.unique(lines.user * width + lines.item) % max(1, width)
        self.buyers = np.bincount(buyers, minlength=width).astype(np.float64)
        self.week, self.month, self.quarter = (popularity(past, days) for days in (WEEK, MONTH, QUARTER))
        self.rebuys = (self.baskets + PRIOR_BUYERS) / (self.buyers + PRIOR_BUYERS)
        sizes = np.bincount(lines.basket, minlength=len(names.baskets))
        self.basket_size = np.bincount(lines.item, sizes[lines.basket], width) / np.maximum(self.baskets, 1)
        self.price = np.asarray([(item.price or 0.0) if item else 0.0 for item in catalogue])
        categories = [(item.category or "") if item else "" for item in catalogue]
        self.category = _codes(categories)
        self.department = _codes([category.partition("/")[0] for category in categories])
        self.brand = _codes([(item.brand or "") if item else "" for item in catalogue])
        of_category = np.bincount(self.category, self.baskets)
        buyers_of_category = np.bincount(self.category, self.buyers)
        self.category_rebuys = ((of_category + PRIOR_BUYERS) / (buyers_of_category + PRIOR_BUYERS))[self.category]
        self.category_share = (np.bincount(self.category, self.month) / max(float(self.month.sum()), 1e-12))[
            self.category
        ]

    def columns(self, candidates: Integers) -> list[Floats]:
        """The features of these items, each in their shape."""
        trend = self.week / np.maximum(self.month, 1e-5)
        season = self.month / np.maximum(self.quarter, 1e-5)
        sales = (self.baskets, self.buyers, self.week, self.month, self.quarter, trend, season, self.rebuys)
        rest = (self.basket_size, self.price, self.category_rebuys, self.category_share)
        return [column[candidates] for column in (*sales, *rest)]


def _codes(names: Sequence[str]) -> Integers:
    return np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)
