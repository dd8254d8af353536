"""How sure a mean over conditions is, and a difference between two predictors."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import wilcoxon

from scbig.data import Condition

LEVEL = 0.95
DRAWS = 2000
SEED = "seed"
CONTEXT = "context"
CONDITIONS = (CONTEXT, "condition")
"""The levels of an index that tell conditions apart, as far as they are there."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean, where it may lie, and of how many values it is.

    **Fields:** `mean`; `low` and `high`, the 95 % bootstrap interval; `number` of values; `chance`,
    the p of a Wilcoxon signed-rank test of differences, `None` for values that are none.
    """

    mean: float
    low: float
    high: float
    number: int
    chance: float | None = None

    def __str__(self) -> str:
        """As tables print it; nothing where it is undefined."""
        return self.told(decimals([self]))

    def told(self, digits: int) -> str:
        """The same with so many decimals."""
        if not np.isfinite(self.mean):
            return ""
        sign = "" if self.chance is None else "+"
        told = f"{self.mean:{sign}.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"
        return told if self.chance is None else f"{told}, p {self.chance:.1g}"


def decimals(found: Sequence[Interval]) -> int:
    """How many decimals a column of them needs: 3, or more if most of them are small."""
    sizes = [max(abs(x.low), abs(x.high), abs(x.mean)) for x in found if np.isfinite(x.mean)]
    sizes = [size for size in sizes if size > 0]
    usual = float(np.median(sizes)) if sizes else 1.0
    return 3 if usual >= 0.01 else 2 - int(np.floor(np.log10(usual)))


def interval(
    values: Float[np.ndarray, " conditions"],
    *,
    of: Int[np.ndarray, " conditions"] | None = None,
    seed: int = 0,
) -> Interval:
    """The mean over conditions with its percentile bootstrap interval (Efron 1979).

    **Arguments:** `values`, one for each condition; where one is undefined, all is; `of`, what each
    is a value of (`things_of`), if several are of one thing, as of a perturbation in several
    contexts: these are drawn together; `seed`, of the draws with replacement.
    """
    number = len(values)
    if not number or not np.isfinite(values).all():
        return Interval(mean=np.nan, low=np.nan, high=np.nan, number=number)
    drawn = drawn_together(values[None], np.arange(number) if of is None else of, seed=seed)[0]
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean=float(values.mean()), low=float(low), high=float(high), number=number)


def drawn_together(
    values: Float[np.ndarray, "rows conditions"], of: Int[np.ndarray, " conditions"], *, seed: int
) -> Float[np.ndarray, "rows draws"]:
    """Means of bootstrap draws, the same draws for all rows.

    What is of one thing is drawn together: values of a perturbation in several contexts, or at
    several doses, are no perturbations of their own (the cluster bootstrap; Davison and Hinkley
    1997).
    """
    _, places = np.unique(of, return_inverse=True)
    sizes = np.bincount(places).astype(np.float64)
    sums = np.stack([np.bincount(places, row) for row in values])
    drawn = np.random.default_rng(seed).integers(0, len(sizes), (DRAWS, len(sizes)))
    return sums[:, drawn].sum(axis=2) / sizes[drawn].sum(axis=1)


def things_of(index: pd.Index) -> Int[np.ndarray, " rows"]:
    """Which rows of a table of conditions are of one thing: a number for each, the same for those.

    Doses of a drug, as its contexts, are no drugs of their own.
    """
    many = isinstance(index, pd.MultiIndex) and CONTEXT in index.names
    frame = (index.droplevel(CONTEXT) if many else index).to_frame(index=False)
    if "condition" in frame:
        frame["condition"] = [_perturbed(name) for name in frame["condition"].astype(str)]
    return frame.groupby([*frame], sort=False).ngroup().to_numpy(np.int64)


# Every interval of every row and metric reads the same labels.
@functools.lru_cache(maxsize=65_536)
def _perturbed(label: str) -> tuple[str, ...]:
    return Condition.parse(label).perturbations


def paired(
    scores: pd.DataFrame,
    one: str,
    other: str,
    metric: str = "pearson_delta",
    *,
    over: Sequence[str] = CONDITIONS,
    seed: int = 0,
) -> Interval:
    """By how much one predictor is ahead of another, paired by condition.

    Scores of the same condition under several seeds are subtracted seed by seed, and count once, as
    their mean: they are no conditions of their own. Where either is undefined both are left out.
    One that has a single seed where the other has several draws nothing, and stands beside all.
    Conditions that share a training are not independent of one another: the interval is that of
    other conditions under the same trainings. What is perturbed in several contexts or at several
    doses is one thing: these are drawn together, and the test is of its mean over them.

    **Arguments:** `scores`, as `compare` makes them, or several of them under further levels of
    the index; `metric`; `over`, levels of the index that tell conditions apart, as far as they are
    there.

    **Raises:** `ValueError` if a predictor is not in the table.
    """
    known = dict.fromkeys(scores.index.get_level_values("predictor"))
    missing = [name for name in (one, other) if name not in known]
    if missing:
        raise ValueError(
            f"No scores of {missing[0]!r}; the table has {', '.join(map(str, known))}."
        )
    left, right = (scores.xs(name, level="predictor")[metric] for name in (one, other))
    if SEED not in over and _one_against_many(left, right):
        left, right = (_over_seeds(side) for side in (left, right))
    differences: Any = (left - right).dropna()
    kept = [level for level in differences.index.names if level in over]
    means: Any = differences.groupby(level=kept, sort=False).mean()
    apart = means.to_numpy(np.float64)
    # Differences of rounding are none, and a test of zeros alone is undefined.
    size = float(np.nanmax(np.abs(np.concatenate([left, right])), initial=0.0))
    apart = np.where(np.abs(apart) <= 1e-6 * size, 0.0, apart)
    things = things_of(means.index)
    found = interval(apart, of=things, seed=seed)
    each = pd.Series(apart).groupby(things).mean()
    test: Any = wilcoxon(each) if np.any(each) else None
    return Interval(**{**vars(found), "chance": 1.0 if test is None else float(test.pvalue)})


def _one_against_many(left: Any, right: Any) -> bool:
    """Whether one side has one seed and the other several."""
    if SEED not in left.index.names:
        return False
    fewer, more = sorted(side.index.get_level_values(SEED).nunique() for side in (left, right))
    return fewer == 1 < more


def _over_seeds(side: Any) -> Any:
    """Means over the seeds, where they are defined."""
    rest = [level for level in side.index.names if level != SEED]
    return side.groupby(level=rest, sort=False).mean()
