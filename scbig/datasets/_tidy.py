"""Published files in one form: raw counts, `condition`, `context`, `dose`, unique gene symbols."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from anndata.abc import CSCDataset, CSRDataset
from scipy import sparse

from scbig._names import examples
from scbig.data import Condition, check_counts, check_unique, column, expression_matrix, read_csr

from ._cut import Cut, by_label, check_names, stated_numbers
from ._sources import Source

Choice = Callable[[pd.DataFrame], Any]
"""From the tidy `obs`, the cells to read: a mask, or row numbers."""

_SYMBOLS = ("gene_symbol", "gene_name", "gene_short_name")
_IDS = ("ensembl_id", "ensemble_id", "gene_id", "id")
_CHUNK = 4096


def from_scperturb(adata: ad.AnnData, source: Source, *, cells: Choice | None = None) -> ad.AnnData:
    """A CRISPR screen of scPerturb in the tidy form.

    What is relied on: `X` holds raw counts, dense or sparse; `obs["perturbation"]` holds `control`,
    gene symbols, and for combinations symbols joined by `_`; `obs["nperts"]`, if there, their
    number; `obs["cell_line"]`, if there, one cell line; the symbols are the names of `var`, and
    `var["ensembl_id"]` or `var["ensemble_id"]` the identifiers. A symbol that itself contains `_`
    is recognised by `nperts`, or because it is a measured gene.

    **Arguments:**

    - `adata`: the file as published, backed or in memory; left as it is.
    - `source`: its record.
    - `cells`: from the tidy `obs` (which has `condition` and `context`), a mask or row numbers of
        the cells whose counts are to be read; without it, all.

    **Returns:**

    A new AnnData in memory: `X` the raw counts (CSR, float32); `obs["condition"]` as `A`, `A+B` or
    `control`; `obs["context"]` the record's; `var_names` unique symbols with `var["ensembl_id"]`;
    every published column (one of these names becomes `published_NAME`); in `uns["source"]` where
    it comes from. Of genes with the same symbol the first keeps it, the others become
    `SYMBOL_IDENTIFIER`; these are listed in `uns["source"]["duplicate_symbols_renamed"]`.

    **Raises:** a ValueError if the file is not of this structure, a label could be cut in several
    ways, or the counts are not whole numbers.
    """
    labels = column(adata, "perturbation", what="perturbation").astype(str)
    alone = {label for label in labels.unique() if "_" not in label}
    cut = Cut(frozenset(alone.union(_genes(adata)[0])), stated_numbers(adata, labels))
    conditions = by_label(labels, cut)
    _check_one_line(adata, source, key="cell_line")
    return _tidy(adata, source, conditions, expression_matrix(adata, layer=None), cells)


def from_combosciplex(
    adata: ad.AnnData, source: Source, *, cells: Choice | None = None
) -> ad.AnnData:
    """ComboSciPlex, as pertpy distributes it, in the tidy form.

    What is relied on: `layers["counts"]` holds raw counts (`X` is log-normalised); `obs["Drug1"]`
    and `obs["Drug2"]` name the drugs, `control` or `DMSO` standing for none; symbols are in
    `var["gene_short_name"]`, identifiers in `var["id"]`. No column of doses is known: `obs["dose"]`
    is the record's dose for each drug of the condition, in the same order and joined by `+`, empty
    for controls.

    **Arguments, returns, raises:** as `from_scperturb`; drug names stay as published, without
    blanks around them.
    """
    first, second = (
        column(adata, key, what="drug").astype(str).str.strip() for key in ("Drug1", "Drug2")
    )
    check_names(sorted({*first, *second}))
    conditions = by_label(first + "+" + second, lambda label: tuple(label.split("+")))
    _check_one_line(adata, source, key="cell_type")
    return _tidy(adata, source, conditions, expression_matrix(adata, layer="counts"), cells)


def _check_one_line(adata: ad.AnnData, source: Source, *, key: str) -> None:
    lines = pd.Series(adata.obs[key]).dropna().unique() if key in adata.obs else ()
    if len(lines) > 1:
        raise ValueError(
            f"obs[{key!r}] has {len(lines)} cell lines, {examples(lines)}; {source.name} has one, "
            f"{source.context}. Split the file, and read each with a record of its own."
        )


def _genes(adata: ad.AnnData) -> tuple[list[str], list[str]]:
    """Symbols and identifiers; a gene without a symbol goes by its name in `var`."""
    var, names = pd.DataFrame(adata.var), np.asarray(adata.var_names.astype(str), dtype=object)
    symbols = next((var[key] for key in _SYMBOLS if key in var), pd.Series(names, var.index))
    named = symbols.notna().to_numpy()
    ids = next((var[key] for key in _IDS if key in var), pd.Series(names, var.index))
    ids = ids.astype(object).where(ids.astype(str).str.startswith("ENS"), "")
    return list(np.where(named, symbols.astype(str), names)), list(ids)


def _unique(symbols: list[str], ids: list[str]) -> tuple[list[str], list[str]]:
    """The symbols, the second and later of a kind with the identifier added; and those renamed."""
    seen: Counter[str] = Counter()
    unique, renamed = [], []
    for symbol, identifier in zip(symbols, ids, strict=True):
        seen[symbol] += 1
        if seen[symbol] > 1:
            renamed.append(f"{symbol}_{identifier or seen[symbol]}")
        unique.append(renamed[-1] if seen[symbol] > 1 else symbol)
    check_unique(unique, what="gene", repair="The identifiers are not unique either: repair var.")
    return unique, renamed


def _tidy(
    adata: ad.AnnData, source: Source, conditions: pd.Series, matrix: Any, cells: Choice | None
) -> ad.AnnData:
    symbols, ids = _genes(adata)
    names, renamed = _unique(symbols, ids)
    obs = _tidy_obs(adata, source, conditions)
    chosen = None if cells is None else _chosen(cells(obs), adata.n_obs)
    counts = _rows(matrix, chosen)
    check_counts(counts, names)
    provenance = {
        **{key: getattr(source, key) for key in ("name", "file", "url", "licence", "citation")},
        "checksum": source.checksum or "",
        "dose_unit": source.dose_unit,
        "published_cells": adata.n_obs,
        "duplicate_symbols_renamed": np.array(renamed, dtype=object),
    }
    return ad.AnnData(
        counts,
        obs=obs if chosen is None else _chosen_obs(obs, chosen),
        var=pd.DataFrame(adata.var).assign(ensembl_id=ids).set_axis(pd.Index(names), axis=0),
        uns={"source": provenance},
    )


def _tidy_obs(adata: ad.AnnData, source: Source, conditions: pd.Series) -> pd.DataFrame:
    tidy = {"condition": conditions, "context": pd.Categorical([source.context] * adata.n_obs)}
    if source.dose is not None:
        tidy["dose"] = _doses(conditions, source.dose)
    published = {key: f"published_{key}" for key in tidy}
    return pd.DataFrame(adata.obs).rename(columns=published).assign(**tidy)


def _chosen_obs(obs: pd.DataFrame, chosen: np.ndarray) -> pd.DataFrame:
    obs = obs.iloc[chosen]
    categorical = obs.select_dtypes("category").columns
    return obs.assign(**{key: obs[key].cat.remove_unused_categories() for key in categorical})


def _doses(conditions: pd.Series, dose: float) -> pd.Series:
    numbers = {
        name: "+".join([f"{dose:g}"] * len(Condition.parse(name).perturbations))
        for name in conditions.cat.categories
    }
    return conditions.astype(str).map(numbers).astype("category")


def _chosen(choice: Any, num_cells: int) -> np.ndarray:
    """Row numbers, in the order of the file, from a mask or from row numbers."""
    choice = np.asarray(choice)
    if choice.dtype == bool and choice.shape == (num_cells,):
        rows = np.flatnonzero(choice)
    elif np.issubdtype(choice.dtype, np.integer) and choice.ndim == 1:
        rows = np.unique(choice)
    else:
        raise ValueError(
            f"`cells` must give a mask of {num_cells} cells or row numbers; it gave an array of "
            f"{choice.dtype} of shape {choice.shape}."
        )
    if rows.size == 0 or rows[0] < 0 or rows[-1] >= num_cells:
        raise ValueError(f"`cells` chose no cell, or rows outside the {num_cells} of the file.")
    return rows


def _rows(matrix: Any, chosen: np.ndarray | None) -> sparse.csr_matrix:
    """These rows of a matrix as CSR; what is on disk is read in blocks, untouched ones not."""
    if chosen is None:
        return read_csr(matrix)
    if isinstance(matrix, CSCDataset):
        matrix = matrix.to_memory()
    if not isinstance(matrix, CSRDataset | h5py.Dataset):
        return read_csr(matrix[chosen])
    blocks = []
    for start in range(0, matrix.shape[0], _CHUNK):
        inside = chosen[(chosen >= start) & (chosen < start + _CHUNK)] - start
        if inside.size:
            block: Any = matrix[start : start + _CHUNK]
            blocks.append(read_csr(block[inside]))
    return sparse.csr_matrix(sparse.vstack(blocks, format="csr"))
