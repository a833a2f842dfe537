"""EASE (Steck 2019, arXiv 1905.03375): how much having one item says for wanting another, for all pairs at once.

Of X, people by items, G = XᵀX + λI and P = G⁻¹; then B_ij = -P_ij / P_jj, and zeros on the diagonal.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

COLUMNS = 512  # looked at at a time


def weights(matrix: sparse.csr_matrix, regularisation: float) -> np.ndarray:
    """B, float32: row i says what having item i adds to each other item.

    `matrix` is people by items; memory is 8 bytes for each pair of items while it computes.
    Raises ValueError where G has no inverse, which a regularisation above 0 rules out.
    """
    gram = (matrix.T @ matrix).toarray().astype(np.float32, order="F")
    gram[np.diag_indices_from(gram)] += np.float32(regularisation)
    factor, failed = lapack.spotrf(gram, lower=0, clean=1, overwrite_a=1)
    inverse, failed_too = lapack.spotri(factor, lower=0, overwrite_c=1)  # its upper half
    if failed or failed_too:
        raise ValueError("G has no inverse: the regularisation is too small")
    diagonal = inverse.diagonal().copy()
    inverse += inverse.T  # numpy sees that they overlap
    inverse /= -diagonal
    np.fill_diagonal(inverse, 0)
    return np.asarray(inverse)


def strongest(weights: np.ndarray, most: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Of each item the others that it speaks for, the largest weight first: (item, others, weights), items that rise.

    Every item keeps the `most` that speak for it most, and only positive weights: that recommends better than to keep the largest
    of each row, where what everybody buys stands everywhere, and no worse than all, as far as could be told
    (docs/explanation/learning.md).
    """
    most = min(most, len(weights))
    kept = []
    for begin in range(0, weights.shape[1], COLUMNS):
        block = np.ascontiguousarray(weights[:, begin : begin + COLUMNS].T)
        found = np.argpartition(-block, most - 1, axis=1)[:, :most]
        values = np.take_along_axis(block, found, axis=1)
        target, place = np.nonzero(values > 0)
        kept.append((found[target, place], begin + target, values[target, place]))
    items, others, values = map(np.concatenate, zip(*kept, strict=True))
    order = np.lexsort((others, -values, items))
    items, others, values = items[order], others[order], values[order]
    starts = np.flatnonzero(np.diff(items, prepend=-1))
    for first, end in zip(starts, [*starts[1:], len(items)], strict=True):
        yield int(items[first]), others[first:end], values[first:end]
