"""Seen conditions, cells that were held out: does the flow add anything to a shift?

    python experiments/shapes.py --data FILE.h5ad --embeddings FILE.npz --interactions FILE.tsv.gz \
        --pathways FILE.gmt --out runs/shapes

Half of the cells of every condition train, the other half is what they are compared with. Without
`--data` a screen is simulated whose three types of cells respond differently; then distances within
types are written too. Some 5 minutes on 2 cores.
"""

import pathlib
from dataclasses import dataclass, field
from typing import Any

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd

import scbig
from scbig import baselines, cli, data, metrics, priors
from scbig.anchor import ResponseAnchor


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """Cells, priors, and a model."""

    data: pathlib.Path | None = None
    """h5ad; without one a screen is simulated."""
    condition: str = "condition"
    """Column of `obs` with the condition of each cell."""
    control: tuple[str, ...] = ()
    """What controls are called there, if not as usual."""
    context: str | None = None
    """Column of cell lines or the like."""
    counts: bool = False
    """Whether the file has counts, which are then log-normalised."""
    certain: str | None = None
    """A column of `obs` that says how sure a cell's condition is, kept from 0.9 on."""
    embeddings: pathlib.Path | None = None
    interactions: pathlib.Path | None = None
    pathways: pathlib.Path | None = None
    out: pathlib.Path
    """Folder for the model and the tables."""
    proportions: float = 0.0
    """How much the proportions of simulated types change, in log units."""
    model: scbig.ScBIGConfig = field(default_factory=lambda: scbig.anchored(scbig.cpu()))
    seed: int = 0


def main(run: Shapes) -> pd.DataFrame:
    """Runs the experiment; returns mean energy distances."""
    columns = scbig.Columns(condition=run.condition, control=run.control, context=run.context)
    cells = simulated(run) if run.data is None else measured(run, columns)
    screen = scbig.Screen.from_anndata(cells, columns)
    known = priors_of(run, screen)
    lost = [c.name for c in screen.conditions if not {*c.perturbations} <= {*known.tokens.names}]
    if lost:
        print(f"left out, without an embedding: {', '.join(lost)}")
        screen = screen.without(lost)
    rng = np.random.default_rng(run.seed)
    half = rng.random(screen.num_cells) < 0.5
    training = screen.take(np.flatnonzero(half | screen.is_control))
    fit = scbig.fit(training, known, run.model, out=run.out, key=jr.key(run.seed))
    shift = ResponseAnchor(shape=False, related=False)
    models = {
        "controls": baselines.Control.fit(training),
        "shift": baselines.MovedControls.fit(training, shift),
        "anchor": baselines.MovedControls.fit(training, pathways=known.pathways),
        "scBIG": fit.model,
    }
    axes = metrics.fit_projection(training.dense()).axes
    rows = []
    for condition in training.conditions:
        if condition.is_control:
            continue
        asked = {t: predicted(m, screen, condition.name, run.seed) for t, m in models.items()}
        for place, context in enumerate(training.contexts):
            own = screen.rows(condition, context)
            pair = own[half[own]], own[~half[own]]
            if min(map(len, pair)) < 10:
                continue
            populations = {"own": (screen.dense(pair[0]), pair[0])}
            for title, (values, sources) in asked.items():
                chosen = screen.context_index[sources] == place
                populations[title] = values[chosen], sources[chosen]
            for title, found in populations.items():
                told = {"condition": condition.name, "context": context, "predictor": title}
                scores = distances(cells, screen, found, pair[1], axes)
                rows.append({**told, "cells": len(pair[1]), **scores})
    table = pd.DataFrame(rows)
    run.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(run.out / "shapes.csv", index=False)
    shown = [name for name in ("e_distance", "within_types") if name in table]
    means = pd.DataFrame(table.groupby("predictor", sort=False)[shown].mean())
    history = fit.history.query("stage == 'flow'").dropna(subset=["validation"])
    best = history.loc[history.validation.idxmax()]
    print(f"{screen.num_cells} cells, {len(table) // len(means)} populations")
    print(f"steps of the flow: {int(best.step)}, gain on held-out ones {best.validation_gain:.4f}")
    print(means.round(4).to_string())
    return means


def predicted(
    model: Any, screen: scbig.Screen, condition: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted cells of a condition in all contexts, and the rows of the controls they are of."""
    found = model.predict(screen, [condition], key=jr.key(seed))
    place = {name: row for row, name in enumerate(screen.cells)}
    return np.asarray(found.X), np.array([place[str(name)] for name in found.obs["source"]])


def distances(
    cells: ad.AnnData,
    screen: scbig.Screen,
    found: tuple[np.ndarray, np.ndarray],
    other: np.ndarray,
    axes: np.ndarray,
) -> dict[str, float]:
    """Unbiased energy distance to the held-out cells, in all and within types."""
    values, rows = found
    apart = lambda x, y: metrics.energy_distance(x @ axes.T, y @ axes.T)
    scores = {"e_distance": apart(values[:2000], screen.dense(other))}
    if "type" in cells.obs:
        kind = cells.obs["type"].to_numpy()
        each = [
            apart(values[kind[rows] == t], screen.dense(other[kind[other] == t]))
            for t in np.unique(kind)
            if min((kind[rows] == t).sum(), (kind[other] == t).sum()) >= 15
        ]
        scores["within_types"] = float(np.mean(each)) if each else float("nan")
    return scores


def measured(run: Shapes, columns: scbig.Columns) -> ad.AnnData:
    """The cells of the file, log-normalised, and only those whose condition is certain."""
    assert run.data is not None
    cells = data.read_h5ad(run.data)
    if run.certain is not None:
        cells = cells[cells.obs[run.certain].to_numpy() >= 0.9].copy()
    if run.counts:
        from scbig.preprocess import PreprocessConfig, preprocess

        cells = preprocess(cells, PreprocessConfig(min_genes=1, min_cells=1), columns)
    return cells


def simulated(run: Shapes, genes: int = 240, perturbations: int = 12) -> ad.AnnData:
    """Three types of cells with a response of their own each, and a part that they share."""
    rng = np.random.default_rng(run.seed)
    some = lambda share, size: np.where(rng.random(genes) < share, rng.normal(0, size, genes), 0.0)
    base = rng.normal(0, 1, genes)
    types = [base + some(0.25, 1.5) for _ in range(3)]
    loadings = np.stack([some(0.3, 0.4) for _ in range(6)])
    usual = np.log([0.5, 0.3, 0.2])
    blocks, labels, kinds = [], [], []
    for number in range(perturbations + 1):
        shared, label = some(0.2, 1.0), f"G{number - 1:03d}" if number else "control"
        own = [0.3 * shared + 0.7 * some(0.2, 1.2) if number else 0.0 * base for _ in types]
        weights = np.exp(usual + (number > 0) * run.proportions * rng.normal(size=3))
        kind = rng.choice(3, 300 if number else 900, p=weights / weights.sum())
        state = rng.normal(0, 0.3, (len(kind), 6)) @ loadings
        rates = np.exp(np.stack([types[k] + own[k] for k in kind]) + state)
        depth = rng.lognormal(np.log(3000), 0.3, len(kind))[:, None]
        blocks.append(rng.poisson(depth * rates / np.exp(base).sum()))
        labels += [label] * len(kind)
        kinds.append(kind)
    counts = np.concatenate(blocks).astype(np.float64)
    values = np.log1p(1e3 * counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
    obs = pd.DataFrame({"condition": labels, "type": np.concatenate(kinds)})
    obs.index = pd.Index([f"cell{i}" for i in range(len(obs))])
    var = pd.DataFrame(index=pd.Index([f"G{i:03d}" for i in range(genes)]))
    return ad.AnnData(values, obs=obs, var=var)


def priors_of(run: Shapes, screen: scbig.Screen) -> scbig.Priors:
    """Those of the files; for simulated cells vectors and sets that say nothing."""
    if run.data is None:
        rng, genes = np.random.default_rng(run.seed), screen.genes
        vectors = rng.normal(size=(len(genes), 8)).astype(np.float32)
        first, second = rng.permuted(np.tile(genes, (400, 1)), axis=1)[:, :2].T
        sets = {f"set {i}": tuple(rng.choice(genes, 20, replace=False)) for i in range(10)}
        return scbig.Priors(
            genes=priors.EmbeddingTable(genes, vectors),
            interactions=priors.InteractionGraph(tuple(first.tolist()), tuple(second.tolist())),
            pathways=priors.PathwayLibrary(sets),
        )
    if run.embeddings is None or run.interactions is None or run.pathways is None:
        raise SystemExit("With --data give --embeddings, --interactions and --pathways too.")
    return scbig.Priors(
        genes=priors.read_embeddings(run.embeddings, duplicates="mean"),
        interactions=priors.read_interactions(run.interactions),
        pathways=priors.read_pathways(run.pathways),
        missing="mean",
    )


if __name__ == "__main__":
    main(cli.parse(Shapes, __doc__))
