"""Scores apart for strong and weak effects, many and few cells, easy and hard conditions."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from scbig.data import Screen

from ._anchors import by_condition

LEVELS = ("low", "middle", "high")


def support(screen: Screen) -> pd.DataFrame:
    """What the scores of each condition rest on.

    **Returns:** a row for each perturbed condition in each context: its `cells`; the `controls` of
    the context; `effect`, the norm of its mean change less what the noise of its cells and of the
    controls adds to it, in log units.
    """
    found = screen.responses()
    names = [found.conditions[place].name for place in found.condition_index]
    contexts = [found.contexts[place] for place in found.context_index]
    squares = found.norms() ** 2 - _noise(screen)
    controls = found.control_cells[found.context_index]
    levels = [names] if found.contexts == ("",) else [contexts, names]
    titles = ["condition"] if len(levels) == 1 else ["context", "condition"]
    return pd.DataFrame(
        {
            "cells": found.cells,
            "controls": controls,
            "effect": np.sqrt(np.maximum(squares, 0.0)),
        },
        index=pd.MultiIndex.from_arrays(levels, names=titles) if len(levels) > 1
        else pd.Index(names, name="condition"),
    )  # fmt: skip


def _noise(screen: Screen) -> np.ndarray:
    """The expected squared norm of a mean change that is none, for each group."""
    found = screen.responses()
    number = np.array(
        [
            [len(screen.rows(condition, context)) for context in found.contexts]
            for condition in found.conditions
        ]
    )
    spread = _variances(screen)
    place = found.condition_index, found.context_index
    control = [c.is_control for c in found.conditions].index(True)
    own = spread[place] / np.maximum(number[place], 1)
    theirs = spread[control, found.context_index] / np.maximum(
        number[control, found.context_index], 1
    )
    return own + theirs


def _variances(screen: Screen) -> np.ndarray:
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
    `middle`, `high`; `conditions` in a last row. Conditions without a number are in no third.
    """
    wide = by_condition(scores, metric, ("context", "condition"))
    columns = {}
    for name, numbers in of.items():
        known = numbers.reindex(wide.index).dropna()
        ranks = known.rank(method="first").to_numpy()
        third = np.minimum((len(LEVELS) * (ranks - 1) / max(len(ranks), 1)).astype(int), 2)
        for place, level in enumerate(LEVELS):
            part = wide.loc[known.index[third == place]]
            columns[name, level] = pd.concat([part.mean(), pd.Series({"conditions": len(part)})])
    return pd.DataFrame(columns).rename_axis("predictor")
