"""The table of a comparison: means with intervals, where they stand, what they cost."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scbig.baselines import (
    CEILING,
    Interval,
    against_best,
    by_condition,
    interval,
    scaled,
    strata,
    with_replicate,
)

LINES = ("control", "perturbed mean", "matching mean", "additive", "additive x slope",
         "residual transfer")  # fmt: skip
"""The simple rules that everything is held against."""
SHOWN = ("pearson_delta", "pearson_delta_deg20", "pds", "discr_cos", "mse", "e_distance")
LEVELS = ("context", "condition")


def summary(scores: pd.DataFrame, metrics: Sequence[str] = SHOWN) -> dict[str, dict[str, Interval]]:
    """For each predictor and metric the mean over conditions, with its interval.

    A condition under several seeds and splits counts once. Where a metric is undefined for some
    condition, it is undefined.
    """
    whole = with_replicate(scores)
    wide = {metric: by_condition(whole, metric, LEVELS) for metric in metrics if metric in whole}
    names = list(dict.fromkeys(whole.index.get_level_values("predictor")))
    return {
        str(name): {
            metric: interval(table[name].to_numpy(np.float64)) for metric, table in wide.items()
        }
        for name in names
    }


def page(
    scores: pd.DataFrame,
    costs: pd.DataFrame,
    support: pd.DataFrame,
    *,
    metrics: Sequence[str] = SHOWN,
    baselines: Sequence[str] = LINES,
    low: str = "perturbed mean",
    failed: Mapping[str, str] = {},
    published: Mapping[str, float] = {},
    published_split: str = "",
) -> str:
    """The comparison in Markdown.

    **Arguments:**

    - `scores`, `costs`: of `score_all` and `costs`.
    - `support`: for each condition its `cells`, the `controls` of its context (both of
        `scbig.metrics.support`) and its `effect` (`scbig.baselines.effect_norms`).
    - `metrics`: of the first table.
    - `baselines`: simple rules, of whose best each predictor is subtracted.
    - `low`: the predictor that scaled scores are 0 at; they are 1 at `split-half`.
    - `failed`: trainings that could not be made, and why.
    - `published`: Pearson deltas from elsewhere, for a column of their own; `published_split`, of
        which split they are.
    """
    found = summary(scores, metrics)
    known = [name for name in baselines if name in found]
    parts = [
        _rests_on(scores, support),
        _rows(
            ["predictor", *metrics],
            [[name, *(own.get(m, "") for m in metrics)] for name, own in found.items()],
        ),
        _standing(scores, known, low, published, published_split),
        _strata(scores, support, known),
        _costs(costs),
    ]
    if failed:
        parts.append("\n".join(f"- {name}: {why}" for name, why in failed.items()))
    return "\n\n".join(part for part in parts if part) + "\n"


def _rests_on(scores: pd.DataFrame, support: pd.DataFrame) -> str:
    """How many conditions, cells and controls the table is of."""
    wide = by_condition(scores, "mse", LEVELS)
    own = support.reindex(wide.index)
    evaluations = scores.index.get_level_values("evaluation").nunique()
    seeds = scores.index.get_level_values("seed").nunique()
    cells, controls = own["cells"], own["controls"]
    return (
        f"{len(wide)} tested conditions, of {cells.min():.0f} to {cells.max():.0f} cells (median "
        f"{cells.median():.0f}), against {controls.min():.0f} to {controls.max():.0f} controls; "
        f"{evaluations} split(s), {seeds} model seed(s). In brackets the 95 % bootstrap interval "
        "of the mean over conditions, which are drawn anew, and not the cells or the trainings."
    )


def _standing(
    scores: pd.DataFrame,
    baselines: Sequence[str],
    low: str,
    published: Mapping[str, float],
    published_split: str,
) -> str:
    """Scaled scores, the difference from the best simple rule, and spread over seeds and splits."""
    names = list(dict.fromkeys(map(str, scores.index.get_level_values("predictor"))))
    places = {m: scaled(scores, m, low=low) for m in ("pearson_delta", "mse", "pds")}
    titles = [f"{m} scaled" for m in places]
    title = f"published ({published_split})" if published else ""
    rows = []
    for name in names:
        rows.append(
            [
                name,
                *(places[m][name] for m in places),
                _less_best(scores, name, baselines),
                _spread(scores, name, "seed"),
                _spread(scores, name, "evaluation"),
                *([published.get(name, "")] if published else []),
            ]
        )
    heads = ["predictor", *titles, "pearson_delta less best rule", "sd of seeds", "sd of splits"]
    return _rows([*heads, *([title] if title else [])], rows)


def _less_best(scores: pd.DataFrame, name: str, baselines: Sequence[str]) -> str:
    """By how much a predictor is ahead of the best simple rule, if both have scores."""
    others = [rule for rule in baselines if rule != name]
    if name == CEILING or not others:
        return ""
    best, ahead = against_best(scores, name, others)
    return f"{ahead} ({best})" if ahead.number else ""


def _spread(scores: pd.DataFrame, name: str, level: str) -> str:
    """The standard deviation of the mean Pearson delta over seeds of a split, or over splits."""
    own = scores.xs(name, level="predictor")["pearson_delta"]
    means = own.groupby(level=["evaluation", "seed"]).mean()
    if level == "seed":
        found = means.groupby(level="evaluation").std().mean()
    else:
        found = means.groupby(level="evaluation").mean().std()
    return "" if np.isnan(found) else f"{found:.3f}"


def _strata(scores: pd.DataFrame, support: pd.DataFrame, baselines: Sequence[str]) -> str:
    """Pearson delta in thirds of the conditions: by effect, by cells, by the additive rule."""
    rule = "additive" if "additive" in baselines else "perturbed mean"
    of: dict[str, Any] = {"effect": support["effect"], "cells": support["cells"]}
    wide: Any = by_condition(scores, "pearson_delta", LEVELS)
    if rule in wide:
        of[rule] = wide[rule]
    table = strata(scores, of)
    names = [f"{name}, {level}" for name, level in table]
    rows = [[name, *(f"{x:.3f}" for x in row)] for name, row in table.iloc[:-1].iterrows()]
    rows.append(["conditions", *(f"{x:.0f}" for x in table.iloc[-1])])
    return _rows(["pearson_delta", *names], rows)


def _costs(costs: pd.DataFrame) -> str:
    """Means over trainings, of the clock and of the largest memory."""
    if costs.empty:
        return ""
    own = costs.groupby("predictor", sort=False)
    times = own[["fit_seconds", "predict_seconds"]].mean()
    memory, number = own["megabytes"].max(), own.size()
    rows = [
        [name, f"{times.loc[name, 'fit_seconds']:.1f}", f"{times.loc[name, 'predict_seconds']:.1f}",
         f"{memory[name]:.0f}", str(number[name])]
        for name in times.index
    ]  # fmt: skip
    return _rows(["predictor", "fit, s", "predict, s", "memory, MB", "trainings"], rows)


def _rows(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
