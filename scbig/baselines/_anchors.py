"""Scores between what is trivial and what can be reached, and against the best simple rule."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from scbig.metrics import RELIABILITIES, ahead

from ._ceilings import AUTOENCODER, CEILING
from ._uncertainty import CONDITIONS, LEVEL, Interval, drawn_together, paired, things_of

REPLICATE = "replicate"
"""The row of what a second measurement with as many cells would score."""

LOW = "perturbed mean"


def with_replicate(scores: pd.DataFrame) -> pd.DataFrame:
    """Adds to the scores those that a replicate with all cells would have.

    Half of the cells against the other half correlate by less than two whole measurements would: by
    `r` where those do by `2 r / (1 + r)` (Spearman 1910, Brown 1910). It holds for correlations of
    responses; of other metrics the row is undefined. A prediction without any noise could still
    score higher, up to the root of it.

    **Arguments:** `scores`, as `compare` makes them, with the row `split-half`.
    """
    half = scores.xs(CEILING, level="predictor", drop_level=False)
    whole = half.copy()
    for metric in half:
        r = half[metric].to_numpy(np.float64)
        # A negative correlation is none, and is not made a stronger one.
        better = 2 * np.maximum(r, 0.0) / (1 + np.maximum(r, 0.0))
        whole[metric] = np.where(r < 0, r, better) if metric in RELIABILITIES else np.nan
    names = list(scores.index.names)
    renamed = whole.rename(index={CEILING: REPLICATE}, level="predictor")
    return pd.concat([scores, renamed]).rename_axis(names)


def scaled(
    scores: pd.DataFrame,
    metric: str,
    *,
    low: str = LOW,
    high: str = CEILING,
    over: Sequence[str] = CONDITIONS,
    seed: int = 0,
) -> dict[str, Interval]:
    """Where each predictor stands between two others: 0 at `low`, 1 at `high`.

    The mean over conditions less that of `low`, over that of `high` less `low`: a ratio of means,
    as conditions that `high` and `low` predict alike would rule a mean of ratios. In brackets what
    other draws of conditions would give, all three means drawn together. Where `high` is not surely
    better than `low` (in 97.5 % of the draws), as where half of the cells measure a weak effect
    worse than the mean effect of all predicts it, there is no scale, and all are undefined.

    **Arguments:** `scores`, as for `paired`; conditions where one of the three is undefined are
    left out; `over`, as there; `seed`, of the draws.

    **Raises:** a ValueError if `low` or `high` is not in the table.
    """
    known = list(dict.fromkeys(scores.index.get_level_values("predictor")))
    lacking = [name for name in (low, high) if name not in known]
    if lacking:
        raise ValueError(
            f"No scores of {lacking[0]!r}; the table has {', '.join(map(str, known))}."
        )
    wide = by_condition(scores, metric, over)
    found = {}
    for name in known:
        three = [name, low, high]
        own: Any = wide[list(dict.fromkeys(three))].dropna()
        values = np.stack([own[n].to_numpy(np.float64) for n in three])
        found[str(name)] = _between(ahead(metric) * values, things_of(own.index), seed=seed)
    return found


def _between(
    values: Float[np.ndarray, "3 conditions"], of: Int[np.ndarray, " conditions"], *, seed: int
) -> Interval:
    """The ratio of the means, and its bootstrap interval; of values of which more is better."""
    number = values.shape[1]
    nothing = Interval(mean=np.nan, low=np.nan, high=np.nan, number=number)
    if not number:
        return nothing
    means = drawn_together(values, of, seed=seed)
    edges = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    sure = means[2] > means[1]
    if sure.mean() < edges[1]:
        return nothing
    ratio = lambda three: (three[0] - three[1]) / (three[2] - three[1])
    low, high = np.quantile(ratio(means[:, sure]), edges)
    middle = float(ratio(values.mean(axis=1)))
    return Interval(mean=middle, low=float(low), high=float(high), number=number)


def against_best(
    scores: pd.DataFrame,
    one: str,
    others: Sequence[str],
    metric: str = "pearson_delta",
    *,
    seed: int = 0,
) -> tuple[str, Interval]:
    """By how much a predictor is ahead of the best of some others, paired by condition.

    The best is found on the same conditions, so its p (Wilcoxon, signed ranks) is multiplied by the
    number of those it was chosen from (Bonferroni). A positive mean is ahead, of errors too.

    **Arguments:** `scores`, `metric`, `seed`, as for `paired`; `others`, of which those without
    any defined score, and `one` itself, are left out.

    **Returns:** the name of the best, and the difference.

    **Raises:** a ValueError if there is none to compare with.
    """
    wide: Any = by_condition(scores, metric, CONDITIONS)
    means = {
        name: ahead(metric) * wide[name].mean()
        for name in others
        if name != one and name in wide and wide[name].notna().all()
    }
    if not means:
        raise ValueError(f"None of {', '.join(others)} has a {metric} to compare {one!r} with.")
    best = max(means, key=lambda name: means[name])
    found = paired(scores, one, best, metric, seed=seed)
    sign = ahead(metric)
    edges = sorted((sign * found.low, sign * found.high))
    chance = None if found.chance is None else min(1.0, found.chance * len(means))
    return best, Interval(
        mean=sign * found.mean, low=edges[0], high=edges[1], number=found.number, chance=chance
    )


def by_condition(scores: pd.DataFrame, metric: str, over: Sequence[str]) -> pd.DataFrame:
    """A row for each condition, a column for each predictor: means over seeds and splits.

    What is undefined under one of them is undefined. Conditions in which the metric is undefined
    for all predictors of the table have no row, as where too few genes change for it: what is left
    out so depends on what stands side by side. Rows of halves count for none here, unless there are
    no others.
    """
    kept = [level for level in scores.index.names if level in over]
    own = scores[metric].groupby(level=[*kept, "predictor"], sort=False)
    means = own.mean().where(own.count() == own.size())
    wide = pd.DataFrame(means.unstack("predictor"))
    others = [name for name in wide if name not in (CEILING, AUTOENCODER, REPLICATE)]
    return wide.dropna(how="all", subset=others or [*wide])
