"""Your own h5ad in ten minutes: from counts to predicted cells, and what they are worth.

    python docs/tutorials/own_cells.py --out runs/tutorial

Without --counts the cells are simulated, and so are the priors. With your own file, replace the
three priors below by files: `scbig.priors.read_embeddings`, `read_interactions`, `read_pathways`.
"""

import pathlib
from dataclasses import dataclass, field

import jax
import numpy as np
import pandas as pd

import scbig
from scbig import baselines, cli, priors, report, simulate, splits
from scbig.preprocess import PreprocessConfig, preprocess


@dataclass(frozen=True, kw_only=True)
class Tutorial:
    """Where to, and how large."""

    out: pathlib.Path
    simulation: simulate.SimulationConfig = field(default_factory=simulate.SimulationConfig)
    model: scbig.ScBIGConfig = field(default_factory=lambda: scbig.anchored(scbig.cpu()))
    seed: int = 0


def cells_and_priors(run: Tutorial) -> tuple[scbig.Screen, scbig.Priors]:
    """Log-normalised cells as a screen, and what was known before."""
    truth = simulate.simulate_screen(run.simulation, seed=run.seed)
    # Counts with `obs["condition"]`: control, A, A+B. Nothing is chosen by the test here; with a
    # real screen draw the split first, and choose the variable genes on its training cells.
    cells = preprocess(truth.counts, PreprocessConfig(min_genes=1, min_cells=1))
    known = scbig.Priors(
        genes=priors.EmbeddingTable(truth.genes, truth.embeddings),
        interactions=priors.InteractionGraph(*truth.interactions),
        pathways=priors.PathwayLibrary(truth.pathways),
    )
    return scbig.Screen.from_anndata(cells), known


def main(run: Tutorial) -> pd.DataFrame:
    """Trains, predicts and scores; returns the averages."""
    screen, known = cells_and_priors(run)
    # Read this first: strange labels, few cells, genes without a vector are named in it.
    print(screen.report(known))

    # Half of the doubles are never seen. A split is a value: save it, and print what leaks.
    split = splits.additive(screen, seed=1)
    training = split.cells(screen, "train", "validation")
    fitted = scbig.fit(
        training, known, run.model, validation=split.validation, out=run.out / "model",
        key=jax.random.key(run.seed),
    )  # fmt: skip
    split.save(run.out / "model" / "split.json")

    # Any condition of known perturbations can be asked for, in any order.
    predicted = fitted.model.predict(screen, split.test, cells=100, key=jax.random.key(1))
    predicted.write_h5ad(run.out / "predicted.h5ad")

    # Never look at a score alone: beside it no change, the mean effect, the sum of the singles,
    # and the ceiling, one half of the measured cells against the other.
    rules = {
        "control": baselines.Control.fit(training),
        "perturbed mean": baselines.PerturbedMean.fit(training),
        "additive": baselines.Additive.fit(training),
    }
    scores = baselines.compare(
        {"scBIG": fitted.model, **rules}, screen, screen, split.test, cells=100,
        reference=training, key=jax.random.key(1),
    )  # fmt: skip
    averages = baselines.averages(scores)
    print(averages[["pearson_delta", "pds", "mse", "e_distance"]].round(3).to_string())
    print("ahead of additive by", baselines.paired(scores, "scBIG", "additive"))

    # One page with all of it, which opens anywhere.
    page = report.write_report(
        report.Run.read(run.out / "model"), run.out / "report.html", screen=screen,
        pathways=known.pathways, cells=100, key=jax.random.key(1),
    )  # fmt: skip
    print(f"The page: {page}")
    assert np.isfinite(averages["mse"]).all()
    return averages


if __name__ == "__main__":
    main(cli.parse(Tutorial, __doc__))
