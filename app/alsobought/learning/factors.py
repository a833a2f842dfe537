"""Vectors of items from what stands together: positive pointwise mutual information, and its largest singular vectors.

Skip-gram with negative sampling (item2vec) factorises the same matrix (Levy and Goldberg 2014); this way takes minutes less, needs
no library for it, and gives the same vectors each time.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from scipy import sparse

OVER, ROUNDS = 24, 3  # of the randomised singular value decomposition (Halko, Martinsson and Tropp 2011)
Matrix: TypeAlias = Any  # scipy.sparse.csr_matrix, which has no types


def pairs_of(groups: Matrix) -> Matrix:
    """How often two items stand in one group, a large group counting less: 1 / sqrt of its size. `groups` by items, of ones."""
    size = np.asarray(groups.sum(axis=1)).ravel()
    weighted = sparse.diags((1 / np.sqrt(np.maximum(size, 2))).astype(np.float32)) @ groups
    pairs = sparse.csr_matrix(weighted.T @ groups)
    pairs.setdiag(0)
    pairs.eliminate_zeros()
    return pairs


def association(pairs: Matrix, totals: np.ndarray | None = None) -> Matrix:
    """Positive pointwise mutual information of rows and columns. `totals` of the columns, where rows are only some of the items."""
    totals = np.asarray(pairs.sum(axis=0)).ravel() if totals is None else totals
    rows = np.asarray(pairs.sum(axis=1)).ravel()
    found = pairs.tocoo()
    share = found.data / np.maximum(rows[found.row], 1e-9)
    value = np.log(np.maximum(share * totals.sum() / np.maximum(totals[found.col], 1e-9), 1e-9))
    kept = value > 0
    index = (found.row[kept], found.col[kept])
    return sparse.csr_matrix((value[kept].astype(np.float32), index), shape=pairs.shape)


def vectors(matrix: Matrix, dimensions: int, *, symmetric: bool, seed: int = 1) -> np.ndarray:
    """Of each row a vector of at most so many numbers: U √S of the largest singular values.

    Of a symmetric matrix of associations those with a negative eigenvalue are left out, as it is done by adding the vectors of rows
    and columns: they tell apart what is alike.
    """
    wide = min(dimensions + OVER, *matrix.shape)
    sample = np.random.default_rng(seed).standard_normal((matrix.shape[1], wide)).astype(np.float32)
    found = matrix @ sample
    for _ in range(ROUNDS):
        left, _ = np.linalg.qr(found)
        right, _ = np.linalg.qr(matrix.T @ left)
        found = matrix @ right
    left, _ = np.linalg.qr(found)
    inner, values, right = np.linalg.svd((matrix.T @ left).T, full_matrices=False)
    left = left @ inner
    if symmetric:
        kept = np.einsum("ij,ji->j", left, right) > 0
        left, values = left[:, kept], values[kept]
    left, values = left[:, :dimensions], values[:dimensions]
    signs = np.sign(left[np.argmax(np.abs(left), axis=0), np.arange(len(values))])  # else either may come out
    return np.asarray(left * (np.sqrt(values) * signs))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Of length 1; a row of zeros stays."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float32)


def words_of(titles: list[str]) -> Matrix:
    """Titles by their words and by the three letters after each other in them, as TF-IDF: rare ones weigh more. Rows of length 1.

    Letters let "mugs" be close to "mug"; they count half.
    """
    known: dict[str, int] = {}
    rows, columns, weights = [], [], []
    for row, title in enumerate(titles):
        for word in set("".join(letter if letter.isalnum() else " " for letter in title.lower()).split()):
            edged = f" {word} "
            parts = {word: 1.0} | {edged[at : at + 3]: 0.5 / len(word) ** 0.5 for at in range(len(word))}
            for part, weight in parts.items():
                rows.append(row)
                columns.append(known.setdefault(part, len(known)))
                weights.append(weight)
    shape = (len(titles), max(1, len(known)))
    found = sparse.csr_matrix((np.array(weights, np.float32), (rows, columns)), shape=shape)
    times = np.maximum(1, np.bincount(found.indices, minlength=shape[1]))
    found = found @ sparse.diags(np.log(1 + len(titles) / times).astype(np.float32))
    length = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.where(length > 0, length, 1)).astype(np.float32) @ found)
