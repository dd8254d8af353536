"""Ways to make whole counts of predicted cells, held against measured cells.

    python experiments/counts.py --data norman19_k562_3375x500.h5ad

One half of the cells of every condition trains the anchor, which moves controls to each condition;
its cells, as they are and as counts made in three ways, are scored against the other half. All on
the log1p that the counts have at the size factors of their controls. A minute on 2 cores.
"""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
import pandas as pd
from jaxtyping import Float

import scbig
from scbig import baselines, cli, data, metrics
from scbig.service import rounded_counts

SHOWN = ("pearson_delta", "e_distance", "expressed", "library")
ROUNDED = "rounded in log1p"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Measured cells whose counts can be told."""

    data: pathlib.Path
    """Log-normalised h5ad, the values of a cell whole multiples of one count."""
    condition_key: str = "condition"
    context_key: str | None = None
    least: int = 40
    """Cells that a condition needs, in each context."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the halves, and of all draws."""
    out: pathlib.Path | None = None
    """Folder for the scores of all conditions; by default only means are printed."""


def ways(seed: int) -> dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
    """From expected counts, which need not be whole, and size factors to counts."""
    rng = np.random.default_rng(seed)
    return {
        "as they are": lambda counts, size: counts,
        ROUNDED: lambda counts, size: rounded_counts(np.log1p(counts / size), size[:, 0], rng=rng),
        "rounded in counts": lambda counts, size: np.floor(counts + rng.random(counts.shape)),
        "Poisson": lambda counts, size: rng.poisson(counts),
    }


def expressed(predicted: np.ndarray, observed: np.ndarray, controls: np.ndarray) -> float:
    """Genes of a predicted cell above zero, over those of a measured one."""
    return float(np.mean(predicted > 0) / np.mean(observed > 0))


def library(predicted: np.ndarray, observed: np.ndarray, controls: np.ndarray) -> float:
    """Normalised counts of a predicted cell, over those of a measured one."""
    return float(np.expm1(predicted).sum(1).mean() / np.expm1(observed).sum(1).mean())


def scored(screen: data.Screen, seed: int) -> pd.DataFrame:
    """A row for each way, context and condition."""
    random = np.random.default_rng(seed)
    first = random.random(screen.num_cells) < 0.5
    training = screen.take(np.flatnonzero(first | screen.is_control))
    other = screen.take(np.flatnonzero(~first | screen.is_control))
    anchor = baselines.MovedControls.fit(training)
    names = [c.name for c in screen.conditions if not c.is_control]
    made = anchor.predict(screen, names, key=jr.key(seed))
    # What tells the size factors is the rounding that is in the library.
    factors: Any = scbig.as_counts(made, screen, key=jr.key(seed)).obs["size_factor"]
    size: Float[np.ndarray, "cells 1"] = factors.to_numpy(np.float64)[:, None]
    counts = np.expm1(np.maximum(np.asarray(made.X, np.float64), 0.0)) * size
    tables = {}
    for way, draw in ways(seed).items():
        cells = made.copy()
        cells.X = np.log1p(draw(counts, size) / size).astype(np.float32)
        tables[way] = metrics.evaluate(
            cells,
            other,
            reference=training,
            metrics={"expressed": expressed, "library": library},
            seed=seed,
        )
    return pd.concat(tables.values(), keys=tables, names=["predictor"])


def main(run: Counts) -> pd.DataFrame:
    """Scores of every way; prints means, and how far each is from the rounding of the library."""
    columns = data.Columns(condition=run.condition_key, context=run.context_key)
    screen = data.Screen.from_anndata(data.read_h5ad(run.data), columns).at_least(run.least)
    tables = {seed: scored(screen, seed) for seed in run.seeds}
    table = pd.concat(tables.values(), keys=tables, names=["seed"])
    over = [name for name in ("context", "condition") if name in table.index.names]
    mean = table.groupby(["predictor", *over], sort=False).mean()
    shown = mean.groupby("predictor", sort=False).mean().filter(SHOWN).round(4)
    for metric in ("pearson_delta", "e_distance"):
        shown[f"{metric} less rounded"] = [
            str(baselines.paired(table, str(name), ROUNDED, metric)) for name in shown.index
        ]
    print(f"{len(mean) // len(shown)} populations, {len(run.seeds)} halves\n{shown.to_string()}")
    if run.out is not None:
        run.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(run.out / "counts.csv")
    return table


if __name__ == "__main__":
    main(cli.parse(Counts, __doc__))
