"""Where responses are measured from, if not from the controls."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float

from scbig._names import examples
from scbig.data import Columns, LabelledCells, Screen


def mean_of_conditions(
    cells: Screen | AnnData, columns: Columns = Columns(), *, singles: bool = False
) -> pd.DataFrame:
    """The mean of the mean profiles of perturbed conditions, in each context.

    What perturbations have in common (a batch, the vector, stress) is no merit of a prediction:
    from this mean it counts for nothing, and the perturbed mean has no response. Where singles are
    predicted, doubles in the mean would leave the singles' common change in.

    **Arguments:** `cells`, those of the training; `columns`, what the columns of an AnnData's `obs`
    mean; `singles`, whether only conditions of one perturbation count.

    **Returns:** a row for each context, a column for each gene: an `origin` of `evaluate`.

    **Raises:** a ValueError if no context has such a condition.
    """
    read = LabelledCells.of(cells, columns, what="training")
    chosen = {
        condition.name
        for condition in read.conditions
        if not condition.is_control and (len(condition.perturbations) == 1 or not singles)
    }
    rows = {}
    for context, own in read.populations.items():
        names = [name for name in own if name in chosen]
        if names:
            means = [read.cells(name, context).mean(axis=0, dtype=np.float64) for name in names]
            rows[context] = np.mean([np.asarray(mean).ravel() for mean in means], axis=0)
    if not rows:
        what = "single perturbation" if singles else "perturbed condition"
        raise ValueError(f"There is no {what} among the training cells to take a mean of.")
    return pd.DataFrame(np.stack([*rows.values()]), pd.Index([*rows]), pd.Index(read.genes))


def checked_origin(
    origin: pd.DataFrame, contexts: Sequence[str], genes: Sequence[str]
) -> dict[str, Float[np.ndarray, " genes"]]:
    """The profile of each context with the genes in order.

    **Raises:** a ValueError that names contexts or genes that it lacks.
    """
    lacking = [context for context in contexts if context not in origin.index]
    absent = [gene for gene in genes if gene not in origin.columns]
    if lacking or absent:
        raise ValueError(
            f"The origin of responses lacks {len(lacking)} contexts ({examples(lacking)}) and "
            f"{len(absent)} genes ({examples(absent)}) of the observed cells."
        )
    ordered = origin.loc[:, list(genes)]
    return {context: ordered.loc[context].to_numpy(np.float64) for context in contexts}
