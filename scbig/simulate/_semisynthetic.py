"""The screen as an AnnData, in memory or written block by block."""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from jaxtyping import Float32
from scipy import sparse

from scbig._files import atomic
from scbig.data import check_suffix

from ._count_model import UNS, CountModel, count_model
from ._draws import Draws
from ._effects import Effects
from ._pseudobulk import Pseudobulk
from ._settings import SemiSyntheticConfig

TARGET_SUM = 1e4
BLOCK = 8192
"""Cells in memory at a time when a file is written."""


def semi_synthetic_screen(
    effects: Effects | CountModel,
    config: SemiSyntheticConfig | None = None,
    *,
    pseudobulk: Pseudobulk | None = None,
    seed: int,
) -> ad.AnnData:
    """Draws a screen around given effects, in memory; see `write_semi_synthetic` for a file.

    **Arguments:**

    - `effects`: given effects, or a `CountModel` made of them before.
    - `config`: sizes and noise; the model's own if a model is given.
    - `pseudobulk`: see `count_model`.
    - `seed`: of the cells; the same seed gives the same cells.

    **Returns:**

    Cells by genes, CSR in float32. `obs["condition"]` is `control`, `A` or `A+B`, and
    `obs["ncounts"]` the cell's counts over all genes, also those that are not in the screen:
    normalise by it, since the screen's own genes are a few hundredths of a library. The truth is in
    `var["control_rate"]`, `varm["effects"]`, `varm["loadings"]` (`CountModel.from_anndata`), and
    configuration, seed and checksum in `uns["semi_synthetic"]`.
    """
    cells = Draws(_model(effects, config, pseudobulk), seed)
    blocks = list(cells.blocks(BLOCK))
    parts = [_matrices(cells, counts, totals) for counts, totals in blocks]
    stacked = {
        name: sparse.csr_matrix(sparse.vstack([part[name] for part in parts], format="csr"))
        for name in parts[0]
    }
    obs = _obs(cells, np.concatenate([totals for _, totals in blocks]))
    return ad.AnnData(stacked.pop("X"), obs=obs, layers=stacked, **_truth(cells))


def write_semi_synthetic(
    path: str | os.PathLike[str],
    effects: Effects | CountModel,
    config: SemiSyntheticConfig | None = None,
    *,
    pseudobulk: Pseudobulk | None = None,
    block: int = BLOCK,
    seed: int,
) -> None:
    """Writes what `semi_synthetic_screen` returns, holding only `block` cells at a time.

    The cells do not depend on `block`. The file takes its place when it is whole; whatever goes
    wrong before leaves nothing behind, and a file that was there as it was.

    **Arguments:**

    - `path`: a name that ends in `.h5ad` or `.zarr`.
    - `effects`, `config`, `pseudobulk`, `seed`: as for `semi_synthetic_screen`.
    - `block`: cells to draw and append at a time; drawing is in pieces of 256 cells.
    """
    check_suffix(path)
    if block < 1:
        raise ValueError(f"block must be positive: got {block}.")
    cells = Draws(_model(effects, config, pseudobulk), seed)
    if pathlib.Path(path).suffix == ".h5ad":
        with atomic(path) as temporary, h5py.File(temporary, "w") as file:
            _write(file, cells, block)
    else:
        import zarr

        with atomic(path) as temporary:
            _write(zarr.open_group(str(temporary), mode="w", zarr_format=2), cells, block)


def _model(
    effects: Effects | CountModel,
    config: SemiSyntheticConfig | None,
    pseudobulk: Pseudobulk | None,
) -> CountModel:
    if isinstance(effects, Effects):
        return count_model(effects, config or SemiSyntheticConfig(), pseudobulk=pseudobulk)
    if config is not None or pseudobulk is not None:
        raise ValueError("A count model has its own config and pseudobulk: give neither.")
    return effects


def _write(group: Any, cells: Draws, block: int) -> None:
    """Fills an open h5ad file or zarr group; the matrices grow by anndata's own append."""
    from anndata.io import sparse_dataset, write_elem

    for name in ("layers", "obsm", "obsp", "varp"):
        write_elem(group, name, {})
    totals = []
    for counts, ncounts in cells.blocks(block):
        totals.append(ncounts)
        for name, matrix in _matrices(cells, counts, ncounts).items():
            parent = group if name == "X" else group["layers"]
            if name in parent:
                stored: Any = sparse_dataset(parent[name])
                stored.append(matrix)
            else:
                # The screen may have more non-zeros than 32 bits can count.
                wide = {"indptr_dtype": np.dtype("int64")}
                write_elem(parent, name, matrix, dataset_kwargs=wide)
    write_elem(group, "obs", _obs(cells, np.concatenate(totals)))
    for name, table in _truth(cells).items():
        write_elem(group, name, table)
    group.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})


def _matrices(
    cells: Draws, counts: sparse.csr_matrix, totals: Float32[np.ndarray, " cells"]
) -> dict[str, sparse.csr_matrix]:
    """`X`, and the layer beside it if there is one; a cell without a count stays zero."""
    if not cells.model.config.log_normalise:
        return {"X": counts}
    share = np.divide(TARGET_SUM, totals, out=np.zeros_like(totals), where=totals > 0)
    values = np.log1p(counts.data * np.repeat(share, np.diff(counts.indptr)))
    logs = sparse.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)
    return {"X": logs, "counts": counts}


def _obs(cells: Draws, totals: Float32[np.ndarray, " cells"]) -> pd.DataFrame:
    condition = pd.Categorical.from_codes(cells.groups, cells.model.names)
    index = pd.Index([f"cell{i}" for i in range(1, len(totals) + 1)])
    return pd.DataFrame({"condition": condition, "ncounts": totals}, index=index)


def _truth(cells: Draws) -> dict[str, Any]:
    model = cells.model
    return {
        "var": pd.DataFrame({"control_rate": model.control_rate}, index=pd.Index(model.genes)),
        "varm": {"effects": model.effects.T.copy(), "loadings": model.loadings.T.copy()},
        "uns": {
            UNS: {
                "conditions": np.array([c.name for c in model.conditions], dtype=object),
                "cells": model.cells,
                "config": json.dumps(dataclasses.asdict(model.config)),
                "seed": cells.seed,
                "effects_sha256": model.checksum,
                "scbig": importlib.metadata.version("scbig-jax"),
            }
        },
    }
