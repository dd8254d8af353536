"""What a table of a comparison rests on, in words."""

import collections
from collections.abc import Sequence
from typing import Any

import pandas as pd

from scbig.baselines import CEILING, CONDITIONS, REPLICATE, by_condition, things_of
from scbig.metrics import FEWEST_CONTROLS


def rests_on(scores: pd.DataFrame, support: pd.DataFrame, metrics: Sequence[str]) -> str:
    """How many conditions, cells and controls the table is of."""
    wide = by_condition(scores, "mse", CONDITIONS)
    own: Any = support.reindex(wide.index)
    evaluations = scores.index.get_level_values("evaluation").nunique()
    seeds = scores.index.get_level_values("seed").nunique()
    cells, controls = own["cells"], own["controls"]
    return (
        f"{len(wide)} tested conditions, of {cells.min():.0f} to {cells.max():.0f} cells (median "
        f"{cells.median():.0f}), against {controls.min():.0f} to {controls.max():.0f} controls; "
        f"{evaluations} split(s), {seeds} model seed(s). In brackets the 95 % bootstrap interval "
        "of the mean over conditions, which are drawn anew, and not the cells or the trainings."
        + _together(wide)
        + " A "
        "field is empty where a metric is undefined for the row in a condition in which another "
        "row has it."
        + _undefined(scores, len(wide), metrics)
        + _not_halved(scores, wide)
        + _not_everywhere(scores)
        + _few_controls(controls)
    )


def scored_conditions(scores: pd.DataFrame, name: str) -> pd.Index:
    """The conditions that a predictor has a row for."""
    own = scores.xs(name, level="predictor").index
    rest = [level for level in own.names if level not in CONDITIONS]
    return own.droplevel(rest).unique()


def _together(wide: pd.DataFrame) -> str:
    """That contexts and doses of a perturbation are no perturbations of their own."""
    things = len({*things_of(wide.index)})
    if things == len(wide):
        return ""
    return (
        f" They are {things} perturbations in several contexts or at several doses: those of one "
        "are drawn together, and tests are of its mean over them."
    )


def _undefined(scores: pd.DataFrame, whole: int, metrics: Sequence[str]) -> str:
    """Of how many conditions the metrics are that no row has in all of them."""
    sizes = {m: len(by_condition(scores, m, CONDITIONS)) for m in metrics if m in scores}
    told = [f"`{m}` is of {size} of {whole}" for m, size in sizes.items() if size < whole]
    return f" Where no row has a metric, none is counted: {', '.join(told)}." if told else ""


def _few_controls(controls: pd.Series) -> str:
    """That the noise of the controls is in both responses, where they are few."""
    if not (controls < FEWEST_CONTROLS).any():
        return ""
    return (
        f" There are contexts with fewer than {FEWEST_CONTROLS} controls: unless other controls "
        "were held back for the measured responses, the noise of their mean is in both responses, "
        "and a prediction of a common change, or of none, correlates with the measured one."
    )


def _not_halved(scores: pd.DataFrame, wide: pd.DataFrame) -> str:
    """How many conditions have too few cells for halves."""
    few = len(wide) if CEILING not in wide else len(wide) - len(scored_conditions(scores, CEILING))
    if not few:
        return ""
    return (
        f" {few} condition(s) have fewer than 4 cells: {CEILING}, {REPLICATE} and scaled scores "
        "are of the others."
    )


def _not_everywhere(scores: pd.DataFrame) -> str:
    """Which rows are means over fewer splits than the others, as one of their trainings failed."""
    levels = (scores.index.get_level_values(own) for own in ("predictor", "evaluation"))
    pairs = set(zip(*levels, strict=True))
    own = collections.Counter(str(name) for name, _ in sorted(pairs))
    whole = len({evaluation for _, evaluation in pairs})
    fewer = [f"{name} ({number} of {whole})" for name, number in own.items() if number < whole]
    return f" Not in all splits: {', '.join(fewer)}." if fewer else ""
