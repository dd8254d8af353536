"""Which control cells a prediction starts from, and the AnnData that it ends in."""

from collections.abc import Sequence

import anndata as ad
import jax
import jax.random as jr
import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from scbig._typing import PRNGKeyArray
from scbig.data import population


def source_rows(
    available: int, conditions: int, cells: int | None, *, key: PRNGKeyArray
) -> Int[np.ndarray, "conditions cells"]:
    """Rows of the control cells to transport for each condition.

    All of them if `cells` is `None`; otherwise drawn, with replacement only if there are fewer.
    """
    if cells is None:
        return np.tile(np.arange(available), (conditions, 1))
    draw = lambda k: jr.choice(k, available, (cells,), replace=cells > available)
    return np.asarray(jax.vmap(draw)(jr.split(key, conditions)))


def assemble(
    labels: Sequence[str],
    parts: Sequence[Float[np.ndarray, "cells genes"]],
    genes: tuple[str, ...],
    sources: pd.DataFrame,
    steps: Sequence[tuple[int, int]],
) -> ad.AnnData:
    """Predicted populations as one AnnData.

    **Arguments:** `sources`, the `obs` rows of the control cells behind the predicted ones, in
    order; `steps`, the solver's steps and rejected steps for each condition.
    """
    kept = {str(name): column.to_numpy() for name, column in sources.items() if name != "condition"}
    columns = {**kept, "source": sources.index.to_numpy()}
    result = population(list(zip(labels, parts, strict=True)), genes, obs=columns)
    counts = np.asarray(steps).reshape(-1, 2)
    result.uns["transport"] = pd.DataFrame(
        {"condition": list(labels), "steps": counts[:, 0], "rejected": counts[:, 1]}
    )
    return result
