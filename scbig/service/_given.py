"""Cells that a prediction starts from: whether they are controls, on the model's own scale."""

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32
from scipy import sparse

from scbig._names import examples, tidy
from scbig.data import Columns, check_log_base, check_log_normalised, check_one_scale

from ._names import Names

APART = 2.0
"""Times by which the expression of controls may differ from that of the training."""


def check_given(
    adata: ad.AnnData,
    expression: Float32[np.ndarray, "cells genes"],
    mean: Float32[np.ndarray, " genes"],
    names: Names,
) -> None:
    """Raises unless cells are log-normalised, on the scale of the training.

    **Arguments:** `expression` of the model's genes; `mean`, of the training cells.
    """
    check_log_base(adata.uns)
    check_log_normalised(sparse.csr_matrix(expression), names.genes)
    given, trained = float(expression.mean(dtype=np.float64)), float(mean.mean(dtype=np.float64))
    check_one_scale(given, trained, what="given", other="training", most=APART)


def check_labelled(adata: ad.AnnData, columns: Columns, names: Names) -> None:
    """Raises if all cells would be taken for controls, and a column says that they are not."""
    if columns.condition in adata.obs or "condition" in adata.obs:
        return
    known = set(names.perturbations)
    for key, column in adata.obs.items():
        labels = [] if pd.api.types.is_numeric_dtype(column) else column.dropna().unique()
        parts = {tidy(part) for label in labels for part in str(label).split(columns.separator)}
        if parts & known:
            raise ValueError(
                f"obs has no column {columns.condition!r}, and obs[{key!r}] names perturbations "
                f"that the model knows: {examples(sorted(parts & known))}. If that column says how "
                f"cells were perturbed, name it: Columns(condition={key!r}); if all of these cells "
                "are controls, drop it."
            )
