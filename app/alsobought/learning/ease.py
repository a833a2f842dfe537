"""EASE (Steck 2019, arXiv 1905.03375): for all pairs of items, the weight of having one for wanting the other.

For X, users by items, G = XᵀX + λI and P = G⁻¹; then B_ij = -P_ij / P_jj, and zeros on the diagonal.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

BLOCK_COLUMNS = 512


def weights(matrix: sparse.csr_matrix, regularisation: float) -> np.ndarray:
    """B in float32: row i has the weights of item i for every other item.

    `matrix` is users by items. Takes 8 bytes of memory for each pair of items.
    Raises ValueError if G is singular, which a regularisation above 0 rules out.
    """
    gram = (matrix.T @ matrix).toarray().astype(np.float32, order="F")
    gram[np.diag_indices_from(gram)] += np.float32(regularisation)
    factor, cholesky_error = lapack.spotrf(gram, lower=0, clean=1, overwrite_a=1)
    inverse, inversion_error = lapack.spotri(factor, lower=0, overwrite_c=1)  # the upper triangle
    if cholesky_error or inversion_error:
        raise ValueError("G is singular: the regularisation is too small")
    diagonal = inverse.diagonal().copy()
    inverse += inverse.T  # numpy handles the overlap
    inverse /= -diagonal
    np.fill_diagonal(inverse, 0)
    return np.asarray(inverse)


def strongest(weights: np.ndarray, limit: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yields (item, others, weights) for each item in order: the items that it recommends, the largest weight first.

    Keeps the `limit` largest weights of each column, if positive. That recommends better than the largest of each row,
    where popular items are everywhere, and not measurably worse than all weights (docs/explanation/learning.md).
    """
    limit = min(limit, len(weights))
    blocks = []
    for begin in range(0, weights.shape[1], BLOCK_COLUMNS):
        block = np.ascontiguousarray(weights[:, begin : begin + BLOCK_COLUMNS].T)
        largest = np.argpartition(-block, limit - 1, axis=1)[:, :limit]
        values = np.take_along_axis(block, largest, axis=1)
        target, rank = np.nonzero(values > 0)
        blocks.append((largest[target, rank], begin + target, values[target, rank]))
    items, others, values = map(np.concatenate, zip(*blocks, strict=True))
    order = np.lexsort((others, -values, items))
    items, others, values = items[order], others[order], values[order]
    starts = np.flatnonzero(np.diff(items, prepend=-1))
    for first, end in zip(starts, [*starts[1:], len(items)], strict=True):
        yield int(items[first]), others[first:end], values[first:end]
