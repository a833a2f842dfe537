"""Candidates where an item is shown: by the formula of the SQL, with what both items share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from alsobought.evaluation.baselines.candidates import broadcast, highest, of_ease, picker, signed_root
from alsobought.evaluation.baselines.co_occurrence import PRIOR, basket_weights
from alsobought.evaluation.baselines.ease import Ease
from alsobought.evaluation.baselines.item_features import MONTH, ItemFeatures
from alsobought.evaluation.baselines.matrices import Matrix, of_groups, with_unknown_row
from alsobought.evaluation.baselines.scores import Floats, forbid, shown_rows
from alsobought.evaluation.log import Integers, Interactions
from alsobought.evaluation.tasks import ALSO_SEEN, Query
from alsobought.items import Item


class ItemCandidates:
    """Groups are those of the task: baskets, or for also-seen users. Counts of an unknown item are 0."""

    def __init__(self, past: Interactions, items: Mapping[str, Item], task: str, ease_items: int) -> None:
        self.names, self.features = past.names, ItemFeatures(past, items)
        self.groups, self.users = of_groups(past, task), of_groups(past, ALSO_SEEN)
        sizes = np.maximum(np.asarray(self.groups.sum(axis=1)).ravel(), 1)
        used = np.unique(self.groups.nonzero()[0])
        self.total = len(used)
        self.counts: Floats = np.bincount(self.groups.indices, minlength=self.groups.shape[1]).astype(np.float64)
        weights = 1 / np.sqrt(sizes) if task == ALSO_SEEN else basket_weights(past)
        recent = of_groups(past.part(past.age <= MONTH), task)
        walks = sparse.diags(1 / np.maximum(np.asarray(self.users.sum(axis=1)).ravel(), 1)) @ self.users
        self.weighted = _by_item(sparse.diags(weights) @ self.groups)
        self.shared = [  # of the item shown, by the groups or users in which both items are
            (_by_item(sparse.diags(1 / np.sqrt(sizes)) @ self.groups), self.groups),
            (_by_item(recent), recent),
            (_by_item(self.users), self.users),
            (_by_item(walks), self.users),
        ]
        self.counted = _by_item(self.groups)
        self.prior = PRIOR * (float(weights[used].mean()) if len(used) else 0.0) * self.features.month
        self.by_category = _category_lift(self.groups, self.features.category)
        self.ease = Ease(ease_items)
        self.ease.fit(past, items, task)

    def of(self, queries: Sequence[Query]) -> tuple[Integers, Floats]:
        shown = shown_rows(queries, self.names)
        weighted: Floats = (self.weighted[shown] @ self.groups).toarray()
        scores = weighted + self.prior
        scores[:, ~self.features.sold] = -np.inf
        forbid(scores, queries, self.names)
        candidates = highest(scores)
        pick = picker(candidates)
        counts = pick((self.counted[shown] @ self.groups).toarray())
        columns = [pick(scores), pick(weighted), counts]
        columns += [pick((by_item[shown] @ groups).toarray()) for by_item, groups in self.shared]
        columns += [of_ease(self.ease, queries, candidates), *self._pair_features(shown, candidates, counts)]
        columns += self.features.columns(candidates)
        columns.append(np.broadcast_to(np.arange(candidates.shape[1], dtype=np.float64), candidates.shape))
        return candidates, np.stack(columns, axis=2)

    def _pair_features(self, shown: Integers, candidates: Integers, counts: Floats) -> list[Floats]:
        items, shown = self.features, np.minimum(shown, len(self.names.items) - 1)
        one, other = self.counts[shown][:, None], self.counts[candidates]
        price = np.log((items.price[candidates] + 0.01) / (items.price[shown][:, None] + 0.01))
        same = [
            (codes[shown][:, None] == codes[candidates]) * 1.0
            for codes in (items.category, items.department, items.brand)
        ]
        of_shown: list[Floats] = [
            self.counts,
            items.rebuys,
            items.basket_size,
            items.month,
            items.category.astype(np.float64),
        ]
        return [
            counts / np.maximum(one, 1),
            counts * self.total / np.maximum(one * other, 1),
            counts / np.sqrt(np.maximum(one * other, 1)),
            signed_root(counts, one, other, self.total),
            *same,
            price,
            self.by_category[items.category[shown][:, None], items.category[candidates]],
            *(broadcast(values[shown], candidates) for values in of_shown),
        ]


def _category_lift(groups: Matrix, category: Integers) -> Floats:
    """categories x categories: how many more groups have both than if they were independent, as a logarithm."""
    width = int(category.max(initial=0)) + 1
    of_items = sparse.csr_matrix(
        (np.ones(len(category)), (np.arange(len(category)), category)), shape=(len(category), width)
    )
    members = ((groups @ of_items) > 0).astype(np.float64)
    both: Floats = (members.T @ members).toarray()
    single, total = both.diagonal(), max(1, len(np.unique(groups.nonzero()[0])))
    return np.log((both + 1) * total / ((single[:, None] + 1) * (single[None, :] + 1)))


def _by_item(values: Matrix) -> Matrix:
    return with_unknown_row(values.T.tocsr())
