"""The counts behind log-normalised cells: what one of them is worth."""

from collections.abc import Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse

from scbig.data._matrix import expression_matrix, read_csr

Sizes = Float[np.ndarray, " cells"]
Library = str | Sequence[float] | Sequence[int] | np.ndarray
"""A column of `obs`, or a number for each cell."""

COUNTS = "counts"
"""The layer in which counts are looked for."""
_UNITS = range(1, 61)
"""What the smallest count of a cell may be."""
_NEAR = 0.005
"""How far from a whole number a count that was recovered may be."""
_MOST = 2000.0
"""Counts up to here are told from others: the logarithm as float32 is not exact enough beyond."""
_OFF = 0.02
"""How far sizes that are given may be from those that values tell."""
_KNOWN = 0.9
"""The share of cells whose counts must be found behind their values."""
_REPAIR = (
    "Pass library=, the number of counts of each control over all genes (a column of its obs, or "
    f"numbers), or controls with layers[{COUNTS!r}]."
)


def size_factors(
    adata: ad.AnnData,
    library: Library | None = None,
    *,
    target_sum: float = 10_000.0,
) -> Sizes:
    """What the counts of each cell were divided by, before the log1p was taken.

    `np.expm1(X) * factor` is counts. The first of these that there is tells it: `library`, the
    counts in `layers["counts"]`, the values themselves, of which the smallest of a cell is one
    count, or some, if all others are whole multiples of it.

    **Arguments:**

    - `adata`: log-normalised cells.
    - `library`: the number of counts of each cell over all genes, also those that are not here: a
        column of `obs`, or numbers.
    - `target_sum`: what they were brought to; plays a part with `library` only.

    **Returns:** a factor for each cell; of a cell without any expression the median of the others.

    **Raises:** a ValueError for sizes that are missing or not above zero, or that make no whole
    numbers of values that are counts on another scale; and if nothing tells the factors.
    """
    logs = read_csr(expression_matrix(adata, layer=None))
    if library is not None:
        found, what = _given(adata, library) / target_sum, f"library / {target_sum:g}"
    elif COUNTS in adata.layers:
        counts = read_csr(expression_matrix(adata, layer=COUNTS))
        found, what = _ratio(_totals(counts), _totals(logs, np.expm1)), f"layers[{COUNTS!r}]"
    else:
        found = recovered_factors(logs)
        expressing = int(np.count_nonzero(np.diff(logs.indptr)))
        if np.count_nonzero(np.isfinite(found)) < _KNOWN * expressing:
            raise ValueError(
                "No counts are behind the values of the controls: they are no whole multiples of "
                f"each cell's smallest. {_REPAIR}"
            )
        return _filled(found)
    found = _filled(found)
    behind = recovered_factors(logs)
    known = np.isfinite(behind)
    off = float(np.median(found[known] / behind[known])) if known.mean() >= _KNOWN else 1.0
    if abs(off - 1) > _OFF:
        raise ValueError(
            f"{what} makes {off:.3g} of the smallest count of a control, which is 1: it belongs to "
            "other counts than X, or X was brought to another target_sum."
        )
    return found


def recovered_factors(logs: sparse.csr_matrix) -> Sizes:
    """The factors that log-normalised values tell themselves: NaN of a cell where they do not."""
    matrix: Any = logs
    found = np.full(matrix.shape[0], np.nan)
    left = np.flatnonzero(np.diff(matrix.indptr))
    if not len(left):
        return found
    sizes = np.diff(matrix.indptr)[left]
    values = np.expm1(matrix.data.astype(np.float64))
    least = np.minimum.reduceat(values, np.cumsum(sizes) - sizes)
    ratios = values / np.repeat(least, sizes)
    for unit in _UNITS:
        counts = ratios * unit
        away = np.where(counts < _MOST, np.abs(counts - np.rint(counts)), 0.0)
        whole = np.maximum.reduceat(away, np.cumsum(sizes) - sizes) < _NEAR
        found[left[whole]] = unit / least[whole]
        ratios = ratios[np.repeat(~whole, sizes)]
        left, sizes, least = left[~whole], sizes[~whole], least[~whole]
        if not len(left):
            break
    return found


def _given(adata: ad.AnnData, library: Library) -> Sizes:
    if isinstance(library, str) and library not in adata.obs:
        raise ValueError(
            f"obs has no column {library!r} with the sizes of the controls' libraries."
        )
    values: Any = adata.obs[library] if isinstance(library, str) else np.asarray(library).ravel()
    numbers: Any = pd.to_numeric(pd.Series(np.asarray(values)), errors="coerce")
    sizes = np.asarray(numbers, np.float64)
    if len(sizes) != adata.n_obs:
        raise ValueError(f"library has {len(sizes)} entries for {adata.n_obs} cells.")
    bad = ~(np.isfinite(sizes) & (sizes > 0))
    if bad.any():
        raise ValueError(
            f"library has {bad.sum()} of {len(bad)} entries that are no numbers above zero, the "
            f"first of cell {adata.obs_names[int(np.argmax(bad))]!r}."
        )
    return sizes


def _totals(matrix: Any, of: Any = np.asarray) -> Sizes:
    """Sums over genes in float64."""
    own = matrix.astype(np.float64)
    own.data = of(own.data)
    return np.asarray(own.sum(axis=1)).ravel()


def _ratio(above: Sizes, below: Sizes) -> Sizes:
    nothing = np.full_like(above, np.nan)
    return np.divide(above, below, out=nothing, where=(above > 0) & (below > 0))


def _filled(factors: Sizes) -> Sizes:
    known = np.isfinite(factors)
    if not known.any():
        raise ValueError(f"No control has any expression, so its counts are not known. {_REPAIR}")
    return np.where(known, factors, np.median(factors[known]))
