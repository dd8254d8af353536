"""Real cells: train on all of a Norman 2019 subset but 5 doubles, and predict those.

    python experiments/norman_subset.py --data norman19_k562_3375x500.h5ad \
        --embeddings enformer_tss_19685x32.npz --interactions string_v12_ge800.tsv.gz \
        --pathways ReactomePathways.gmt --out runs/norman

The 5 are the doubles whose genes are both measured alone. Under 15 minutes on 2 cores.
"""

import pathlib
import time
from dataclasses import dataclass, field

import jax.random as jr
import pandas as pd

import scbig
from scbig import baselines, cli, data, method, plotting, priors

METRICS = ("pearson_delta", "pearson_delta_deg20", "acc", "mse", "pds", "e_distance")


@dataclass(frozen=True, kw_only=True)
class NormanSubset:
    """Real cells and real priors."""

    data: pathlib.Path
    """Log-normalised h5ad with `obs["condition"]`: `control`, `A`, `A+B`."""
    embeddings: pathlib.Path
    """Gene embeddings: npz, csv, tsv, parquet or h5ad. A symbol with two rows gets their mean."""
    interactions: pathlib.Path
    """Gene pairs, two columns."""
    pathways: pathlib.Path
    """Gene sets, GMT."""
    out: pathlib.Path
    """Folder for the model, the tables and the figures."""
    model: scbig.ScBIGConfig = field(default_factory=method.wide)
    seed: int = 0
    """Of the training and the prediction."""


def main(run: NormanSubset) -> pd.DataFrame:
    """Runs the experiment; returns the table of averages."""
    begun = time.perf_counter()
    fit_key, predict_key = jr.split(jr.key(run.seed))
    screen = data.Screen.from_anndata(data.read_h5ad(run.data))
    singles = {c.perturbations[0] for c in screen.conditions if len(c.perturbations) == 1}
    doubles = [c for c in screen.conditions if len(c.perturbations) == 2]
    test = [c.name for c in doubles if singles.issuperset(c.perturbations)]
    training = screen.without(test)
    table = priors.read_embeddings(run.embeddings, duplicates="mean")

    known = scbig.Priors(
        genes=table,
        interactions=priors.read_interactions(run.interactions),
        pathways=priors.read_pathways(run.pathways),
        missing="mean",
    )
    published = scbig.fit(training, known, run.model, out=run.out / "published", key=fit_key)
    fit = scbig.fit(
        training,
        known,
        scbig.anchored(run.model),
        autoencoder=published.model,
        out=run.out,
        key=fit_key,
    )
    cells = screen.to_anndata()
    controls = cells[cells.obs["condition"] == "control"]
    models = {"scBIG": fit.model, "scBIG, as published": published.model}
    predictors = {**models, **baselines.standard(training, table)}
    options = {"reference": training.to_anndata(), "key": predict_key}
    asked = predictors, controls, cells, test
    scores = baselines.compare(*asked, round_trip=fit.model.round_trip, **options)
    averages = baselines.averages(scores)
    scores.to_csv(run.out / "scores.csv")
    averages.to_csv(run.out / "averages.csv")
    plotting.save(plotting.comparison(averages, metrics=METRICS), run.out / "comparison.png")
    plotting.save(plotting.training_curves(fit.history), run.out / "training.png")

    print(f"\n{screen.num_cells} cells x {screen.num_genes} genes", *published.coverage, sep="\n")
    print(f"\n{len(test)} held-out doubles, averages:\n{averages.round(3).to_string()}")
    print(f"\nPearson delta:\n{scores['pearson_delta'].unstack(0)[averages.index].round(3)}")
    print(f"\nscBIG ahead by, Pearson delta:\n{baselines.margins(scores, 'scBIG').round(3)}")
    print(f"\n{time.perf_counter() - begun:.0f} s; tables and figures in {run.out}")
    return averages


if __name__ == "__main__":
    main(cli.parse(NormanSubset, __doc__))
