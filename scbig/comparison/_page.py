"""The table of a comparison: means with intervals, where they stand, what they cost."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scbig.baselines import (
    CEILING,
    CONDITIONS,
    REPLICATE,
    Interval,
    against_best,
    by_condition,
    decimals,
    interval,
    scaled,
    strata,
    things_of,
    with_replicate,
)

from ._paper import lacking, rows_of
from ._rests import rests_on, scored_conditions

LINES = ("control", "perturbed mean", "matching mean", "additive", "additive x slope",
         "residual transfer")  # fmt: skip
"""The simple rules that everything is held against."""
SHOWN = ("pearson_delta", "pearson_delta_deg20", "pds", "discr_cos", "mse", "e_distance")


def summary(scores: pd.DataFrame, metrics: Sequence[str] = SHOWN) -> dict[str, dict[str, Interval]]:
    """For each predictor and metric the mean over conditions, with its interval.

    A condition under several seeds and splits counts once. A metric is of the conditions in which
    it is defined for at least one predictor, and where it is undefined for a predictor in one of
    those, or that has no score of it, so is its mean; halves and replicates are of the conditions
    with cells enough for halves.
    """
    names = list(dict.fromkeys(scores.index.get_level_values("predictor")))
    whole = with_replicate(scores) if CEILING in names else scores
    wide = {
        metric: by_condition(whole, metric, CONDITIONS) for metric in metrics if metric in whole
    }
    names = list(dict.fromkeys(whole.index.get_level_values("predictor")))
    found: dict[str, dict[str, Interval]] = {}
    for name in names:
        halved = name in (CEILING, REPLICATE)
        own = wide
        if halved:
            kept = scored_conditions(whole, name)
            own = {m: table.loc[table.index.isin(kept)] for m, table in wide.items()}
        found[str(name)] = {
            metric: interval(table[name].to_numpy(np.float64), of=things_of(table.index))
            for metric, table in own.items()
        }
    return found


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
    - `failed`: trainings that could not be made, and why, as `predict_all` returns it.
    - `published`: Pearson deltas from elsewhere by the name of a row or of a baseline of the paper,
        for a column of their own; `published_split`, of which split they are.

    An empty field is undefined for a condition in which another row is not, or does not apply.
    """
    found = summary(scores, metrics)
    known = [name for name in baselines if name in found]
    parts = [
        rests_on(scores, support, metrics),
        _scores(found, scores, support, metrics),
        _standing(scores, known, low, published, published_split),
        _without(found, failed, published, published_split),
        _strata(scores, support, known),
        _costs(costs),
    ]
    names = collections.defaultdict[str, list[str]](list)
    for name, why in failed.items():
        names[why].append(name)
    parts.append("\n".join(f"- {', '.join(own)}: {why}" for why, own in names.items()))
    return "\n\n".join(part for part in parts if part) + "\n"


def _scores(
    found: Mapping[str, Mapping[str, Interval]],
    scores: pd.DataFrame,
    support: pd.DataFrame,
    metrics: Sequence[str],
) -> str:
    """Means with intervals, beside what each row rests on."""
    of = [scored_conditions(scores, CEILING if n == REPLICATE else n) for n in found]
    columns = {
        m: _counted([own[m] for own in found.values()], [len(own) for own in of])
        for m in metrics
        if m in scores
    }
    rows = []
    for place, name in enumerate(found):
        own = support.reindex(of[place])
        low, high = own["controls"].min(), own["controls"].max()
        controls = f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
        rests = [str(len(own)), f"{own['cells'].sum():.0f}", controls]
        rows.append([name, *rests, *(column[place] for column in columns.values())])
    return _rows(["predictor", "conditions", "cells", "controls", *columns], rows)


def _column(values: Sequence[Interval]) -> list[str]:
    """With the same decimals in all rows."""
    digits = decimals(values)
    return [value.told(digits) for value in values]


def _counted(values: Sequence[Interval], rows: Sequence[int]) -> list[str]:
    """The same, with the number of conditions where it is not that of the row."""
    pairs = zip(_column(values), values, rows, strict=True)
    return [f"{own} ({x.number})" if own and x.number < size else own for own, x, size in pairs]


def _standing(
    scores: pd.DataFrame,
    baselines: Sequence[str],
    low: str,
    published: Mapping[str, float],
    published_split: str,
) -> str:
    """Scaled scores, the difference from the best simple rule, and spread over seeds and splits."""
    names = list(dict.fromkeys(map(str, scores.index.get_level_values("predictor"))))
    columns: dict[str, list[str]] = {}
    if low in names and CEILING in names:
        for metric in ("pearson_delta", "mse", "pds"):
            places = scaled(scores, metric, low=low)
            columns[f"{metric} scaled"] = _column([places[name] for name in names])
    columns["pearson_delta less best rule"] = _less_best(scores, names, baselines)
    columns["sd of seeds"] = [_spread(scores, name, "seed") for name in names]
    columns["sd of splits"] = [_spread(scores, name, "evaluation") for name in names]
    if published:
        column = [_published(name, published) for name in names]
        columns[_title(published_split)] = column
    rows = [[name, *own] for name, *own in zip(names, *columns.values(), strict=True)]
    return _rows(["predictor", *columns], rows)


def _title(published_split: str) -> str:
    return f"published ({published_split})"


def _published(row: str, published: Mapping[str, float]) -> str:
    """The figure of this name, or of the paper's baseline that the row is."""
    for name in (row, *(name for name in published if row in rows_of(name))):
        if name in published:
            return f"{published[name]:.3f}"
    return ""


def _without(
    found: Mapping[str, object],
    failed: Mapping[str, str],
    published: Mapping[str, float],
    published_split: str,
) -> str:
    """The paper's baselines without a row, and what they lack; figures of what has no row."""
    needs = lacking(found, failed)
    shown = {*found, *needs}
    others = [name for name in published if not shown.intersection((name, *rows_of(name)))]
    if not needs and not others:
        return ""
    rows = [[name, needs.get(name, "no row here")] for name in (*needs, *others)]
    heads = ["not run", "because it"]
    if published:
        heads = [*heads, _title(published_split)]
        rows = [[*row, _published(row[0], published)] for row in rows]
    return _rows(heads, rows)


def _less_best(scores: pd.DataFrame, names: Sequence[str], baselines: Sequence[str]) -> list[str]:
    """By how much each predictor is ahead of the best simple rule, if both have scores."""
    found: dict[str, tuple[str, Interval]] = {}
    for name in names:
        others = [rule for rule in baselines if rule != name]
        if name == CEILING or not _any_defined(scores, others):
            continue
        best, ahead = against_best(scores, name, others)
        if ahead.number:
            found[name] = best, ahead
    digits = decimals([ahead for _, ahead in found.values()])
    whole = len(by_condition(scores, "mse", CONDITIONS))
    said = {name: f"{ahead.told(digits)} ({best}{_of(ahead.number, whole)})"
            for name, (best, ahead) in found.items()}  # fmt: skip
    return [said.get(name, "") for name in names]


def _any_defined(scores: pd.DataFrame, names: Sequence[str]) -> bool:
    wide = by_condition(scores, "pearson_delta", CONDITIONS)
    return any(bool(wide[name].notna().all()) for name in names if name in wide)


def _of(number: int, whole: int) -> str:
    return "" if number == whole else f"; {number} of {whole} conditions"


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
    wide: Any = by_condition(scores, "pearson_delta", CONDITIONS)
    if rule in wide:
        of[rule] = wide[rule]
    table = strata(scores, of)
    names = [f"{name}, {level}" for name, level in table]
    rows = [
        [name, *("" if np.isnan(x) else f"{x:.3f}" for x in row)]
        for name, row in table.iloc[:-1].iterrows()
    ]
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
        [name, *("" if np.isnan(x) else f"{x:.1f}" for x in times.loc[name]),
         "" if np.isnan(memory[name]) else f"{memory[name]:.0f}", str(number[name])]
        for name in times.index
    ]  # fmt: skip
    return _rows(["predictor", "fit, s", "predict, s", "memory, MB", "trainings"], rows)


def _rows(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
