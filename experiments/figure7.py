"""Figure 7: where measured, predicted and CellFlow-like cells of unseen conditions are.

    python experiments/figure7.py --data screen.h5ad --split additive \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/figure7

UMAP of all of them together, on principal components of the measured cells. A picture is no
measure: energy distances stand beside it, and one half of the measured cells against the other.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from tools.benchmark import Benchmark
from tools.methods import CELLFLOW, PUBLISHED
from tools.recorded import record
from tools.timing import table
from tools.trained import once, strongest, together, trained

from scbig import cli, metrics, plotting


@dataclass(frozen=True, kw_only=True)
class Places(Benchmark):
    """A benchmark whose first split is trained on, and what is shown."""

    conditions: tuple[str, ...] = ()
    """Tested conditions; by default three of strongest measured effect."""
    components: int = 50
    neighbours: int = 30


def main(bench: Places) -> pd.DataFrame:
    """Runs the experiment; returns the place of each cell."""
    once(bench.measured)
    configs = {PUBLISHED: bench.base, CELLFLOW: bench.cellflow}
    record(bench.measured.out, bench, configs)
    made = {
        name: trained(bench, config, folder)
        for folder, (name, config) in zip(("model", "cellflow"), configs.items(), strict=True)
    }
    first = next(iter(made.values()))
    names = bench.conditions or tuple(strongest(first, 3))
    cells, labels = together(made, names)
    measured = first.measured.dense()
    axes = min(bench.components, *measured.shape)
    projection = PCA(axes, random_state=0).fit(measured)
    scores = projection.transform(cells)
    found = labels.assign(**dict(zip("xy", embedded(scores, bench.neighbours).T, strict=True)))
    out = bench.measured.out
    found.to_csv(out / "places.csv", index=False)
    plotting.save(plotting.density(found), out / "density.png")
    rows = [distances(scores, labels, name, [*made]) for name in names]
    text = f"Energy distance to the measured cells, in {axes} components.\n\n{table(rows)}"
    (out / "summary.md").write_text(text)
    print(f"\n{text}")
    return found


def embedded(scores: np.ndarray, neighbours: int) -> np.ndarray:
    """Two dimensions of UMAP (McInnes et al. 2018), the same in every run."""
    with warnings.catch_warnings():
        # That a part of it that is not used needs Tensorflow; that one seed takes one thread.
        warnings.simplefilter("ignore", ImportWarning)
        warnings.filterwarnings("ignore", message="n_jobs value", category=UserWarning)
        from umap import UMAP

        reducer = UMAP(n_neighbors=min(neighbours, len(scores) - 1), random_state=0)
        return np.asarray(reducer.fit_transform(scores))


def distances(
    scores: np.ndarray, labels: pd.DataFrame, name: str, predictors: list[str]
) -> dict[str, object]:
    """Of one condition, each predictor's distance, that of the controls, and of two halves."""
    at = lambda population: scores[
        ((labels["condition"] == name) & (labels["population"] == population)).to_numpy()
    ]
    truth, still = at("measured"), scores[(labels["population"] == "control").to_numpy()]
    own = {kind: float(metrics.energy_distance(at(kind), truth)) for kind in predictors}
    halves = float(metrics.energy_distance(truth[::2], truth[1::2]))
    control = float(metrics.energy_distance(still, truth))
    return {"condition": name, "cells": len(truth), **own, "control": control, "halves": halves}


if __name__ == "__main__":
    main(cli.parse(Places, __doc__))
