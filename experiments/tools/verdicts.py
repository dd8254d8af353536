"""What a table says of the paper's claims: differences paired by condition, in words."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from scbig import baselines, comparison, metrics

from . import markdown

BROKEN = "not made"
FEWEST = 6
"""Conditions, and perturbations in them, of which a verdict can be: of fewer no signed-rank test
reaches p 0.05."""
LEVEL = 0.05
APART = ("pearson_delta", "pearson_delta_deg20", "acc", "e_distance")


@dataclass(frozen=True)
class Claim:
    """That one arm of a table is ahead of another.

    **Fields:** `said`, in the paper's sense; `ahead` and `behind`, names of rows; `metric`.
    """

    said: str
    ahead: str
    behind: str
    metric: str = "pearson_delta"


def judged(
    scores: pd.DataFrame,
    claims: Sequence[Claim],
    *,
    still: Collection[str] = (),
    broken: Collection[str] = (),
) -> pd.DataFrame:
    """Each claim whose two rows are there, with the difference paired by condition.

    A claim holds if the whole 95 % bootstrap interval over conditions is on its side, p of a
    Wilcoxon test is below 0.05, and so is that of a t test of the seeds' mean differences: on other
    conditions, and in other trainings. It is contradicted if all are so on the other side; what
    lies between says nothing, and so do fewer than six conditions, or than six perturbations. Of
    one seed nothing is known of other trainings, which the verdict then says. None is corrected
    for the number of claims.

    **Arguments:** `still`, rows that draw nothing, whose one seed stands beside all; `broken`,
    rows of which a training failed: nothing is said of them, and they are named.

    **Returns:** the columns `claim`, `verdict`, `metric`, `difference`, `low`, `high`, `p`,
    `conditions`, `seeds`, and `p_seeds`, of the t test.
    """
    made = {str(name) for name in scores.index.get_level_values("predictor")}
    rows = []
    for claim in claims:
        sides = {claim.ahead, claim.behind}
        if sides & {*broken} and sides <= made | {*broken}:
            rows.append({"claim": claim.said, "verdict": BROKEN, "metric": claim.metric})
            continue
        if not sides <= made:
            continue
        found = baselines.paired(scores, claim.ahead, claim.behind, claim.metric)
        labels = scores.index.get_level_values("condition").unique()
        things = len({*baselines.things_of(labels)})
        seeds = by_seed(scores, claim, still)
        told = verdict(found, metrics.ahead(claim.metric), things, seeds)
        rows.append(
            {
                "claim": claim.said, "verdict": told, "metric": claim.metric,
                "difference": found.mean, "low": found.low, "high": found.high, "p": found.chance,
                "conditions": found.number, "seeds": len(seeds), "p_seeds": chance(seeds),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def by_seed(scores: pd.DataFrame, claim: Claim, still: Collection[str] = ()) -> np.ndarray:
    """The mean difference over conditions under each seed that both rows have.

    **Arguments:** `still`, rows that draw nothing: their one seed stands beside all.
    """
    sides: list[Any] = [
        scores.xs(name, level="predictor")[claim.metric].unstack("seed")
        for name in (claim.ahead, claim.behind)
    ]
    fixed = [name in still for name in (claim.ahead, claim.behind)]
    drawn = [own.columns for own, rule in zip(sides, fixed, strict=True) if not rule]
    seeds = drawn[0].intersection(drawn[-1]) if drawn else sides[0].columns[:1]
    left, right = (
        own.iloc[:, [0] * len(seeds)].set_axis(seeds, axis=1) if rule else own[seeds]
        for own, rule in zip(sides, fixed, strict=True)
    )
    return (left - right).dropna().mean().to_numpy(np.float64)


def chance(seeds: np.ndarray) -> float:
    """p of a t test that differences under several seeds are of mean zero; NaN of one."""
    if len(seeds) < 2:
        return float("nan")
    spread = seeds.std(ddof=1)
    if spread == 0:
        return float(seeds.mean() == 0)
    size = abs(seeds.mean()) / (spread / np.sqrt(len(seeds)))
    return float(2 * stats.t.sf(size, len(seeds) - 1))


def verdict(found: baselines.Interval, sign: float, things: int, seeds: np.ndarray) -> str:
    """In a few words, where `sign` is 1 if more is better.

    **Arguments:** `things`, perturbations, whatever the number of contexts and doses; `seeds`, the
    mean difference of each.
    """
    if min(found.number, things) < FEWEST:
        return f"too few {'conditions' if found.number < FEWEST else 'perturbations'}"
    low, high = sorted((sign * found.low, sign * found.high))
    if not np.isfinite(low):
        return "undefined"
    if found.chance is None or found.chance >= LEVEL or low <= 0 <= high:
        return "not seen"
    told = "holds" if low > 0 else "contradicted"
    if len(seeds) < 2:
        return f"{told}, of one training"
    return told if chance(seeds) < LEVEL else "not seen over seeds"


def difference(row: Mapping[str, Any]) -> str:
    """A claim's difference with its interval, in digits that show it; nothing where not made."""
    if row["verdict"] == BROKEN:
        return ""
    size = max(abs(row["low"]), abs(row["high"]))
    digits = 3 if not np.isfinite(size) or size >= 0.01 else 4
    low, high = (f"{row[end]:.{digits}f}" for end in ("low", "high"))
    return f"{row['difference']:+.{digits}f} [{low}, {high}]"


def probability(p: float) -> str:
    """With as many digits as say on which side of the level it is, and two at least near to it."""
    if not LEVEL / 2 < p < 2 * LEVEL:
        return f"{p:.1g}"
    told = (f"{p:.{digits}g}" for digits in range(2, 17))
    return next((own for own in told if (float(own) < LEVEL) == (p < LEVEL)), repr(p))


def sentences(found: pd.DataFrame) -> str:
    """The claims as a list in Markdown."""
    lines = []
    for row in found.to_dict("records"):
        own: Any = row
        if own["verdict"] == BROKEN:
            lines.append(f"- {own['claim']}: **{BROKEN}**, a training of one of the two failed.")
            continue
        number = f"{own['conditions']:.0f} conditions, 1 seed"
        if own["seeds"] > 1:
            seeds = f"{own['seeds']:.0f} seeds, p {probability(own['p_seeds'])}"
            number = f"{own['conditions']:.0f} conditions; {seeds}"
        lines.append(
            f"- {own['claim']}: **{own['verdict']}** ({own['metric']} "
            f"{difference(own)}, p {probability(own['p'])}, {number})."
        )
    if lines:
        lines.append(
            "\nIntervals, and the first p, are over conditions, under the same trainings; the p of "
            "seeds is over trainings."
        )
    return "\n".join(lines)


def apart(
    scores: pd.DataFrame, arms: Sequence[str], whole: str, shown: Sequence[str] = APART
) -> str:
    """By how much each arm is behind or ahead of the whole, paired by condition, as Markdown."""
    said = (
        f"Less `{whole}`, paired by condition: 95 % bootstrap intervals, p of a Wilcoxon test, "
        "not\ncorrected for the number of arms.\n\n"
    )
    made = {str(name) for name in scores.index.get_level_values("predictor")}
    lines = []
    for name in arms:
        if name == whole or not {name, whole} <= made:
            continue
        found = [baselines.paired(scores, name, whole, metric) for metric in shown]
        most = max(own.number for own in found)
        cells = [own if own.number in (0, most) else f"{own}, n {own.number}" for own in found]
        lines.append([name, most, *cells])
    return said + markdown.rows(["arm", "conditions", *shown], lines)


def means(
    scores: pd.DataFrame, shown: Sequence[str], published: Mapping[str, float] | None = None
) -> str:
    """The mean of each metric over conditions with its interval, as Markdown.

    **Arguments:** `published`, the paper's Pearson delta of rows, for a column of its own.
    """
    found = comparison.summary(scores, shown)
    known = [metric for metric in shown if metric in scores]
    heads, lines = ["row", *known, *(["paper: pearson_delta"] if published else [])], []
    digits = {m: baselines.decimals([own[m] for own in found.values()]) for m in known}
    for name, own in found.items():
        cells = [own[metric].told(digits[metric]) for metric in known]
        given = "" if not published or name not in published else f"{published[name]:.3f}"
        lines.append([name, *cells, *([given] if published else [])])
    return markdown.rows(heads, lines)


def spread(scores: pd.DataFrame, shown: Sequence[str]) -> pd.DataFrame:
    """The standard deviation of each row's mean over conditions, by metric.

    Over the seeds of a split, on average over the splits; and over splits, of the mean over seeds:
    the tests are then of other conditions, which is most of it.

    **Returns:** a row for each predictor and what it is `over`, `seeds` or `splits`; none where
    there is one alone.
    """
    means = scores.groupby(["predictor", "evaluation", "seed"], sort=False)[[*shown]].mean()
    of_seeds: Any = means.groupby(["predictor", "evaluation"], sort=False)
    seeds = of_seeds.std().groupby("predictor", sort=False).mean()
    splits = of_seeds.mean().groupby("predictor", sort=False).std()
    both = pd.concat({"seeds": seeds, "splits": splits}, names=["over"])
    return both.swaplevel().dropna(how="all")
