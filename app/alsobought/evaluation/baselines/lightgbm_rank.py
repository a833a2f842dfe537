"""LambdaRank (Burges 2010) by LightGBM over the 200 candidates of a formula, as the second stage of a recommender.

It is trained on the queries of the months before the split, each with counts up to its first day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import lightgbm
import numpy as np
import numpy.typing as npt

from alsobought.evaluation.baselines.candidates import Candidates
from alsobought.evaluation.baselines.item_candidates import ItemCandidates
from alsobought.evaluation.baselines.registry import TooFewRows
from alsobought.evaluation.baselines.scores import Floats, batches
from alsobought.evaluation.baselines.user_candidates import UserCandidates
from alsobought.evaluation.log import MILLISECONDS_A_DAY, Integers, Interactions, Log, Split, moment
from alsobought.evaluation.tasks import SHOWN_TASKS, TASKS, Query, task_queries
from alsobought.items import Item

TRAINING_DAYS = 28
TRAINING_QUERIES = 4_000
SEED = 1
WINDOWS = 4
EASE_ITEMS = 4_000
TREES = 100
MAX_LEAF_ROWS, ROWS_A_LEAF = 200, 1_000  # a leaf of a small log has a thousandth of its rows
MIN_QUERIES = 10  # with a relevant candidate, to train on
PARAMETERS = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 20,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "feature_fraction": 0.8,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # deterministic, and fast on a busy machine
    "seed": SEED,
}


class LightGBM:
    """Trained on `queries` queries of the last periods of `days`, `windows` at most, with counts up to the first day of each.

    A period has half of the queries at most, so that no single one decides.
    """

    tasks = TASKS

    def __init__(
        self,
        trees: int = TREES,
        queries: int = TRAINING_QUERIES,
        days: int = TRAINING_DAYS,
        windows: int = WINDOWS,
        ease_items: int = EASE_ITEMS,
    ) -> None:
        self._trees, self._queries, self._days, self._windows = trees, queries, days, max(1, windows)
        self._ease_items = ease_items

    def fit(self, past: Interactions, items: Mapping[str, Item], task: str) -> None:
        rows = _TrainingRows()
        for window in range(self._windows):
            end = past.until - window * self._days * MILLISECONDS_A_DAY
            earlier, later = past.part(past.time < end, end).cut(end - self._days * MILLISECONDS_A_DAY)
            count = min((self._queries + 1) // 2, self._queries - rows.queries)
            if count and len(earlier):
                queries = _training_queries(earlier, later, self._days, task, count)
                rows.add(self._candidates(earlier, items, task), queries)
        self.model = rows.train(self._trees)
        self.candidates, self.names = self._candidates(past, items, task), past.names

    def _candidates(self, past: Interactions, items: Mapping[str, Item], task: str) -> Candidates:
        make = ItemCandidates if task in SHOWN_TASKS else UserCandidates
        return make(past, items, task, self._ease_items)

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]:
        lists = []
        for batch, candidates, features in _batches(self.candidates, queries):
            width = candidates.shape[1]
            scores = np.asarray(self.model.predict(features.reshape(len(batch) * width, -1))).reshape(len(batch), width)
            scores[~np.isfinite(features[:, :, 0])] = -np.inf  # forbidden or never sold
            for row, values in enumerate(scores):
                order = np.argsort(-values, kind="stable")[:k]
                lists.append(
                    [self.names.items[candidates[row, column]] for column in order if np.isfinite(values[column])]
                )
        return lists


def _training_queries(earlier: Interactions, later: Interactions, days: int, task: str, count: int) -> list[Query]:
    active = frozenset(earlier.names.users[user] for user in np.unique(earlier.user))
    queries = task_queries(Log(Split(moment(earlier.until), days), earlier, later, active), task, SEED)
    sample = np.random.default_rng(SEED).permutation(len(queries))[:count]
    return [queries[index] for index in sorted(sample)]


class _TrainingRows:
    """The features of the candidates of queries with a relevant candidate, and which are relevant."""

    def __init__(self) -> None:
        self.queries = 0
        self._features: list[Floats] = []
        self._labels: list[npt.NDArray[np.bool_]] = []
        self._groups: list[int] = []

    def add(self, candidates: Candidates, queries: Sequence[Query]) -> None:
        self.queries += len(queries)
        for batch, items, values in _batches(candidates, queries):
            for row, query in enumerate(batch):
                relevant = [candidates.names.item_index[item] for item in query.truth]
                hits = np.isin(items[row], relevant)
                if hits.any():
                    self._features.append(values[row].astype(np.float32))
                    self._labels.append(hits)
                    self._groups.append(items.shape[1])

    def train(self, trees: int) -> lightgbm.Booster:
        """Raises TooFewRows if too few queries have a relevant candidate."""
        if len(self._groups) < MIN_QUERIES:
            raise TooFewRows(
                f"too few rows to train: skipped. {len(self._groups)} queries of earlier days have a relevant candidate, and"
                f" {MIN_QUERIES} are needed"
            )
        features, labels = np.concatenate(self._features), np.concatenate(self._labels)
        parameters = PARAMETERS | {"min_data_in_leaf": min(MAX_LEAF_ROWS, max(2, len(labels) // ROWS_A_LEAF))}
        data = lightgbm.Dataset(features, labels, group=self._groups, free_raw_data=True)
        return lightgbm.train(parameters, data, num_boost_round=trees)


def _batches(candidates: Candidates, queries: Sequence[Query]) -> Iterator[tuple[Sequence[Query], Integers, Floats]]:
    for batch in batches(queries, len(candidates.names.items)):
        yield batch, *candidates.of(batch)
