"""From raw counts to log-normalised expression of the genes that matter (A.4.2)."""

import os
from collections.abc import Sequence
from typing import Any

import anndata as ad
import pandas as pd

from scbig._condition import JOINT
from scbig._files import atomic
from scbig.config import PreprocessConfig
from scbig.data._choose import Labels, choose, tally
from scbig.data._matrix import expression_matrix, read_csr
from scbig.data._splits import Split
from scbig.data._stored import StoredMatrix, check_suffix, labels_of, write_store


def preprocess(
    adata: ad.AnnData,
    config: PreprocessConfig,
    *,
    condition_key: str,
    control: str | Sequence[str],
    context_key: str | Sequence[str] | None = None,
    dose_key: str | None = None,
    separator: str = JOINT,
    held_out: Sequence[str] | Split = (),
) -> ad.AnnData:
    """Filters, normalises by library size, takes log1p, and keeps variable and perturbed genes.

    Quality control comes first: cells with fewer than `min_genes` detected genes go (and cells
    without a count, which cannot be normalised), then genes in fewer than `min_cells` cells. A
    perturbed gene that is measured is never dropped. Variable genes are scanpy's `seurat` flavour
    on the log-normalised data; all genes are kept if there are no more than `variable_genes`.

    **Arguments:**

    - `adata`: raw counts in `X`, cells by genes; left as it is.
    - `config`: the thresholds.
    - `condition_key`, `control`, `context_key`, `dose_key`, `separator`: as in
        `PerturbationScreen.from_anndata`.
    - `held_out`: conditions, or a split, whose test cells are kept but have no say in which genes
        are.

    **Returns:**

    A new AnnData: `X` log-normalised, `layers["counts"]` the counts, and in `uns["preprocess"]`
    the thresholds, how many cells and genes went, which conditions lost all their cells, and which
    perturbed genes are not measured. Of `uns` only `source` is kept, where a public screen comes
    from; of the layers, `obsm` and the like, nothing.

    **Raises:** a ValueError if `X` is not counts, if no cell is left or no control of a context, or
    if a condition to hold out is not there.
    """
    import scanpy as sc

    labels = Labels.of(
        adata,
        condition_key,
        control=control,
        dose_key=dose_key,
        separator=separator,
        context_key=context_key,
        held_out=held_out,
    )
    counts = read_csr(expression_matrix(adata, layer=None))
    keep = choose(tally([counts], labels, config), labels, config)
    counts = counts[keep.cells][:, keep.genes]
    result = ad.AnnData(
        counts.copy(),
        obs=_without_unused_categories(pd.DataFrame(adata.obs).loc[keep.cells]),
        var=pd.DataFrame(adata.var).loc[keep.genes],
        layers={"counts": counts},
    )
    sc.pp.normalize_total(result, target_sum=config.target_sum)
    sc.pp.log1p(result)
    result.var["highly_variable"] = keep.variable(result, config)
    result = result[:, result.var["highly_variable"].to_numpy() | keep.perturbed].copy()
    result.uns["preprocess"] = keep.report(config, result.n_vars)
    _keep_source(adata, result)
    return result


def preprocess_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    config: PreprocessConfig,
    *,
    condition_key: str,
    control: str | Sequence[str],
    context_key: str | Sequence[str] | None = None,
    dose_key: str | None = None,
    separator: str = JOINT,
    held_out: Sequence[str] | Split = (),
    keep_counts: bool = False,
) -> dict[str, Any]:
    """`preprocess` from file to file, some thousand cells at a time, for any number of cells.

    The same choices and the same numbers: scanpy works on dask arrays, and anndata writes them
    block by block.

    **Arguments:**

    - `source`: raw counts in `X` of an h5ad file or a zarr folder.
    - `target`: an h5ad file or a zarr folder to write; it appears when it is whole.
    - `keep_counts`: whether the counts are written too, as `layers["counts"]`.
    - the others: as for `preprocess`.

    **Returns:** the report of `uns["preprocess"]`.

    **Raises:** a ValueError as `preprocess` does, and for a file that cannot be read.
    """
    import scanpy as sc

    check_suffix(target)
    adata = labels_of(source)
    labels = Labels.of(
        adata,
        condition_key,
        control=control,
        dose_key=dose_key,
        separator=separator,
        context_key=context_key,
        held_out=held_out,
    )
    stored = StoredMatrix.open(source)
    keep = choose(tally(stored.blocks(), labels, config), labels, config)
    counts = stored.lazy()[keep.cells][:, keep.genes]
    result = ad.AnnData(
        counts,
        obs=_without_unused_categories(pd.DataFrame(adata.obs).loc[keep.cells]),
        var=pd.DataFrame(adata.var).loc[keep.genes],
    )
    sc.pp.normalize_total(result, target_sum=config.target_sum)
    sc.pp.log1p(result)
    result.var["highly_variable"] = keep.variable(result, config)
    chosen = result.var["highly_variable"].to_numpy() | keep.perturbed
    result = result[:, chosen].copy()
    report = result.uns["preprocess"] = keep.report(config, result.n_vars)
    _keep_source(adata, result)
    if keep_counts:
        result.layers["counts"] = counts[:, chosen]
    with atomic(target) as temporary:
        write_store(temporary, result)
    return report


def _keep_source(adata: ad.AnnData, result: ad.AnnData) -> None:
    if "source" in adata.uns:
        result.uns["source"] = adata.uns["source"]


def _without_unused_categories(table: pd.DataFrame) -> pd.DataFrame:
    categorical = table.select_dtypes("category").columns
    return table.assign(
        **{name: table[name].cat.remove_unused_categories() for name in categorical}
    )
