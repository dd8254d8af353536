"""The scale of expression: what the values must be, and what they look like instead."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import sparse

from scbig._names import examples
from scbig.data._scaled import scaling_of

LARGEST_LOG = 15.0
"""A log1p value from here on stands for more than three million normalised counts."""

REPAIR = (
    "Start from raw counts and use scbig.preprocess.preprocess, "
    "or scanpy.pp.normalize_total and then scanpy.pp.log1p."
)


Values = Float[np.ndarray, " values"]
_LINEAR = "not logarithms: normalised counts, or shares"
# What the counts of a cell would be, up to a factor, if its values were on this scale.
_SCALES: dict[str, Callable[[Values], Values]] = {
    "log1p": np.expm1,
    _LINEAR: lambda x: x,
    "logarithms to base 2": lambda x: np.exp2(x) - 1,
    "logarithms to base 10": lambda x: 10.0**x - 1,
    "logarithms without the one that is added": np.exp,
    "square roots": np.square,
    "cube roots": lambda x: x**3,
    "inverse hyperbolic sines": np.sinh,
    "the log1p of a log1p: the logarithm was taken twice": lambda x: np.expm1(np.expm1(x)),
}
_SMALL = 0.2
"""Below this log1p of a number is the number."""
_MOST_BELOW = 0.35
"""Share of predicted expression below zero; of what is centred it is a half."""
_APART = 1.4
"""Times by which the expression of two kinds of cells may differ."""
_CELLS = 500
"""Cells that are looked at to tell a scale."""
_MOST_COUNTS = 12
"""Ratios up to here are told from whole numbers: those of larger ones are near one by chance."""


def _culprit_genes(matrix: sparse.csr_matrix, bad: np.ndarray, genes: Sequence[str]) -> str:
    return examples([genes[int(i)] for i in np.unique(matrix.indices[bad])])


def check_finite(matrix: sparse.csr_matrix, genes: Sequence[str]) -> None:
    """Raises if a value is NaN or infinite."""
    bad = ~np.isfinite(matrix.data)
    if bad.any():
        raise ValueError(
            f"{bad.sum()} expression values are NaN or infinite, in the genes "
            f"{_culprit_genes(matrix, bad, genes)}. Remove those cells or genes, or find out "
            "which step made them."
        )


def check_not_negative(matrix: sparse.csr_matrix, genes: Sequence[str]) -> None:
    """Raises if a value is below zero."""
    bad = matrix.data < 0
    if bad.any():
        raise ValueError(
            f"{bad.sum()} expression values are negative (lowest {matrix.data.min():.4g}), in the "
            f"genes {_culprit_genes(matrix, bad, genes)}: centred, scaled or corrected data. "
            + REPAIR
        )


def check_some_expression(matrix: sparse.csr_matrix) -> None:
    """Raises if every value is zero."""
    if not np.any(matrix.data):
        raise ValueError("Every expression value is zero. Was the right layer given?")


def check_not_counts(matrix: sparse.csr_matrix) -> None:
    """Raises if the values, or the totals of the cells, are whole numbers."""
    largest = matrix.data.max()
    if np.array_equal(matrix.data, np.rint(matrix.data)):
        raise ValueError(
            f"These look like raw counts: all values are whole numbers, the largest {largest:.0f}. "
            f"Log-normalised expression is needed. {REPAIR}"
        )
    totals = np.asarray(matrix.astype(np.float64).sum(axis=1)).ravel()
    totals = totals[totals > 0.5]  # what is nearly nothing is near a whole number too
    # Three totals are whole to 1e-3 by chance in about one screen in a hundred million.
    if len(totals) >= 3 and np.all(np.abs(totals - np.rint(totals)) < 1e-3):
        raise ValueError(
            "The total of every cell is a whole number (the first "
            f"{totals[0]:.0f}): raw counts that were spread over genes, or counts normalised "
            f"without the logarithm. {REPAIR}"
        )


def check_log_scale(matrix: sparse.csr_matrix) -> None:
    """Raises if the largest value is too large for a log1p."""
    largest = matrix.data.max()
    if largest >= LARGEST_LOG:
        raise ValueError(
            f"The largest value is {largest:.4g}; a log1p of normalised counts stays below "
            f"{LARGEST_LOG:g}. The data are not log-normalised. {REPAIR}"
        )


def check_log_normalised(matrix: sparse.csr_matrix, genes: Sequence[str]) -> None:
    """Raises unless the values can be the log1p of normalised counts."""
    check_finite(matrix, genes)
    check_not_negative(matrix, genes)
    check_some_expression(matrix)
    check_not_counts(matrix)
    check_log_scale(matrix)
    check_counts_behind(matrix)


def check_log_base(uns: Mapping[str, Any]) -> None:
    """Raises if `uns["log1p"]`, where scanpy notes it, has another base than e."""
    note = uns.get("log1p")
    base = note.get("base") if isinstance(note, Mapping) else None
    if base is None or str(base).strip().lower() in ("e", "none", "natural"):
        return
    try:
        (value,) = np.asarray(base).astype(np.float64).ravel()
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"uns['log1p'] says that the logarithm is to base {base!r}, which is no number: write "
            "the number, or remove the note."
        ) from error
    if not np.isclose(value, np.e):
        raise ValueError(
            f"uns['log1p'] says that the logarithm is to base {value:g}; the natural one is "
            f"needed. Multiply by {np.log(value):.4f}, the natural logarithm of that, and "
            "remove the note."
        )


def check_counts_behind(matrix: sparse.csr_matrix, *, predicted: bool = False) -> None:
    """Raises if counts are behind the values, but on another scale than log1p.

    The counts of a cell are whole multiples of one number, whatever it was normalised by: on the
    right scale the ratios of a cell's values to its smallest one are whole numbers. Values that
    were smoothed or corrected have no such scale, and pass, unless they were scaled since.

    **Arguments:** `predicted`, whether they are a predictor's, which may be smooth.
    """
    found = {name: wholeness(matrix, inverse) for name, inverse in _SCALES.items()}
    best, log = max(found, key=lambda name: found[name]), found["log1p"]
    if found[best] > 0.7 and log < 0.4:
        raise ValueError(
            f"The values are {best}. On that scale {found[best]:.0%} of the ratios between values "
            f"of a cell are whole numbers, as those of counts are, and {log:.0%} if they were "
            f"log1p. {REPAIR}"
        )
    if log < 0.4 and (kind := scaling_of(matrix, clipped=not predicted)):
        raise ValueError(f"The values are no log1p: {kind}. {REPAIR}")
    if found[_LINEAR] > 0.7 and matrix.data.max() < _SMALL:
        raise ValueError(
            f"The largest value is {matrix.data.max():.4g}: shares of each cell's counts, or "
            f"logarithms of so small numbers that they are none. {REPAIR}"
        )


def wholeness(matrix: sparse.csr_matrix, inverse: Callable[[Values], Values] = np.expm1) -> float:
    """The share of whole numbers among ratios of a cell's counts to its smallest; 0 if too few.

    **Arguments:** `inverse`, makes counts of values.
    """
    values, starts = np.asarray(matrix.data), np.asarray(matrix.indptr)
    whole = total = 0
    for row in np.linspace(0, len(starts) - 2, min(_CELLS, len(starts) - 1)).astype(int):
        own = values[starts[row] : starts[row + 1]].astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            counts = inverse(own[own > 0])
            counts = counts[counts > 0]  # what is too small for a float64 is none
            ratios = counts / counts.min(initial=np.inf)
        told = ratios[(ratios > 1.2) & (ratios < _MOST_COUNTS)]
        whole += int(np.sum(np.abs(told - np.rint(told)) < 0.02))
        total += len(told)
    return whole / total if total >= 100 else 0.0


def check_predicted(matrix: sparse.csr_matrix) -> None:
    """Raises unless predicted cells can be on the scale of a log1p; a little may be below zero."""
    if not matrix.data.any():
        return
    below = float(-np.sum(matrix.data[matrix.data < 0], dtype=np.float64))
    share = below / float(np.sum(np.abs(matrix.data), dtype=np.float64))
    if share > _MOST_BELOW:
        raise ValueError(
            f"{share:.0%} of the sum of all values is below zero: centred or scaled expression. "
            "Predictions are compared as log1p of normalised counts: undo the scaling."
        )
    check_not_counts(matrix)
    check_log_scale(matrix)
    check_counts_behind(matrix, predicted=True)


def check_one_scale(
    ours: float, theirs: float, *, what: str, other: str, most: float = _APART
) -> None:
    """Raises if two kinds of cells have mean expression on different scales.

    **Arguments:** `ours` and `theirs`, the means over cells and genes; `what` and `other`, whose
    they are; `most`, times that one may be the other.
    """
    if not theirs / most <= ours <= theirs * most:
        raise ValueError(
            f"The mean expression of the {what} cells is {ours:.4g} and that of the {other} cells "
            f"{theirs:.4g}: they are on different scales, such as another base of the logarithm "
            "(base 2 makes it 1.44 times as large) or another total of normalisation. Prepare both "
            "alike."
        )


def check_count_values(matrix: sparse.csr_matrix, genes: Sequence[str]) -> None:
    """Raises unless the values can be counts; they may all be zero."""
    check_finite(matrix, genes)
    check_not_negative(matrix, genes)
    bad = matrix.data != np.rint(matrix.data)
    if bad.any():
        raise ValueError(
            f"Raw counts are needed, but {bad.sum()} of {bad.size} non-zero values are not whole "
            f"numbers, in the genes {_culprit_genes(matrix, bad, genes)}. Put the counts in X, for "
            'instance adata.X = adata.layers["counts"].'
        )


def check_counts(matrix: sparse.csr_matrix, genes: Sequence[str]) -> None:
    """Raises unless the values are counts, and not all zero."""
    check_count_values(matrix, genes)
    check_some_expression(matrix)
