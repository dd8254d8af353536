"""Predicted cells as files that other tools read, and that say what they rest on."""

import importlib.metadata
import os
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from scbig._files import atomic
from scbig.data import CONTROL, read_h5ad

STAMP = "scbig_prediction"


def stamped(predicted: ad.AnnData, controls: ad.AnnData, facts: dict[str, Any]) -> ad.AnnData:
    """Predicted cells and the measured controls that they started from, in one AnnData.

    As cell-eval reads it, and pertpy (1.0.3 was tried on one file): log expression in `X`,
    `obs["condition"]` with `control` among the labels, `obs["context"]` where there are contexts.

    **Arguments:** `controls`, in the contexts that were predicted; `facts`, what the prediction
    rests on, plain values for `uns["scbig_prediction"]`.
    """
    frames = [pd.DataFrame(cells.obs) for cells in (predicted, controls)]
    kept = [name for name in ("condition", "context") if all(name in own for own in frames)]
    parts = [pd.DataFrame(own[kept].astype(str)) for own in frames]
    labels: Any = pd.concat(parts, ignore_index=True)
    labels.index = labels.index.astype(str)
    values = sparse.csr_matrix(np.asarray(predicted.X, np.float32))
    both = ad.AnnData(
        sparse.vstack([values, controls[:, list(predicted.var_names)].X]).tocsr(),
        obs=labels.astype("category"),
        var=pd.DataFrame(index=predicted.var_names),
    )
    both.uns.update(predicted.uns)
    version = importlib.metadata.version("scbig-jax")
    both.uns[STAMP] = {**facts, "scale": "log1p", "version": version}
    return both


def write_prediction(cells: ad.AnnData, path: str | os.PathLike[str]) -> None:
    """Writes h5ad, whole or not at all."""
    with atomic(path) as temporary:
        cells.write_h5ad(temporary, compression="lzf")


def read_prediction(path: str | os.PathLike[str]) -> tuple[ad.AnnData, dict[str, Any]]:
    """Predicted cells alone, and what they rest on.

    **Raises:** a ValueError for a file without the stamp.
    """
    both = read_h5ad(path)
    if STAMP not in both.uns:
        raise ValueError(f"{path} is no prediction of a comparison: uns[{STAMP!r}] is not there.")
    facts = dict(both.uns[STAMP])
    return both[both.obs["condition"].to_numpy() != CONTROL].copy(), facts
