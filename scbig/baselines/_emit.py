"""From the changes of a mean profile to predicted cells."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float, Int, PRNGKeyArray

from scbig.data import (
    Columns,
    Condition,
    Screen,
    context_rows,
    control_cells,
    expression_of,
    population,
    record_columns,
)
from scbig.sampling import start_rows

Effects = Callable[[Sequence[Condition]], Float[np.ndarray, "conditions genes"]]
"""Changes of the mean profile in log units, a row for each condition."""

ContextEffects = Callable[
    [Sequence[Condition], Sequence[str]], Sequence[Float[np.ndarray, "conditions genes"]]
]
"""The same for each of some contexts."""


@runtime_checkable
class Predictor(Protocol):
    """Anything that turns control cells into the cells of a perturbation."""

    def predict(
        self,
        controls: AnnData,
        conditions: Sequence[str],
        *,
        columns: Columns = Columns(),
        key: PRNGKeyArray,
        cells: int | None = None,
    ) -> AnnData:
        """Predicted cells of each condition, stacked, labelled in `obs["condition"]` as given.

        With `columns.context`, a column of the controls' `obs` or several, each context is
        predicted from its own controls, and the predicted cells keep the columns. With `cells`, so
        many cells are predicted for each condition and context.
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

    **Raises:** a ValueError for negative expression.
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
    effects: Effects,
    genes: Sequence[str],
    controls: Screen | AnnData,
    conditions: Sequence[str],
    columns: Columns = Columns(),
    *,
    key: PRNGKeyArray,
    cells: int | None = None,
) -> AnnData:
    """Cells of each condition: the controls, moved to their own mean plus the condition's effect.

    A condition without any effect is predicted as the control cells themselves.

    **Arguments:**

    - `effects`: changes of the mean profile, a row for each condition, the same in all contexts.
    - `genes`: the genes of the effects.
    - `controls`: a screen or an AnnData, for its controls in the contexts to predict in, with the
        same genes in any order. Where an AnnData has the column of conditions, its controls are
        the cells that it calls so, and without that column all cells.
    - `conditions`: labels, such as `"A+B"`; `"A+ctrl"` or `"control"`; spelled as `columns` says.
    - `columns`: what the columns of an AnnData's `obs` mean; a screen has read its own. With
        contexts, the effect is added to the mean of each context's own controls.
    - `key`: of the draw of control cells, which depends on nothing else but the condition and the
        context: other predictors that draw with it, a trained model among them, draw the same.
    - `cells`: control cells drawn for each condition, from each context, with replacement only if
        there are fewer; None: each control once.

    **Returns:** the predicted cells, by context and then by condition, genes in the order of
    `genes`, `obs["condition"]` the label (as given, if `columns` has the usual spelling),
    `obs["source"]` the control cell, and its other columns;
    `uns["scbig_columns"]` names the columns of conditions and contexts.

    **Raises:** a ValueError for genes or labels that do not fit, controls that are not expression,
    a control without a context.
    """
    return predict_in_contexts(
        lambda asked, contexts: [effects(asked)] * len(contexts),
        genes,
        controls,
        conditions,
        columns,
        key=key,
        cells=cells,
    )


def predict_in_contexts(
    effects: ContextEffects,
    genes: Sequence[str],
    controls: Screen | AnnData,
    conditions: Sequence[str],
    columns: Columns = Columns(),
    *,
    key: PRNGKeyArray,
    cells: int | None = None,
) -> AnnData:
    """As `predict_cells`, with effects that differ between contexts.

    **Arguments:** `effects`, of some conditions in each of some contexts; controls without a column
    of contexts are in the context `""`. The others as there.
    """
    known: dict[tuple[str, Condition], Float[np.ndarray, " genes"]] = {}

    def prepare(wanted: Sequence[Condition], contexts: Sequence[str]) -> None:
        for context, changes in zip(contexts, effects(wanted, contexts), strict=True):
            known.update(((context, c), x) for c, x in zip(wanted, changes, strict=True))

    def shift(
        cells: Float[np.ndarray, "cells genes"],
        centre: Float[np.ndarray, " genes"],
        condition: Condition,
        context: str,
    ) -> Float[np.ndarray, "cells genes"]:
        change = known[context, condition]
        return shift_cells(cells, centre + change) if np.any(change) else cells

    given = controls, conditions, columns
    return move_controls(shift, genes, *given, key=key, cells=cells, prepare=prepare)


Move = Callable[
    [Float[np.ndarray, "cells genes"], Float[np.ndarray, " genes"], Condition, str],
    Float[np.ndarray, "cells genes"],
]
"""From control cells, the mean of all controls, a condition and its context to predicted cells."""

Choose = Callable[
    [Float[np.ndarray, "cells genes"], Float[np.ndarray, " genes"], Condition, str],
    Int[np.ndarray, " cells"],
]
"""From the same to the rows of the cells that are moved."""


def move_controls(
    move: Move,
    genes: Sequence[str],
    controls: Screen | AnnData,
    conditions: Sequence[str],
    columns: Columns = Columns(),
    *,
    key: PRNGKeyArray,
    cells: int | None = None,
    prepare: Callable[[Sequence[Condition], Sequence[str]], None] = lambda _, __: None,
    choose: Choose = lambda cells, *_: np.arange(len(cells)),
) -> AnnData:
    """Cells of each condition: control cells of each context, as `move` moves them.

    **Arguments:** `move`, of cells by the condition and the context; `prepare`, called once with
    all conditions and contexts, before cells are drawn; `choose`, rows of the drawn cells that are
    moved, by default all; the others as for `predict_cells`.

    **Raises:** as `predict_cells`.
    """
    controls, context_key = control_cells(controls, columns)
    parsed = _check_request(conditions, cells, context_key, columns)
    conditions = columns.spelled(conditions)
    base = expression_of(controls, genes)
    if len(base) == 0 or not np.isfinite(base).all():
        raise ValueError("The controls must be at least one cell, without NaN or infinite values.")
    everything = {"": np.arange(len(base))}
    groups = everything if context_key is None else context_rows(controls, context_key)
    prepare(parsed, [*groups])
    parts: list[tuple[str, np.ndarray]] = []
    sources: list[np.ndarray] = []
    for context, rows in groups.items():
        centre = base[rows].mean(axis=0, dtype=np.float64)
        for label, condition in zip(conditions, parsed, strict=True):
            drawn = start_rows(rows, condition, context, cells, key=key)
            drawn = drawn[choose(base[drawn], centre, condition, context)]
            parts.append((label, move(base[drawn], centre, condition, context)))
            sources.append(drawn)
    table = pd.DataFrame(controls.obs).iloc[np.concatenate(sources)]
    kept = {str(name): table[name].to_numpy() for name in table if name != "condition"}
    result = population(parts, tuple(genes), obs={**kept, "source": table.index.to_numpy()})
    record_columns(result, context_key)
    return result


def _check_request(
    conditions: Sequence[str],
    cells: int | None,
    context_key: str | Sequence[str] | None,
    columns: Columns,
) -> list[Condition]:
    if cells is not None and cells < 1:
        raise ValueError(f"cells must be positive or None: got {cells}.")
    if len(conditions) == 0 or isinstance(conditions, str):
        raise ValueError(f"A list of condition labels is needed: got {conditions!r}.")
    keys = context_key or ()
    if "condition" in ((keys,) if isinstance(keys, str) else keys):
        raise ValueError(
            "The context must not be obs['condition'], where the predicted conditions are written. "
            "Name the column with the contexts."
        )
    return [columns.parse(label) for label in conditions]
