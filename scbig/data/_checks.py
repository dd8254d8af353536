"""Checks at the border: each raises one error that names what is wrong and how to repair it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from scbig._names import examples, tidied

LARGEST_LOG = 15.0
"""A log1p value from here on stands for more than three million normalised counts."""

REPAIR = (
    "Start from raw counts and use scbig.preprocess.preprocess, "
    "or scanpy.pp.normalize_total and then scanpy.pp.log1p."
)


def check_unique(names: Sequence[str], *, what: str, repair: str) -> None:
    """Raises if a name is there twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"{len(twice)} {what} names are there more than once: {examples(twice)}. {repair}"
        )


def gene_names(adata: ad.AnnData) -> tuple[str, ...]:
    """The names of the columns, tidy; raises if one is there twice."""
    genes = tidied(tuple(map(str, adata.var_names)))
    repair = "Use adata.var_names_make_unique, or merge them."
    check_unique(genes, what="gene", repair=repair)
    return genes


def check_not_empty(cells: int, genes: int) -> None:
    """Raises if there is no cell or no gene."""
    if cells == 0 or genes == 0:
        raise ValueError(f"The data are empty: {cells} cells and {genes} genes.")


def column(adata: ad.AnnData, key: str, *, what: str) -> pd.Series:
    """A column of `obs`; raises if it is absent or has missing values."""
    obs = adata.obs
    if not isinstance(obs, pd.DataFrame):
        raise ValueError("obs was read lazily. Read the file backed, or call adata.to_memory().")
    if key not in obs:
        raise ValueError(
            f"obs has no column {key!r} for the {what}; it has {examples(obs.columns, most=20)}."
        )
    values = pd.Series(obs[key])
    missing = values.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"obs[{key!r}], the {what}, is missing in {missing.sum()} of {len(obs)} cells: "
            f"{examples(obs.index[missing])}. Drop those cells or fill the column."
        )
    return values


def check_matrix(shape: Any, dtype: Any, cells: int, genes: int) -> None:
    """Raises unless a matrix is float32 and has a row for each cell and a column for each gene."""
    if shape != (cells, genes):
        raise ValueError(
            f"The expression is {shape}, but there are {cells} cell and {genes} gene names."
        )
    if dtype != np.float32:
        raise ValueError(f"The expression is {dtype}; float32 is needed.")


def check_index(index: np.ndarray, names: Sequence[str], cells: int, *, what: str) -> None:
    """Raises unless each cell has a place among distinct, sorted names."""
    if list(names) != sorted(set(names)):
        raise ValueError(f"The {what} names are not distinct and sorted: {examples(names)}.")
    if len(index) != cells:
        raise ValueError(f"There are {len(index)} {what} entries for {cells} cells.")
    if index.min() < 0 or index.max() >= len(names):
        raise ValueError(f"The {what} index points outside the {len(names)} {what} names.")


def check_controls(contexts: Sequence[str], of_controls: np.ndarray) -> None:
    """Raises unless every context has controls, given the place of each control cell's context."""
    have = set(of_controls)
    lacking = [name for i, name in enumerate(contexts) if i not in have]
    if lacking:
        raise ValueError(
            f"{len(lacking)} contexts have no control cells: {examples(lacking)}. Drop those "
            "contexts, or merge each with one that has controls."
        )


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
    totals = totals[totals > 0]
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
