"""How expression was scaled, as far as it shows: what is the same in every cell or every gene."""

import numpy as np
from jaxtyping import Float
from scipy import sparse

_FEWEST = 20
"""Cells or genes that are needed to tell what they have in common."""


def scaling_of(matrix: sparse.csr_matrix, *, clipped: bool = True) -> str | None:
    """What was done to cells or genes, in words; None for what can be logarithms.

    Of log1p values neither cells nor genes have a length, a total, a maximum or a deviation in
    common. Cells that are all alike, as of a predicted mean, say nothing.

    **Arguments:** `clipped`, whether z-scores without their negative half are looked for; smooth
    cells of few genes, as predictors make them, look like those.
    """
    wide = sparse.csr_matrix(matrix, dtype=np.float64)
    squares = wide.multiply(wide)
    lengths, totals = (_alike(m.sum(axis=1), 1e-5) for m in (squares, wide))
    if lengths and not totals:
        return "each cell was scaled to the same length"
    if totals and not lengths:
        return "each cell was scaled to the same total, and no logarithm taken after it"
    largest = np.asarray(wide.max(axis=0).toarray()).ravel()
    if len(largest) < _FEWEST or totals:
        return None
    if np.mean(largest == largest.max()) > 0.5:
        return "each gene was scaled to the same maximum, or clipped at it"
    second = np.asarray(squares.mean(axis=0)).ravel()
    deviation = np.sqrt(np.maximum(second - np.asarray(wide.mean(axis=0)).ravel() ** 2, 0))
    if _alike(deviation, 0.02) and abs(np.median(deviation[deviation > 0]) - 1) < 0.02:
        return "each gene was scaled to a standard deviation of 1"
    cells, genes = wide.shape or (0, 0)
    some_zeros = 0.1 < wide.nnz / (cells * genes) < 0.8
    # Of a z-score the mean of squares is 1; a part of that is left without its negative half.
    seen = second[second > 0]
    if clipped and some_zeros and cells >= _FEWEST and np.mean((seen > 0.1) & (seen < 1.05)) > 0.95:
        return "they look like z-scores of each gene, clipped at zero"
    return None


def _alike(values: Float[np.ndarray, "..."], tolerance: float) -> bool:
    """Whether nearly all values that are not zero are the same."""
    flat = np.asarray(values).ravel()
    flat = flat[flat > 0]
    if len(flat) < _FEWEST:
        return False
    low, middle, high = np.quantile(flat, [0.05, 0.5, 0.95])
    return bool(high - low < tolerance * middle)
