"""Scores apart for strong and weak effects, many and few cells, easy and hard conditions."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from scbig.data import Responses, Screen

from ._anchors import by_condition
from ._uncertainty import CONDITIONS

THIRDS = ("low", "middle", "high")


def effect_norms(screen: Screen) -> pd.Series:
    """How large the effect of each perturbed condition is, in each context.

    **Returns:** the norm of the mean change, in log units, less what the noise of its cells and of
    the controls adds to it; 0 where that is all. Named as the rows of `scbig.metrics.evaluate`.
    """
    found = screen.responses()
    names = [found.conditions[place].name for place in found.condition_index]
    contexts = [found.contexts[place] for place in found.context_index]
    squares = found.norms() ** 2 - _noise(screen, found)
    index = pd.MultiIndex.from_arrays([contexts, names], names=["context", "condition"])
    sizes = pd.Series(np.sqrt(np.maximum(squares, 0.0)), index=index, name="effect")
    return sizes.droplevel("context") if found.contexts == ("",) else sizes


def _noise(screen: Screen, found: Responses) -> Float[np.ndarray, " groups"]:
    """The expected squared norm of a mean change that is none, for each group."""
    spread = _variances(screen)
    control = [c.is_control for c in found.conditions].index(True)
    own = spread[found.condition_index, found.context_index] / found.cells
    theirs = spread[control] / found.control_cells
    return own + theirs[found.context_index]


def _variances(screen: Screen) -> Float[np.ndarray, "conditions contexts"]:
    """The variance of a cell, summed over genes, for each condition and context; 0 of one cell."""
    found = np.zeros((len(screen.conditions), len(screen.contexts)))
    for row, condition in enumerate(screen.conditions):
        for column, context in enumerate(screen.contexts):
            rows = screen.rows(condition, context)
            if len(rows) > 1:
                cells = screen.dense(rows).astype(np.float64)
                found[row, column] = cells.var(axis=0, ddof=1).sum()
    return found


def strata(
    scores: pd.DataFrame, of: Mapping[str, pd.Series], metric: str = "pearson_delta"
) -> pd.DataFrame:
    """Means of a metric in thirds of the conditions.

    **Arguments:** `scores`, as `compare` makes them, or several under further levels of the index;
    `of`, by the name of what divides them a number for each condition: a column of `support`, or
    the scores of a simple rule.

    **Returns:** a row for each predictor, and columns by what divides and by third: `low`,
    `middle`, `high`; `conditions` in a last row. Conditions without a number are in no third, those
    of one number are in the same one, and a metric that is undefined for one is undefined in it.
    """
    wide = by_condition(scores, metric, CONDITIONS)
    columns = {}
    for name, numbers in of.items():
        known = numbers.reindex(wide.index).dropna()
        ranks = known.rank(method="average").to_numpy()
        third = (len(THIRDS) * (ranks - 0.5) / max(len(ranks), 1)).astype(int)
        for place, level in enumerate(THIRDS):
            part = wide.loc[known.index[third == place]]
            columns[name, level] = pd.concat(
                [part.mean(skipna=False), pd.Series({"conditions": len(part)})]
            )
    return pd.DataFrame(columns).rename_axis("predictor")
