"""LambdaRank (Burges 2010) by LightGBM over the 200 candidates of a formula, as the second stage of a recommender.

It is trained on the queries of the days before the split, with counts up to the first of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import lightgbm
import numpy as np

from alsobought.evaluation.baselines.candidates import BATCH_QUERIES, ItemCandidates, UserCandidates
from alsobought.evaluation.baselines.registry import TooFewRows
from alsobought.evaluation.baselines.scores import Floats, batches
from alsobought.evaluation.log import MILLISECONDS_A_DAY, Integers, Interactions, Log, Split, moment
from alsobought.evaluation.tasks import ALSO_BOUGHT, TASKS, Query, task_queries
from alsobought.items import Item

TRAINING_DAYS = 28
TRAINING_QUERIES = 4_000
SEED = 1
TREES = 200
MIN_QUERIES = 10  # with a relevant candidate, to train on
PARAMETERS = {
    "objective": "lambdarank",
    "lambdarank_truncation_level": 20,
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.8,
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # deterministic, and fast on a busy machine
    "seed": SEED,
}


class LightGBM:
    tasks = TASKS

    def __init__(self, trees: int = TREES, queries: int = TRAINING_QUERIES, days: int = TRAINING_DAYS) -> None:
        self._trees, self._queries, self._days = trees, queries, days

    def fit(self, past: Interactions, items: Mapping[str, Item], task: str) -> None:
        candidates = ItemCandidates if task == ALSO_BOUGHT else UserCandidates
        earlier, later = past.cut(past.until - self._days * MILLISECONDS_A_DAY)
        active = frozenset(past.names.users[user] for user in np.unique(earlier.user))
        log = Log(Split(moment(earlier.until), self._days), earlier, later, active)
        queries = task_queries(log, task, SEED)
        sample = np.random.default_rng(SEED).permutation(len(queries))[: self._queries]
        self.model = _train(candidates(earlier, items, task), [queries[index] for index in sorted(sample)], self._trees)
        self.candidates, self.names = candidates(past, items, task), past.names

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


def _train(candidates: ItemCandidates | UserCandidates, queries: Sequence[Query], trees: int) -> lightgbm.Booster:
    """Raises TooFewRows if too few queries have a relevant candidate."""
    features, labels, groups = [], [], []
    for batch, items, values in _batches(candidates, queries):
        for row, query in enumerate(batch):
            relevant = [candidates.names.item_index[item] for item in query.truth]
            hits = np.isin(items[row], relevant)
            if hits.any():
                features.append(values[row].astype(np.float32))
                labels.append(hits)
                groups.append(items.shape[1])
    if len(groups) < MIN_QUERIES:
        raise TooFewRows(
            f"too few rows to train: skipped. {len(groups)} of the queries of the days before have a relevant candidate, and"
            f" {MIN_QUERIES} are needed"
        )
    data = lightgbm.Dataset(np.concatenate(features), np.concatenate(labels), group=groups, free_raw_data=True)
    return lightgbm.train(PARAMETERS, data, num_boost_round=trees)


def _batches(
    candidates: ItemCandidates | UserCandidates, queries: Sequence[Query]
) -> Iterator[tuple[Sequence[Query], Integers, Floats]]:
    for batch in batches(queries, BATCH_QUERIES):
        yield batch, *candidates.of(batch)
