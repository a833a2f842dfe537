"""LambdaRank (Burges 2010) by LightGBM over the 200 candidates of a formula, the second stage of a recommender as many run it.

It learns on the days before the split: their questions, on counts up to their beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import lightgbm
import numpy as np

from alsobought.evaluation.baselines.candidates import BLOCK, Pairs, People
from alsobought.evaluation.baselines.scores import Floats, pieces
from alsobought.evaluation.log import MILLISECONDS_A_DAY, Integers, Log, Purchases, Split, moment
from alsobought.evaluation.tasks import ALSO_BOUGHT, TASKS, Query
from alsobought.evaluation.tasks import queries as queries_of
from alsobought.events import Item

DAYS = 28  # that it learns on
QUESTIONS = 4_000
SEED = 1
TREES = 200
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
    "num_threads": 1,  # the same everywhere, and quick where others work, too
    "seed": SEED,
}


class LightGBM:
    tasks = TASKS

    def __init__(self, trees: int = TREES, questions: int = QUESTIONS, days: int = DAYS) -> None:
        self._trees, self._questions, self._days = trees, questions, days

    def fit(self, past: Purchases, items: Mapping[str, Item], task: str) -> None:
        candidates = Pairs if task == ALSO_BOUGHT else People
        earlier, later = past.cut(past.until - self._days * MILLISECONDS_A_DAY)
        active = frozenset(past.names.users[user] for user in np.unique(earlier.user))
        log = Log(Split(moment(earlier.until), self._days), earlier, later, active)
        asked = queries_of(log, task, SEED)
        drawn = np.random.default_rng(SEED).permutation(len(asked))[: self._questions]
        self.model = _learnt(candidates(earlier, items, task), [asked[place] for place in sorted(drawn)], self._trees)
        self.candidates, self.names = candidates(past, items, task), past.names

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]:
        lists = []
        for part, places, known in _blocks(self.candidates, queries):
            width = places.shape[1]
            scores = np.asarray(self.model.predict(known.reshape(len(part) * width, -1))).reshape(len(part), width)
            scores[~np.isfinite(known[:, :, 0])] = -np.inf  # what is forbidden or was never sold
            for row, values in enumerate(scores):
                order = np.argsort(-values, kind="stable")[:k]
                lists.append([self.names.items[places[row, at]] for at in order if np.isfinite(values[at])])
        return lists


def _learnt(candidates: Pairs | People, asked: Sequence[Query], trees: int) -> lightgbm.Booster:
    """Raises ValueError where no candidate of any question was right."""
    facts, labels, groups = [], [], []
    for part, places, known in _blocks(candidates, asked):
        for row, query in enumerate(part):
            right = [candidates.names.item_places[item] for item in query.truth]
            hits = np.isin(places[row], right)
            if hits.any():
                facts.append(known[row].astype(np.float32))
                labels.append(hits)
                groups.append(places.shape[1])
    data = lightgbm.Dataset(np.concatenate(facts), np.concatenate(labels), group=groups, free_raw_data=True)
    return lightgbm.train(PARAMETERS, data, num_boost_round=trees)


def _blocks(candidates: Pairs | People, queries: Sequence[Query]) -> Iterator[tuple[Sequence[Query], Integers, Floats]]:
    for part in pieces(queries, BLOCK):
        yield part, *candidates.of(part)
