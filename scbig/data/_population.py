"""Between arrays of cells and AnnData, at the far border."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Int

from scbig._names import examples
from scbig.data._checks import gene_names
from scbig.data._columns import contexts_of
from scbig.data._matrix import expression_matrix, read_csr


def population(
    parts: Sequence[tuple[str, Float[np.ndarray, "_cells genes"]]],
    genes: Sequence[str],
    *,
    condition_key: str = "condition",
    obs: Mapping[str, Any] | None = None,
) -> ad.AnnData:
    """Stacks the predicted cells of several conditions into one AnnData.

    **Arguments:**

    - `parts`: for each condition its label and its cells, log-normalised expression by genes.
    - `genes`: the names of the columns.
    - `condition_key`: the column of `obs` that gets the labels, as they are given.
    - `obs`: further columns, one entry for each stacked cell.

    **Returns:** cells by genes, dense float32, with distinct cell names.

    **Raises:** a ValueError for a part of another width or with values that are not finite.
    """
    if not parts:
        raise ValueError("There are no predicted cells to stack.")
    _check_parts(parts, len(genes))
    labels = np.repeat([label for label, _ in parts], [len(cells) for _, cells in parts])
    columns = {condition_key: pd.Categorical(labels), **(obs or {})}
    for name, values in columns.items():
        if len(values) != len(labels):
            raise ValueError(f"obs[{name!r}] has {len(values)} entries for {len(labels)} cells.")
    # The running number alone makes a name distinct, whatever labels repeat.
    names = pd.Index([f"{label}-{i}" for i, label in enumerate(labels)])
    return ad.AnnData(
        np.concatenate([cells for _, cells in parts]).astype(np.float32),
        obs=pd.DataFrame(columns, index=names),
        var=pd.DataFrame(index=pd.Index(list(genes))),
    )


def expression_of(
    adata: ad.AnnData,
    genes: Sequence[str],
    *,
    layer: str | None = None,
    extra: Literal["error", "ignore"] = "error",
) -> Float32[np.ndarray, "cells genes"]:
    """Expression with the genes in the order asked for, found by name.

    **Arguments:**

    - `adata`: dense or sparse, its genes in any order.
    - `genes`: the names of the columns wanted.
    - `layer`: the layer to read; without it, `X`.
    - `extra`: what to do when `adata` has other genes too: refuse, or leave them out.

    **Raises:** a ValueError that names the missing, repeated or surplus genes.
    """
    have = gene_names(adata)
    place = {name: i for i, name in enumerate(have)}
    missing = [name for name in genes if name not in place]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(genes)} genes are missing from the data: {examples(missing)}. "
            "Check that both sides name genes alike, or leave those genes out."
        )
    surplus = sorted(set(have) - set(genes))
    if surplus and extra == "error":
        raise ValueError(
            f"The data have {len(surplus)} genes too many: {examples(surplus)}. "
            'Leave them out with extra="ignore".'
        )
    matrix = read_csr(expression_matrix(adata, layer=layer))
    return matrix[:, [place[name] for name in genes]].toarray()


def context_rows(
    adata: ad.AnnData, context_key: str | Sequence[str]
) -> dict[str, Int[np.ndarray, " _rows"]]:
    """The rows of the cells of each context, sorted by its name.

    **Arguments:** `context_key`, the column of `obs` with the contexts, or several, whose values
    are then joined as `A549|IL6`.

    **Raises:** a ValueError if there is no such column, if it has missing values, or if the joined
    names of two contexts are the same.
    """
    names, codes = contexts_of(adata, context_key)
    return {name: np.flatnonzero(codes == place) for place, name in enumerate(names)}


def _check_parts(parts: Sequence[tuple[str, np.ndarray]], genes: int) -> None:
    for label, cells in parts:
        if cells.ndim != 2 or cells.shape[1] != genes:
            raise ValueError(
                f"The cells of {label!r} have shape {cells.shape}; there are {genes} genes."
            )
    broken = [label for label, cells in parts if not np.isfinite(cells).all()]
    if broken:
        raise ValueError(
            f"The predictions of {len(broken)} conditions have values that are not finite: "
            f"{examples(broken)}."
        )
