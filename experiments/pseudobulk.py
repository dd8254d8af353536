"""Closed-form predictors of unseen doubles on mean responses of nearly the whole Norman screen.

    python experiments/pseudobulk.py --effects norman19_effects_234x2000.npz \
        --splits norman19_additive_seeds1-5.json

Trains on all singles and a part of the doubles, as the additive protocol does, and scores those
tested doubles that no split of `--splits` tests: the tests of these stay unseen by whoever chooses
a predictor. `split-half` is one half of each condition's counts, drawn at random, against the
other: noise of counting alone, and not that between cells; `replicate` is what all counts would
score. Two minutes for each seed and scale on 2 cores.
"""

import json
import pathlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy import sparse

from scbig import baselines, cli, data, metrics, response, simulate, splits

SHOWN = ("pearson_delta", "pearson_delta_deg20", "pds", "mse")
_MEAN: Any = {"missing": "perturbed_mean"}


@dataclass(frozen=True, kw_only=True)
class Pseudobulk:
    """Counts of each condition, and what is asked of them."""

    effects: pathlib.Path
    """npz: `genes`, `single_conditions`, `single_lfc`, `double_conditions`, `double_lfc`."""
    splits: pathlib.Path
    """JSON of splits, each with a list `test`: what no score here may be of."""
    seeds: tuple[int, ...] = (6, 7, 8, 9, 10)
    """Of the additive protocol."""
    scales: tuple[float, ...] = (1e6, 1e4)
    """Responses are changes of log1p of counts per so many: the first are the file's own."""
    out: pathlib.Path | None = None
    """Folder for the scores of all conditions; by default only means are printed."""


def log_means(found: simulate.Pseudobulk, scale: float) -> Float64[np.ndarray, "rows genes"]:
    """Of the controls, then of each condition."""
    counts = np.vstack([found.control_counts, found.counts])
    totals = np.array([found.control_total, *found.totals])
    return np.log1p(scale * counts / totals[:, None])


def halved(found: simulate.Pseudobulk, *, seed: int = 0) -> list[simulate.Pseudobulk]:
    """Each count given to either half by the toss of a coin."""
    draw = lambda counts: np.random.default_rng(seed).binomial(np.rint(counts).astype(int), 0.5)
    parts = draw(found.counts), draw(found.control_counts)
    sides = [parts, (found.counts - parts[0], found.control_counts - parts[1])]
    return [
        simulate.Pseudobulk(
            genes=found.genes,
            conditions=found.conditions,
            counts=counts.astype(np.float64),
            totals=found.totals / 2,
            control_counts=controls.astype(np.float64),
            control_total=found.control_total / 2,
        )
        for counts, controls in sides
    ]


def screen_of(found: simulate.Pseudobulk, scale: float) -> data.Screen:
    """One row for each condition, and one of the controls."""
    conditions = [data.Condition(), *found.conditions]
    order = sorted(range(len(conditions)), key=lambda row: conditions[row].name)
    return data.Screen(
        expression=sparse.csr_matrix(log_means(found, scale)[order].astype(np.float32)),
        genes=found.genes,
        cells=tuple(conditions[row].name for row in order),
        conditions=tuple(conditions[row] for row in order),
        condition_index=np.arange(len(order), dtype=np.int32),
        context_index=np.zeros(len(order), np.int32),
    )


def fitted(training: data.Screen) -> dict[str, Any]:
    """Every rule; the process and the mean of three are of the same mixed effects."""
    plain = baselines.MixedResponses.fit(training, response.MixedEffects(transfer=False))
    process = baselines.ResidualProcess.fit(training, plain)
    transfer = baselines.ResidualTransfer.fit(training, **_MEAN)
    return {
        "perturbed mean": baselines.PerturbedMean.fit(training),
        "matching mean": baselines.MatchingMean.fit(training, **_MEAN),
        "additive": baselines.Additive.fit(training, **_MEAN),
        "additive x slope": baselines.ScaledAdditive.fit(training, **_MEAN),
        "residual transfer": transfer,
        "mixed effects": baselines.MixedResponses.fit(training),
        "Gaussian process": process,
        "mean of three": baselines.MeanOfPredictors.of([transfer, plain, process]),
        "Linear": baselines.LinearEmbedding.published(training),
    }


def scores_of(
    guesses: Float64[np.ndarray, "tested genes"],
    truths: Float64[np.ndarray, "tested genes"],
    tested: list[str],
) -> pd.DataFrame:
    """Of responses: a row for each condition."""
    none = np.zeros(truths.shape[1])
    pairs = zip(guesses, truths, strict=True)
    rows = pd.DataFrame(
        [metrics.response_scores(*pair, none) for pair in pairs],
        index=pd.Index(tested, name="condition"),
    )
    return rows.assign(pds=metrics.discrimination_scores(guesses, truths))


def of_split(run: Pseudobulk, found: simulate.Pseudobulk, scale: float, seed: int) -> pd.DataFrame:
    """Scores of every rule on the tested doubles of one split that no list of `splits` tests."""
    screen = screen_of(found, scale)
    split = splits.additive(screen, seed=seed)
    lists = json.loads(run.splits.read_text()).values()
    taken = {data.Condition.parse(name).name for own in lists for name in own["test"]}
    tested = [name for name in split.test if name not in taken]
    training = split.cells(screen, "train", "validation")
    place = {c.name: row + 1 for row, c in enumerate(found.conditions)}
    rows = [place[name] for name in tested]
    changes = lambda own: log_means(own, scale)[rows] - log_means(own, scale)[0]
    asked, truths = [data.Condition.parse(name) for name in tested], changes(found)
    guess = lambda rule: rule.effects(asked).astype(np.float64)
    tables = {
        name: scores_of(guess(rule), truths, tested) for name, rule in fitted(training).items()
    }
    one, other = map(changes, halved(found))
    tables[baselines.CEILING] = scores_of(one, other, tested)
    return pd.concat(tables.values(), keys=tables, names=["predictor"])


def main(run: Pseudobulk) -> dict[float, pd.DataFrame]:
    """Scores of every double by the scale; prints means and how far each is from additive."""
    found, tables = simulate.recover_pseudobulk(simulate.read_effects(run.effects)), {}
    for scale in run.scales:
        own = {seed: of_split(run, found, scale, seed) for seed in run.seeds}
        table = pd.concat(own.values(), keys=own, names=["split"])
        table = baselines.with_replicate(table)
        tables[scale] = table
        mean = table.groupby(["predictor", "condition"], sort=False).mean()
        shown = mean.groupby("predictor", sort=False).mean().filter(SHOWN).round(4)
        shown["less additive"] = [
            str(baselines.paired(table, str(name), "additive")) for name in shown.index
        ]
        number = mean.index.get_level_values("condition").nunique()
        print(f"\nlog1p of counts per {scale:g}, {number} doubles:\n{shown.to_string()}")
        if run.out is not None:
            run.out.mkdir(parents=True, exist_ok=True)
            table.to_csv(run.out / f"per{scale:.0f}.csv")
    return tables


if __name__ == "__main__":
    main(cli.parse(Pseudobulk, __doc__))
