"""Sets of terms as the rows of a sparse matrix: which are alike, and their principal directions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy import sparse

from ._coexpression import settled
from ._interactions import pairs_once

_BLOCK = 256
"""Rows compared with all others at a time: of 20,000 genes their indices take 40 MB."""

Pairs = tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]]


def incidence(sets: Sequence[Sequence[str]]) -> sparse.csr_matrix:
    """A row for each set, a column for each term of any of them, sorted: 1 where it has the term.

    **Arguments:** `sets`, none of which repeats a term.
    """
    column = {term: place for place, term in enumerate(sorted({t for one in sets for t in one}))}
    places = np.fromiter((column[term] for one in sets for term in one), np.int64)
    begins = np.cumsum([0, *map(len, sets)])
    ones = np.ones(len(places), np.int32)
    return sparse.csr_matrix((ones, places, begins), shape=(len(sets), len(column)))


def nearest_pairs(
    matrix: sparse.csr_matrix, *, threshold: float, neighbours: int
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"], Float32[np.ndarray, " pairs"]]:
    """The pairs of rows of which one is among the most similar of the other, by Jaccard index.

    **Arguments:** `matrix`, of `incidence`; `threshold`, which the index exceeds; `neighbours`,
    the most for each row, itself not among them: of equal ones the first.

    **Returns:** each pair once, its smaller row, its larger row and the index.
    """
    whole: Any = matrix
    size = np.diff(whole.indptr).astype(np.int64)
    turned = whole.T.tocsr()
    parts = []
    for start in range(0, len(size), _BLOCK):
        rows = slice(start, start + _BLOCK)
        common = (whole[rows] @ turned).toarray()
        index = common / (size[rows, None] + size - common)
        np.fill_diagonal(index[:, start:], 0.0)
        row, column = _largest(np.where(index > threshold, index, 0.0), neighbours)
        parts.append((row + start, column, index[row, column]))
    first, second, index = map(np.concatenate, zip(*parts, strict=True))
    if not len(index):
        return first, second, index.astype(np.float32)
    return pairs_once(first, second, index.astype(np.float32), nodes=len(size))


def _largest(values: Float64[np.ndarray, "rows columns"], most: int) -> Pairs:
    """Row and column of the largest positive values of each row; of equal ones the first."""
    most = min(most, values.shape[1])
    least = np.partition(values, -most, axis=1)[:, -most, None]
    row, column = np.nonzero((values > 0) & (values >= least))
    order = np.lexsort((column, -values[row, column], row))
    row, column = row[order], column[order]
    kept = np.arange(len(row)) - np.searchsorted(row, row) < most
    return row[kept], column[kept]


def weighed_directions(
    matrix: sparse.csr_matrix, components: int
) -> Float64[np.ndarray, "genes components"]:
    """The rows, weighed by tf-idf and of unit length, in the coordinates of the largest singular
    values; see `Annotations.embeddings`.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfTransformer

    weighed: Any = TfidfTransformer(smooth_idf=True).fit_transform(matrix.astype(np.float64))
    svd: Any = TruncatedSVD(components, algorithm="arpack", random_state=0)
    rows = svd.fit_transform(weighed)
    # The square root, since the solver takes the eigenvalues of the matrix times its transpose.
    least = np.sqrt(max(weighed.shape) * np.finfo(np.float64).eps)
    return settled(rows, svd.singular_values_, least=float(least))
