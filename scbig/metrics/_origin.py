"""Where responses are measured from, if not from the controls."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float

from scbig._names import examples
from scbig.data import Columns, LabelledCells, Screen

from ._distribution import mean_profile

Profile = Float[np.ndarray, " genes"]


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
    profiles = _profiles(cells, columns, singles=singles)
    means: Any = profiles.groupby(level="context", sort=False).mean()
    return means.rename_axis(None)


def single_profiles(cells: Screen | AnnData, columns: Columns = Columns()) -> pd.DataFrame:
    """The mean profile of each single perturbation, in each context.

    **Arguments:** `cells`, those of the training; `columns`, what the columns of an AnnData's `obs`
    mean.

    **Returns:** a row for each context and condition, a column for each gene: `singles` of
    `evaluate`.

    **Raises:** a ValueError if there is no single perturbation.
    """
    return _profiles(cells, columns, singles=True)


def _profiles(cells: Screen | AnnData, columns: Columns, *, singles: bool) -> pd.DataFrame:
    read = LabelledCells.of(cells, columns, what="training")
    chosen = {
        condition.name
        for condition in read.conditions
        if not condition.is_control and (len(condition.perturbations) == 1 or not singles)
    }
    means: dict[tuple[str, str], Profile] = {
        (context, name): mean_profile(read.cells(name, context))
        for context, own in read.populations.items()
        for name in own
        if name in chosen
    }
    if not means:
        what = "single perturbation" if singles else "perturbed condition"
        raise ValueError(f"There is no {what} among the training cells to take a mean of.")
    index = pd.MultiIndex.from_tuples([*means], names=["context", "condition"])
    return pd.DataFrame(np.stack([*means.values()]), index, pd.Index(read.genes))


def checked_singles(singles: pd.DataFrame, genes: Sequence[str]) -> dict[tuple[str, str], Profile]:
    """The profiles by context and condition, with the genes in order.

    **Raises:** a ValueError for a frame of another form, or that names genes that it lacks.
    """
    if singles.index.nlevels != 2:
        raise ValueError(
            "The profiles of singles need a row for each context and condition, as "
            f"single_profiles makes them: their index has {singles.index.nlevels} levels."
        )
    absent = [gene for gene in genes if gene not in singles.columns]
    if absent:
        raise ValueError(
            f"The profiles of singles lack {len(absent)} genes ({examples(absent)}) of the "
            "observed cells."
        )
    values = singles.loc[:, list(genes)].to_numpy(np.float64)
    return dict(zip(singles.index.to_flat_index(), values, strict=True))


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
