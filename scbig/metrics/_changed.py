"""Metrics of the genes that a perturbation changes: which, in what direction, how much."""

from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy import stats

from ._distribution import Matrix
from ._ranksum import Correction, rank_sums

Means = Float[np.ndarray, " genes"]
Fold = Literal["difference", "ratio", "counts"]

_ROUNDING = 1e-12
WEIGHTED = ("wmse", "r2_delta")
CHANGED = ("des", "de_jaccard", "de_recall", "de_precision", "de_predicted", "de_measured")
FEWEST = 5
"""Changed genes below which their order says nothing."""


def log_fold_changes(mean: Means, control: Means, *, fold: Fold = "difference") -> Means:
    """Changes of genes as logarithms to base 2.

    **Arguments:** `mean` and `control`, of log1p expression; `fold`, what is taken: the difference
    of the two, over ln 2, which is the ratio of geometric means of one more than the counts; as
    the paper's code does, the logarithm of their ratio, as if they were no logarithms; or, as
    cell-eval does, that of the ratio of the geometric means less the one, `expm1` of each.
    """
    mean, control = np.asarray(mean, np.float64), np.asarray(control, np.float64)
    if fold == "difference":
        return (mean - control) / np.log(2)
    if fold == "counts":
        mean, control = np.expm1(mean), np.expm1(control)
    return np.log2((np.maximum(mean, 0) + 1e-10) / (np.maximum(control, 0) + 1e-10))


def des(
    predicted: Means,
    observed: Means,
    control: Means,
    changed: Bool[np.ndarray, " genes"],
    *,
    fold: Fold = "difference",
    start: Means | None = None,
) -> float:
    """Differential expression score (DES, A.4.4): Spearman of fold changes over changed genes.

    **Arguments:** the means of the predicted, the measured and the control cells; `changed`, the
    genes that the measured cells call significant (`rank_sums(...).significant()`); `start`, the
    mean of the controls that the prediction starts from, if they are others.

    **Returns:** the correlation; NaN for fewer than five such genes, or where either side is
    constant over them.
    """
    if changed.sum() < FEWEST:
        return float("nan")
    pairs = (predicted, control if start is None else start), (observed, control)
    guess, truth = (log_fold_changes(*pair, fold=fold)[changed] for pair in pairs)
    if np.ptp(guess) == 0 or np.ptp(truth) == 0:
        return float("nan")
    found: Any = stats.spearmanr(guess, truth)
    return float(found.statistic)


def overlap(
    predicted: Bool[np.ndarray, " genes"], observed: Bool[np.ndarray, " genes"]
) -> dict[str, float]:
    """How far the genes that predicted cells change are those that measured cells change.

    A prediction without spread changes every gene: look at the numbers beside the shares.

    **Returns:** `de_jaccard`, the genes in both divided by those in either; `de_recall`, by those
    measured; `de_precision`, by those predicted (NaN of none); `de_predicted` and `de_measured`,
    how many there are.
    """
    both, either = float(np.sum(predicted & observed)), float(np.sum(predicted | observed))
    counts = float(predicted.sum()), float(observed.sum())
    share = lambda total: both / total if total else float("nan")
    return {
        "de_jaccard": share(either),
        "de_recall": share(counts[1]),
        "de_precision": share(counts[0]),
        "de_predicted": counts[0],
        "de_measured": counts[1],
    }


def top_overlap(
    predicted: Means,
    observed: Means,
    called: tuple[Bool[np.ndarray, " genes"], Bool[np.ndarray, " genes"]],
    *,
    top: int | None = None,
    of: Literal["observed", "predicted"] = "observed",
) -> float:
    """Share of the most changed genes that a prediction and a measurement have in common.

    Each side ranks the genes that it calls changed by the size of their fold change; of fewer than
    are asked for it gives all.

    **Arguments:** `predicted` and `observed`, fold changes; `called`, the genes that each side
    calls changed, in this order; `top`, how many of each side, by default and at most as many as
    the side `of` calls changed: with `"observed"` cell-eval's `overlap_at_k`, with `"predicted"`
    its `precision_at_k`.

    **Returns:** the shared genes divided by how many were asked for; 0 where either side has none.
    """
    sides = zip((predicted, observed), called, strict=True)
    ranked = [
        np.flatnonzero(own)[np.argsort(-np.abs(np.asarray(fold)[own]), kind="stable")]
        for fold, own in sides
    ]
    most = len(ranked[of == "observed"])
    most = most if top is None else min(top, most)
    if not most or not all(len(own) for own in ranked):
        return 0.0
    return len(np.intersect1d(ranked[0][:most], ranked[1][:most])) / most


def changed_scores(
    predicted: Matrix,
    observed: Matrix,
    control: Matrix,
    *,
    correction: Correction = "bh",
    start: Matrix | None = None,
) -> dict[str, float]:
    """All metrics of the genes that are changed, of one predicted and one measured population.

    **Arguments:** cells by genes, dense or sparse; `correction`, for the number of genes; `start`,
    the controls that the prediction starts from, if they are others.

    **Returns:** `des` and the columns of `overlap`.
    """
    begin = control if start is None else start
    both = (predicted, begin), (observed, control)
    guess, truth = (rank_sums(*pair).significant(correction=correction) for pair in both)
    mean = lambda cells: np.asarray(cells.mean(axis=0), np.float64).ravel()
    means = mean(predicted), mean(observed), mean(control)
    return scores_of_changed(*means, (guess, truth), start=mean(begin))


def scores_of_changed(
    predicted: Means,
    observed: Means,
    control: Means,
    called: tuple[Bool[np.ndarray, " genes"], Bool[np.ndarray, " genes"]],
    *,
    start: Means,
) -> dict[str, float]:
    """The same of means, with the genes that either side calls changed, the predicted first."""
    order = des(predicted, observed, control, called[1], start=start)
    return {"des": order, **overlap(*called)}


def weighted_scores(
    predicted: Means,
    observed: Means,
    control: Means,
    weights: Means,
    *,
    start: Means | None = None,
) -> dict[str, float]:
    r"""Errors that count a gene by how much it is changed (Mejia et al. 2025).

    With weights $w_g$ that add up to one: `wmse` is $\sum_g w_g (\hat x_g - x_g)^2$, and
    `r2_delta` is $1 - \sum_g w_g (\hat\delta_g - \delta_g)^2 / \sum_g w_g (\delta_g -
    \bar\delta)^2$ with the weighted mean $\bar\delta$: 1 at best, 0 of a constant change.

    **Arguments:** the means of the predicted, the measured and the control cells; `weights`, not
    below zero, such as the absolute z-scores of the measured cells against the rest; `start`, the
    mean of the controls that the prediction starts from, if they are others.

    **Returns:** both; `r2_delta` is NaN where the measured change is constant.

    **Raises:** a ValueError for weights below zero, or all zero.
    """
    if np.min(weights) < 0 or not np.sum(weights) > 0:
        raise ValueError("Weights of genes must not be below zero, and some must be above.")
    share = np.asarray(weights, np.float64) / np.sum(weights)
    error = np.asarray(predicted, np.float64) - observed
    delta = np.asarray(observed, np.float64) - control
    change = np.asarray(predicted, np.float64) - (control if start is None else start)
    spread = float(share @ (delta - share @ delta) ** 2)
    wmse, missed = float(share @ error**2), float(share @ (change - delta) ** 2)
    constant = spread <= _ROUNDING * float(share @ delta**2)
    return {"wmse": wmse, "r2_delta": float("nan") if constant else 1 - missed / spread}
