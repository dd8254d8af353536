"""From a predicted mean to predicted cells."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import jax.random as jr
import numpy as np
from anndata import AnnData
from jaxtyping import Float, PRNGKeyArray

from scbig.data import Condition, expression_of, population


@runtime_checkable
class Predictor(Protocol):
    """Anything that turns control cells into the cells of a perturbation."""

    def predict(
        self, controls: AnnData, conditions: Sequence[str], *, key: PRNGKeyArray
    ) -> AnnData:
        """Predicted cells of each condition, stacked, labelled in `obs["condition"]` as given."""
        ...


def shift_cells(
    controls: Float[np.ndarray, "cells genes"], mean: Float[np.ndarray, " genes"]
) -> Float[np.ndarray, "cells genes"]:
    """The control cells, moved so that their mean is the predicted mean.

    A gene predicted below its control mean is scaled down, so that no cell turns negative; a gene
    predicted above is shifted up by a constant, which makes its zeros positive. The cells keep
    their dispersion: copies of one mean profile have none, and several metrics reward that.

    **Arguments:**

    - `controls`: expression of control cells, not negative.
    - `mean`: predicted mean; where it is negative, which no population of cells can have, it is
        replaced by zero.

    **Returns:** as many cells, float32, not negative.
    """
    if controls.size and controls.min() < 0:
        raise ValueError(
            f"Control expression must not be negative: the least value is {controls.min():.4g}. "
            "Pass log-normalised cells that are neither centred nor scaled."
        )
    current = controls.mean(axis=0, dtype=np.float64)
    target = np.maximum(np.asarray(mean, np.float64), 0.0)
    falls = target < current
    ratio = np.divide(target, current, out=np.ones_like(current), where=falls)
    rise = np.where(falls, 0.0, target - current)
    return (controls * ratio + rise).astype(np.float32)


def predict_cells(
    effects: Callable[[Sequence[Condition]], Float[np.ndarray, "conditions genes"]] | None,
    genes: Sequence[str],
    controls: AnnData,
    conditions: Sequence[str],
    *,
    key: PRNGKeyArray,
    cells: int | None = None,
) -> AnnData:
    """Cells of each condition: the controls, moved to their own mean plus the condition's effect.

    **Arguments:**

    - `effects`: changes of the mean profile, a row for each condition; None: the cells are left
        as they are.
    - `genes`: the genes of the effects.
    - `controls`: control cells of the context to predict in, with the same genes in any order.
    - `conditions`: labels, such as `"A+B"`; `"A+ctrl"` or `"control"`.
    - `key`: of the draw of control cells.
    - `cells`: control cells drawn with replacement for each condition; None: each control once.

    **Returns:** the predicted cells, genes in the order of `genes`, `obs["condition"]` as given.
    """
    if cells is not None and cells < 1:
        raise ValueError(f"cells must be positive or None: got {cells}.")
    if len(conditions) == 0 or isinstance(conditions, str):
        raise ValueError(f"A list of condition labels is needed: got {conditions!r}.")
    base = expression_of(controls, genes)
    if len(base) == 0 or not np.isfinite(base).all():
        raise ValueError("The controls must be at least one cell, without NaN or infinite values.")
    centre = base.mean(axis=0, dtype=np.float64)
    means = None if effects is None else centre + effects([Condition.parse(c) for c in conditions])
    parts: list[tuple[str, np.ndarray]] = []
    for place, subkey in enumerate(jr.split(key, len(conditions))):
        drawn = base
        if cells is not None:
            drawn = base[np.asarray(jr.randint(subkey, (cells,), 0, len(base)))]
        parts.append(
            (conditions[place], drawn if means is None else shift_cells(drawn, means[place]))
        )
    return population(parts, tuple(genes))


def shortlist(names: Sequence[str], most: int = 5) -> str:
    """The first few names and how many there are, for an error message."""
    return f"{len(names)} ({', '.join(names[:most])}{', ...' if len(names) > most else ''})"
