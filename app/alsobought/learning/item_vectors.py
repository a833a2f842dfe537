"""Compute item vectors: from baskets, from titles, or for new items from the vectors of the items they occur with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from scipy import sparse

from alsobought.errors import Unusable
from alsobought.learning.context import Context
from alsobought.learning.factors import association, normalized, pairs_of, tf_idf, vectors


@dataclass(frozen=True)
class Vectors:
    """Keys of items and their vectors of length 1. `keep_current`: they are added to those in the table."""

    keys: np.ndarray
    vectors: np.ndarray
    events: int
    keep_current: bool

    def rows(self, model: str) -> Iterator[dict[str, Any]]:
        for key, vector in zip(self.keys.tolist(), self.vectors, strict=True):
            yield {"item_key": key, "embedding": [float(f"{x:.7g}") for x in vector], "model": model, "version": 0}


def learn_baskets(context: Context, options: dict[str, Any]) -> Vectors:
    """Raises Unusable if there are fewer than two items, or no pairs."""
    keys, groups = _groups(context, options, new=False)
    matrix = association(pairs_of(groups))
    if len(keys) < 2 or not matrix.nnz:
        raise Unusable(
            f"{len(keys)} items are in {options['groups']} orders or sessions or more: too little to learn from",
            "Try --groups 1, or --from titles",
        )
    rows = normalized(vectors(matrix, options["dimensions"], symmetric=True))
    nonzero = rows.any(axis=1)
    return Vectors(keys[nonzero], _pad(rows[nonzero], options["dimensions"]), int(groups.nnz), keep_current=False)


def learn_new_items(context: Context, options: dict[str, Any], current: list[list[Any]]) -> Vectors:
    """Vectors of the items without one: the mean of the vectors they occur with, weighted by association."""
    current_vectors = {row[0]: row[1] for row in current}
    keys, groups = _groups(context, options, new=True)
    is_new = np.array([key not in current_vectors for key in keys.tolist()], bool)
    if not is_new.any():
        return Vectors(keys[:0], np.zeros((0, options["dimensions"]), np.float32), 0, keep_current=True)
    counts = context.columns("groups_of_items")
    groups_by_item = dict(zip(counts["item_key"].tolist(), counts["groups"].tolist(), strict=True))
    totals = np.array([groups_by_item[key] for key in keys.tolist()], np.float64)
    pairs = sparse.csr_matrix(pairs_of(groups)[is_new])
    zeros = [0.0] * options["dimensions"]
    known = np.array([current_vectors.get(key, zeros) for key in keys.tolist()], np.float32)
    rows = normalized(association(pairs, totals) @ known)
    nonzero = rows.any(axis=1)
    return Vectors(keys[is_new][nonzero], rows[nonzero], int(groups.nnz), keep_current=True)


def learn_titles(context: Context, dimensions: int) -> Vectors:
    """Raises Unusable if fewer than two items have words."""
    titles = context.rows("titles")
    if len(titles) < 2:
        raise Unusable("fewer than two items have a title", "Load items with titles: alsobought load items")
    rows = normalized(vectors(tf_idf([row[1] for row in titles]), dimensions, symmetric=False))
    nonzero = rows.any(axis=1)
    keys = np.array([row[0] for row in titles], np.uint64)
    return Vectors(keys[nonzero], _pad(rows[nonzero], dimensions), 0, keep_current=False)


def _groups(context: Context, options: dict[str, Any], *, new: bool) -> tuple[np.ndarray, Any]:
    """The keys of the items, and a sparse 0/1 matrix of groups (orders and sessions) by items."""
    since = 0
    if options["since"]:
        midnight = datetime.combine(options["since"], datetime.min.time(), UTC)
        since = int(context.columns("first_seq", since=int(midnight.timestamp()))["seq"][0])
    memberships = context.columns("groups", since=since, least=options["groups"], new=new)
    groups, rows = np.unique(memberships["group_key"], return_inverse=True)
    keys, columns = np.unique(memberships["item_key"], return_inverse=True)
    shape = (len(groups), len(keys))
    return keys, sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)


def _pad(vectors: np.ndarray, dimensions: int) -> np.ndarray:
    """Appends zeros where a small shop has fewer dimensions than requested."""
    return np.pad(vectors, ((0, 0), (0, dimensions - vectors.shape[1])))
