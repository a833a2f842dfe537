"""Item vectors from co-occurrence: positive pointwise mutual information, and its largest singular vectors.

Skip-gram with negative sampling (item2vec) factorises the same matrix (Levy and Goldberg 2014). This is minutes faster,
needs no library, and is deterministic.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from scipy import sparse

# Of the randomised singular value decomposition (Halko, Martinsson and Tropp 2011).
OVERSAMPLING, POWER_ITERATIONS = 24, 3
Matrix: TypeAlias = Any  # scipy.sparse.csr_matrix, which has no types


def pairs_of(groups: Matrix) -> Matrix:
    """Co-occurrence counts, each group weighted by 1 / sqrt of its size. `groups` is a 0/1 matrix of groups by items."""
    size = np.asarray(groups.sum(axis=1)).ravel()
    weighted = sparse.diags((1 / np.sqrt(np.maximum(size, 2))).astype(np.float32)) @ groups
    pairs = sparse.csr_matrix(weighted.T @ groups)
    pairs.setdiag(0)
    pairs.eliminate_zeros()
    return pairs


def association(pairs: Matrix, totals: np.ndarray | None = None) -> Matrix:
    """Positive pointwise mutual information. `totals` of the columns are needed if the rows are a subset of the items."""
    totals = np.asarray(pairs.sum(axis=0)).ravel() if totals is None else totals
    rows = np.asarray(pairs.sum(axis=1)).ravel()
    entries = pairs.tocoo()
    share = entries.data / np.maximum(rows[entries.row], 1e-9)
    value = np.log(np.maximum(share * totals.sum() / np.maximum(totals[entries.col], 1e-9), 1e-9))
    positive = value > 0
    index = (entries.row[positive], entries.col[positive])
    return sparse.csr_matrix((value[positive].astype(np.float32), index), shape=pairs.shape)


def vectors(matrix: Matrix, dimensions: int, *, symmetric: bool, seed: int = 1) -> np.ndarray:
    """A vector for each row, with at most this many dimensions: U √S of the largest singular values.

    For a symmetric matrix, dimensions with a negative eigenvalue are dropped, because they separate similar items. Adding
    the vectors of rows and columns has the same effect.
    """
    width = min(dimensions + OVERSAMPLING, *matrix.shape)
    sample = np.random.default_rng(seed).standard_normal((matrix.shape[1], width)).astype(np.float32)
    projected = matrix @ sample
    for _ in range(POWER_ITERATIONS):
        left, _ = np.linalg.qr(projected)
        right, _ = np.linalg.qr(matrix.T @ left)
        projected = matrix @ right
    left, _ = np.linalg.qr(projected)
    inner, values, right = np.linalg.svd((matrix.T @ left).T, full_matrices=False)
    left = left @ inner
    if symmetric:
        positive = np.einsum("ij,ji->j", left, right) > 0
        left, values = left[:, positive], values[positive]
    left, values = left[:, :dimensions], values[:dimensions]
    signs = np.sign(
        left[np.argmax(np.abs(left), axis=0), np.arange(len(values))]
    )  # a decomposition leaves the signs open
    return np.asarray(left * (np.sqrt(values) * signs))


def normalized(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros stays."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float32)


def tf_idf(titles: list[str]) -> Matrix:
    """TF-IDF of titles by words and trigrams, with rows of length 1.

    Trigrams make "mugs" similar to "mug"; their weight is half.
    """
    terms: dict[str, int] = {}
    rows, columns, weights = [], [], []
    for row, title in enumerate(titles):
        for word in set("".join(letter if letter.isalnum() else " " for letter in title.lower()).split()):
            padded = f" {word} "
            trigrams = {padded[at : at + 3]: 0.5 / len(word) ** 0.5 for at in range(len(word))}
            for term, weight in ({word: 1.0} | trigrams).items():
                rows.append(row)
                columns.append(terms.setdefault(term, len(terms)))
                weights.append(weight)
    shape = (len(titles), max(1, len(terms)))
    counts = sparse.csr_matrix((np.array(weights, np.float32), (rows, columns)), shape=shape)
    frequencies = np.maximum(1, np.bincount(counts.indices, minlength=shape[1]))
    scaled = counts @ sparse.diags(np.log(1 + len(titles) / frequencies).astype(np.float32))
    length = np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.where(length > 0, length, 1)).astype(np.float32) @ scaled)
