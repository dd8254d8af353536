"""From raw counts to log-normalised expression of the genes that matter (A.4.2)."""

import dataclasses
from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd

from scbig.config import PreprocessConfig
from scbig.data._checks import check_counts, check_not_empty, check_unique, column, listed
from scbig.data._condition import JOINT, Condition
from scbig.data._matrix import expression_matrix, read_csr


def preprocess(
    adata: ad.AnnData,
    config: PreprocessConfig,
    *,
    condition_key: str,
    control: str | Sequence[str],
    separator: str = JOINT,
) -> ad.AnnData:
    """Filters, normalises by library size, takes log1p, and keeps variable and perturbed genes.

    Quality control comes first: cells with fewer than `min_genes` detected genes go (and cells
    without a count, which cannot be normalised), then genes in fewer than `min_cells` cells. A
    perturbed gene that is measured is never dropped. Variable genes are scanpy's `seurat` flavour
    on the log-normalised data; all genes are kept if there are no more than `variable_genes`.

    **Arguments:**

    - `adata`: raw counts in `X`, cells by genes; left as it is.
    - `config`: the thresholds.
    - `condition_key`, `control`, `separator`: as in `PerturbationScreen.from_anndata`.

    **Returns:**

    A new AnnData: `X` log-normalised, `layers["counts"]` the counts, and in `uns["preprocess"]`
    the thresholds, how many cells and genes went, which conditions lost all their cells, and which
    perturbed genes are not measured.

    **Raises:** a ValueError if `X` is not counts, or if no cell or no control is left.
    """
    import scanpy as sc

    check_not_empty(adata.n_obs, adata.n_vars)
    genes = tuple(map(str, adata.var_names))
    check_unique(genes, what="gene", repair="Use adata.var_names_make_unique, or merge them.")
    labels = column(adata, condition_key, what="condition")
    parsed = {
        label: Condition.parse(str(label), separator=separator, controls=control)
        for label in labels.unique()
    }
    counts = read_csr(expression_matrix(adata, layer=None))
    check_counts(counts, genes)

    keep_cells = counts.getnnz(axis=1) >= max(config.min_genes, 1)
    left = {parsed[label] for label in set(labels[keep_cells])}
    _check_cells_left(keep_cells, left, config)
    counts = counts[keep_cells]

    perturbed = {name for condition in left for name in condition.perturbations}
    is_perturbed = np.isin(genes, sorted(perturbed))
    keep_genes = (counts.getnnz(axis=0) >= config.min_cells) | is_perturbed
    if not keep_genes.any():
        raise ValueError(
            f"No gene is expressed in min_cells={config.min_cells} of the {counts.shape[0]} cells."
        )
    counts = counts[:, keep_genes]
    result = ad.AnnData(
        counts.copy(),
        obs=_without_unused_categories(pd.DataFrame(adata.obs).loc[keep_cells]),
        var=pd.DataFrame(adata.var).loc[keep_genes],
        layers={"counts": counts},
    )
    sc.pp.normalize_total(result, target_sum=config.target_sum)
    sc.pp.log1p(result)
    expressed = result.n_vars
    result = _variable_genes(result, config.variable_genes, is_perturbed[keep_genes])
    lost = {c.name for c in parsed.values()} - {c.name for c in left}
    result.uns["preprocess"] = {
        **dataclasses.asdict(config),
        "removed_cells": int((~keep_cells).sum()),
        "removed_conditions": _names(lost),
        "removed_genes_rare": len(genes) - expressed,
        "removed_genes_not_variable": expressed - result.n_vars,
        "perturbed_not_measured": _names(perturbed - set(genes)),
    }
    return result


def _without_unused_categories(table: pd.DataFrame) -> pd.DataFrame:
    categorical = table.select_dtypes("category").columns
    return table.assign(
        **{name: table[name].cat.remove_unused_categories() for name in categorical}
    )


def _names(values: set[str]) -> np.ndarray:
    return np.array(sorted(values), dtype=object)


def _check_cells_left(keep: np.ndarray, left: set[Condition], config: PreprocessConfig) -> None:
    if not keep.any():
        raise ValueError(
            f"None of the {keep.size} cells has min_genes={config.min_genes} detected genes. "
            "Lower min_genes: a file of few genes needs a small one."
        )
    if Condition() not in left:
        names = listed(sorted(condition.name for condition in left))
        raise ValueError(
            f"No control cell is left after min_genes={config.min_genes}; the conditions left are "
            f"{names}. Check the name of the control, or lower min_genes."
        )


def _variable_genes(adata: ad.AnnData, most: int, always: np.ndarray) -> ad.AnnData:
    """Keeps the `most` variable genes and those of the mask `always`."""
    import scanpy as sc

    if most >= adata.n_vars:
        adata.var["highly_variable"] = True
        return adata
    sc.pp.highly_variable_genes(adata, n_top_genes=most, flavor="seurat")
    return adata[:, adata.var["highly_variable"].to_numpy() | always].copy()
