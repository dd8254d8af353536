"""Checks at the border: each raises one error that names what is wrong and how to repair it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Int

from scbig._names import examples, tidied


def check_unique(names: Sequence[str], *, what: str, repair: str) -> None:
    """Raises if a name is there twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"{len(twice)} {what} names are there more than once: {examples(twice)}. {repair}"
        )


def gene_names(adata: ad.AnnData, key: str | None = None) -> tuple[str, ...]:
    """The names of the columns, tidy; raises if one is there twice, or empty.

    **Arguments:** `key`, a column of `var` that has them: a gene without a name there, or with one
    that others share, keeps that of `var_names`.
    """
    genes = tidied(tuple(map(str, adata.var_names)))
    if key is not None:
        if key not in adata.var:
            raise ValueError(
                f"var has no column {key!r} for the genes; it has "
                f"{examples(adata.var.columns, most=20) or 'none'}."
            )
        given = _given(adata, key)
        count = Counter(given)
        pairs = zip(given, genes, strict=True)
        genes = tuple(name if name and count[name] == 1 else old for name, old in pairs)
    empty = [place for place, name in enumerate(genes) if not name]
    if empty:
        raise ValueError(
            f"{len(empty)} genes have no name, the first in column {empty[0]} (counted from 0). "
            "Name or drop them."
        )
    repair = "Use adata.var_names_make_unique, or merge them."
    check_unique(genes, what="gene", repair=repair)
    return genes


def shared_names(adata: ad.AnnData, key: str) -> frozenset[str]:
    """The names that several genes have in a column of `var`."""
    return frozenset(name for name, count in Counter(_given(adata, key)).items() if count > 1)


def _given(adata: ad.AnnData, key: str) -> tuple[str, ...]:
    named = pd.Series(adata.var[key])
    return tidied(tuple(map(text_of, named.astype(object).where(named.notna(), ""))))


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
            f"obs has no column {key!r} for the {what}; it has "
            f"{examples(obs.columns, most=20) or 'none'}.{_elsewhere(adata, key)}"
        )
    values = pd.Series(obs[key])
    missing = values.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"obs[{key!r}], the {what}, is missing in {missing.sum()} of {len(obs)} cells: "
            f"{examples(obs.index[missing])}. Drop those cells or fill the column"
            f"{', with control where nothing was perturbed' * (what == 'condition')}."
        )
    return values


def _elsewhere(adata: ad.AnnData, key: str) -> str:
    if key not in adata.var:
        return ""
    return " var has it: if its rows are the cells, transpose the data (adata.T)."


def coded(
    values: pd.Series, *, missing: bool = False
) -> tuple[Int[np.ndarray, " cells"], list[str]]:
    """The place of each entry of a column among the distinct ones, and these as texts.

    **Arguments:** `missing`, whether a missing entry is one of them.
    """
    codes, distinct = pd.factorize(values, use_na_sentinel=not missing)
    # Iterating an index would widen a float32, and write 0.1 as 0.10000000149011612.
    return codes, [text_of(value) for value in np.asarray(distinct)]


def text_of(value: object) -> str:
    """An entry as a text, however it was stored: 1.0 as 1, and bytes as what they spell."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


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
