"""From a predicted mean to predicted cells."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import jax.random as jr
import numpy as np
from anndata import AnnData
from jaxtyping import Float, PRNGKeyArray

from scbig.data import Condition, context_rows, expression_of, population


@runtime_checkable
class Predictor(Protocol):
    """Anything that turns control cells into the cells of a perturbation."""

    def predict(
        self,
        controls: AnnData,
        conditions: Sequence[str],
        *,
        key: PRNGKeyArray,
        context_key: str | Sequence[str] | None = None,
    ) -> AnnData:
        """Predicted cells of each condition, stacked, labelled in `obs["condition"]` as given.

        With `context_key`, a column of the controls' `obs` or several, each context is predicted
        from its own controls, and the predicted cells keep the columns.
        """
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
    context_key: str | Sequence[str] | None = None,
) -> AnnData:
    """Cells of each condition: the controls, moved to their own mean plus the condition's effect.

    **Arguments:**

    - `effects`: changes of the mean profile, a row for each condition, the same in all contexts;
        None: the cells are left as they are.
    - `genes`: the genes of the effects.
    - `controls`: control cells of the contexts to predict in, with the same genes in any order.
    - `conditions`: labels, such as `"A+B"`; `"A+ctrl"` or `"control"`.
    - `key`: of the draw of control cells.
    - `cells`: control cells drawn with replacement for each condition, from each context; None:
        each control once.
    - `context_key`: column of `obs` with the contexts, or several: the effect is added to the
        mean of each context's own controls. Without it all controls are of one context.

    **Returns:** the predicted cells, by context and then by condition, genes in the order of
    `genes`, `obs["condition"]` as given and the controls' columns `context_key`.

    **Raises:** a ValueError for genes or labels that do not fit, controls that are not expression,
    a control without a context.
    """
    _check_request(conditions, cells, context_key)
    base = expression_of(controls, genes)
    if len(base) == 0 or not np.isfinite(base).all():
        raise ValueError("The controls must be at least one cell, without NaN or infinite values.")
    changes = None if effects is None else effects([Condition.parse(c) for c in conditions])
    keys = _context_keys(context_key)
    groups = [*context_rows(controls, keys).values()] if keys else [np.arange(len(base))]
    parts: list[tuple[str, np.ndarray]] = []
    sources: list[np.ndarray] = []
    for number, rows in enumerate(groups):
        centre = base[rows].mean(axis=0, dtype=np.float64)
        # The first context draws what a prediction without contexts would.
        subkeys = jr.split(jr.fold_in(key, number) if number else key, len(conditions))
        for place, subkey in enumerate(subkeys):
            drawn = rows
            if cells is not None:
                drawn = rows[np.asarray(jr.randint(subkey, (cells,), 0, len(rows)))]
            moved = base[drawn]
            if changes is not None:
                moved = shift_cells(moved, centre + changes[place])
            parts.append((conditions[place], moved))
            sources.append(drawn)
    chosen = np.concatenate(sources)
    kept = {name: controls.obs[name].to_numpy()[chosen] for name in keys}
    return population(parts, tuple(genes), obs=kept)


def _context_keys(context_key: str | Sequence[str] | None) -> list[str]:
    if context_key is None:
        return []
    return [context_key] if isinstance(context_key, str) else list(context_key)


def _check_request(
    conditions: Sequence[str], cells: int | None, context_key: str | Sequence[str] | None
) -> None:
    if cells is not None and cells < 1:
        raise ValueError(f"cells must be positive or None: got {cells}.")
    if len(conditions) == 0 or isinstance(conditions, str):
        raise ValueError(f"A list of condition labels is needed: got {conditions!r}.")
    if context_key is not None and not _context_keys(context_key):
        raise ValueError("context_key names no column; None stands for no contexts.")
    if "condition" in _context_keys(context_key):
        raise ValueError(
            "context_key must not be 'condition', where the predicted conditions are written. "
            "Name the column with the contexts."
        )


def shortlist(names: Sequence[str], most: int = 5) -> str:
    """The first few names and how many there are, for an error message."""
    return f"{len(names)} ({', '.join(names[:most])}{', ...' if len(names) > most else ''})"
