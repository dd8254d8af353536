"""A simulated screen, whole: simulate, cluster, train both stages, predict held-out doubles.

    python experiments/quickstart.py

Some 3 minutes on 2 cores. Every number is an option: see `--help`.
"""

import pathlib
import time
from dataclasses import dataclass, field

import jax.random as jr
import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

import scbig
from scbig import baselines, cli, plotting, priors, simulate
from scbig.method import fingerprint
from scbig.preprocess import PreprocessConfig, preprocess

METRICS = ("pearson_delta", "pearson_delta_deg20", "acc", "mse", "pds", "e_distance")


@dataclass(frozen=True, kw_only=True)
class Quickstart:
    """A simulated screen, and the small preset."""

    simulation: simulate.SimulationConfig = field(default_factory=simulate.SimulationConfig)
    preprocess: PreprocessConfig = PreprocessConfig(min_genes=20, min_cells=10)
    model: scbig.ScBIGConfig = field(default_factory=scbig.cpu)
    test: int = 15
    """Doubles that are held out."""
    validation: int = 6
    """Doubles that only select the best parameters."""
    seed: int = 0
    """Of the screen, the draw of doubles, the training and the prediction."""
    out: pathlib.Path | None = None
    """Folder for the model, the tables and the figures; by default one named by these options."""


def main(run: Quickstart) -> pd.DataFrame:
    """Runs the experiment; returns the table of averages."""
    begun = time.perf_counter()
    out = run.out or pathlib.Path("runs") / f"quickstart-{fingerprint(run)}"
    fit_key, predict_key = jr.split(jr.key(run.seed))
    truth = simulate.simulate_screen(run.simulation, seed=run.seed)
    screen = scbig.Screen.from_anndata(preprocess(truth.counts, run.preprocess))
    doubles = [c.name for c in screen.conditions if len(c.perturbations) == 2]
    if run.test + run.validation >= len(doubles):
        raise SystemExit(f"Only {len(doubles)} doubles: lower --test or --validation.")
    drawn = np.random.default_rng(run.seed).permutation(doubles).tolist()
    test, validation = drawn[: run.test], drawn[run.test : run.test + run.validation]
    training = screen.without(test)
    table = priors.EmbeddingTable(truth.genes, truth.embeddings)

    known = scbig.Priors(
        genes=table,
        interactions=priors.InteractionGraph(*truth.interactions),
        pathways=priors.PathwayLibrary(truth.pathways),
    )
    options = {"validation": validation, "key": fit_key}
    published = scbig.fit(training, known, run.model, out=out / "published", **options)
    fit = scbig.fit(
        training,
        known,
        scbig.anchored(run.model),
        autoencoder=published.model,
        out=out,
        **options,
    )
    place = dict(zip(truth.genes, truth.programs, strict=True))
    true_programs = [place[gene] for gene in screen.genes]
    found = np.asarray(fit.programs.partition.labels)
    recovered = adjusted_rand_score(true_programs, found)

    cells = screen.to_anndata()
    controls = cells[cells.obs["condition"] == "control"]
    models = {"scBIG": fit.model, "scBIG, as published": published.model}
    predictors = {**models, **baselines.standard(training, table)}
    options = {"reference": training.to_anndata(), "key": predict_key}
    asked = predictors, controls, cells, test
    scores = baselines.compare(*asked, round_trip=fit.model.round_trip, **options)
    averages = baselines.averages(scores)
    scores.to_csv(out / "scores.csv")
    averages.to_csv(out / "averages.csv")
    plotting.save(plotting.comparison(averages, metrics=METRICS), out / "comparison.png")
    plotting.save(plotting.training_curves(fit.history), out / "training.png")

    print(f"\nscbig {scbig.__version__}: {screen.num_cells} cells x {screen.num_genes} genes")
    print(f"programs recovered: adjusted Rand index {recovered:.3f}")
    print(f"\n{len(test)} held-out doubles, averages:\n{averages.round(3).to_string()}")
    print(f"\nscBIG ahead by, Pearson delta:\n{baselines.margins(scores, 'scBIG').round(3)}")
    print(f"\n{time.perf_counter() - begun:.0f} s; tables and figures in {out}")
    return averages


if __name__ == "__main__":
    main(cli.parse(Quickstart, __doc__))
