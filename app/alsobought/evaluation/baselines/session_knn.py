"""Session nearest neighbours, V-SKNN (Ludewig and Jannach 2018, arXiv 1803.09587): items of similar sessions.

Of L known items the n-th weighs n/L. A session is as similar as the sum of the weights of the items that it shares, divided by L.
Of the latest sessions that share an item, the nearest count for each of their items: similarity · 1/m, where the latest known
item that they share is the m-th from the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from alsobought.evaluation.baselines.matrices import of_groups
from alsobought.evaluation.baselines.scores import TIE_BREAK, Floats, best, popularity
from alsobought.evaluation.log import Integers, Interactions
from alsobought.evaluation.tasks import ALSO_SEEN, SHOWN_TASKS, Query
from alsobought.items import Item

SAMPLE = 1_000
NEIGHBOURS = 200


class SessionKNN:
    """`sample` is the number of latest sessions with an item that are compared, `neighbours` how many of them count."""

    tasks = SHOWN_TASKS

    def __init__(self, sample: int = SAMPLE, neighbours: int = NEIGHBOURS) -> None:
        self._sample, self._neighbours = sample, neighbours

    def fit(self, past: Interactions, items: Mapping[str, Item], task: str) -> None:  # noqa: ARG002
        self.past, self.popular = past, popularity(past)
        self.sessions = of_groups(past, task)
        self.sessions_of_item = self.sessions.T.tocsr()
        self.times = np.zeros(self.sessions.shape[0])
        self.times[past.lines.user if task == ALSO_SEEN else past.lines.basket] = past.lines.time  # the latest

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]:
        return best(queries, k, self.past, self._scores)

    def _scores(self, queries: Sequence[Query]) -> Floats:
        scores = np.tile(TIE_BREAK * self.popular, (len(queries), 1))
        index = self.past.names.item_index
        for row, query in enumerate(queries):
            known = [index.get(item, -1) for item in (*query.before, query.shown)]
            scores[row] += self.scores_of(known)
        return scores

    def scores_of(self, known: Sequence[int]) -> Floats:
        """The score of every item after these, the latest last; -1 is an unknown item."""
        sessions, similarity, decay = self._neighbours_of(known)
        scores: Floats = (self.sessions[sessions].T @ (similarity * decay)).ravel()
        return scores

    def _neighbours_of(self, known: Sequence[int]) -> tuple[Integers, Floats, Floats]:
        length = len(known)
        sharing = [
            (position, self.sessions_of_item[item].indices) for position, item in enumerate(known, start=1) if item >= 0
        ]
        rows_sharing = np.concatenate([np.empty(0, dtype=np.int64), *(rows for _, rows in sharing)])
        sessions, column = np.unique(rows_sharing, return_inverse=True)
        positions = np.repeat([position for position, _ in sharing], [len(rows) for _, rows in sharing])
        similarity = np.bincount(column, positions / length, minlength=len(sessions)) / length
        latest = np.zeros(len(sessions))
        np.maximum.at(latest, column, positions)
        recent = np.lexsort((sessions, -self.times[sessions]))[: self._sample]
        near = recent[np.argsort(-similarity[recent], kind="stable")[: self._neighbours]]
        return sessions[near], similarity[near], 1 / (length + 1 - latest[near])
