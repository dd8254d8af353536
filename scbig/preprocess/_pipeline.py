"""From raw counts to log-normalised expression of the genes that matter (A.4.2)."""

import os
from collections.abc import Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from scbig._files import atomic
from scbig.data import (
    Columns,
    StoredMatrix,
    check_suffix,
    expression_matrix,
    labels_of,
    read_csr,
    write_store,
)

from ._choose import Design, Selection, choose, tally
from ._thresholds import PreprocessConfig

_OLD_NAMES = "var_names"
"""The column of `var` with what genes were called in the source, where that was something else."""


def preprocess(
    adata: ad.AnnData,
    config: PreprocessConfig,
    columns: Columns = Columns(),
    *,
    held_out: Sequence[str] = (),
    held_out_contexts: Sequence[str] = (),
    layer: str | None = None,
) -> ad.AnnData:
    """Filters, normalises by library size, takes log1p, and keeps variable and perturbed genes.

    Quality control comes first: cells with fewer than `min_genes` detected genes go (and cells
    without a count, which cannot be normalised), then genes in fewer than `min_cells` cells. A
    perturbed gene that is measured is never dropped. Variable genes are scanpy's `seurat` flavour
    on the log-normalised data; all genes are kept if there are no more than `variable_genes`.

    **Arguments:**

    - `adata`: raw counts in `X`, cells by genes; left as it is.
    - `config`: the thresholds.
    - `columns`: what the columns of `obs` mean.
    - `held_out`: conditions whose cells are kept but have no say in which genes are, such as
        `split.test`.
    - `held_out_contexts`: the contexts in which they are held out, such as
        `split.test_contexts`; without any, all.
    - `layer`: the layer with the counts; without it, `X`.

    **Returns:**

    A new AnnData: `X` log-normalised, `layers["counts"]` the counts, and in `uns["preprocess"]`
    the thresholds, how many cells and genes went, which conditions lost all their cells, and which
    perturbed genes are not measured. Of `uns` only `source` is kept, where a public screen comes
    from; of the layers, `obsm` and the like, nothing.

    **Raises:** a ValueError if `X` is not counts, if no cell is left or no control of a context, or
    if a condition to hold out is not there.
    """
    design = Design.of(adata, columns, held_out, held_out_contexts)
    counts = read_csr(expression_matrix(adata, layer=layer))
    keep = choose(tally([counts], design, config), design, config)
    counts = counts[keep.cells][:, keep.genes]
    return _normalised(counts.copy(), {"counts": counts}, adata, design.genes, keep, config)


def preprocess_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    config: PreprocessConfig,
    columns: Columns = Columns(),
    *,
    held_out: Sequence[str] = (),
    held_out_contexts: Sequence[str] = (),
    layer: str | None = None,
    keep_counts: bool = False,
) -> dict[str, Any]:
    """`preprocess` from file to file, some thousand cells at a time, for any number of cells.

    The same choices and the same numbers: scanpy works on dask arrays, and anndata writes them
    block by block.

    **Arguments:**

    - `source`: raw counts in `X`, or a layer, of an h5ad file or a zarr folder.
    - `target`: an h5ad file or a zarr folder to write; it appears when it is whole.
    - `keep_counts`: whether the counts are written too, as `layers["counts"]`.
    - the others: as for `preprocess`.

    **Returns:** the report of `uns["preprocess"]`.

    **Raises:** a ValueError as `preprocess` does, and for a file that cannot be read.
    """
    check_suffix(target)
    adata = labels_of(source)
    design = Design.of(adata, columns, held_out, held_out_contexts)
    stored = StoredMatrix.open(source, "X" if layer is None else f"layers/{layer}")
    keep = choose(tally(stored.blocks(), design, config), design, config)
    counts = stored.lazy()[keep.cells][:, keep.genes]
    layers = {"counts": counts} if keep_counts else None
    result = _normalised(counts, layers, adata, design.genes, keep, config)
    with atomic(target) as temporary:
        write_store(temporary, result)
    return result.uns["preprocess"]


def _normalised(
    counts: Any,
    layers: dict[str, Any] | None,
    source: ad.AnnData,
    genes: tuple[str, ...],
    keep: Selection,
    config: PreprocessConfig,
) -> ad.AnnData:
    """Chosen counts, sparse or dask, on the log scale, with the genes that vary, and the report."""
    import scanpy as sc

    var = pd.DataFrame(source.var).loc[keep.genes]
    if genes != tuple(source.var_names):
        var = var.assign(**{_OLD_NAMES: var.index})
        var.index = pd.Index(np.array(genes, object)[keep.genes])

    result = ad.AnnData(
        counts,
        obs=_without_unused_categories(pd.DataFrame(source.obs).loc[keep.cells]),
        var=var,
        layers=layers,
    )
    sc.pp.normalize_total(result, target_sum=config.target_sum)
    sc.pp.log1p(result)
    result.var["highly_variable"] = keep.variable(result, config)
    result = result[:, result.var["highly_variable"].to_numpy() | keep.perturbed].copy()
    result.uns["preprocess"] = keep.report(config, result.n_vars)
    if "source" in source.uns:
        result.uns["source"] = source.uns["source"]
    return result


def _without_unused_categories(table: pd.DataFrame) -> pd.DataFrame:
    categorical = table.select_dtypes("category").columns
    return table.assign(
        **{name: table[name].cat.remove_unused_categories() for name in categorical}
    )
