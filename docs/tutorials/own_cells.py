"""Your own h5ad in ten minutes: from counts to predicted cells, and what they are worth.

    python docs/tutorials/own_cells.py --out runs/tutorial

Without --counts the cells are simulated, and so are the priors. With a file of raw counts:

    python docs/tutorials/own_cells.py --out runs/own --counts FILE.h5ad --condition-key target
        --control non-targeting --embeddings FILE.npz --interactions FILE.tsv.gz --pathways FILE.gmt

Ten minutes are those of some thousand cells; with more, take fewer passes over them, say
--model.stage1.epochs 20. Where genes were perturbed one at a time, --split holdout tests unseen
genes. The other tutorials want the same options again; they go on from cells without contexts and,
but for read_programs.py, from pairs.
"""

import pathlib
from dataclasses import dataclass, field
from typing import Literal

import jax
import numpy as np
import pandas as pd
import tyro

import scbig
from scbig import baselines, cli, data, priors, report, simulate, splits
from scbig.preprocess import PreprocessConfig, preprocess


@dataclass(frozen=True, kw_only=True)
class Tutorial:
    """Where from, where to, and how large."""

    out: pathlib.Path
    counts: pathlib.Path | None = None
    """Raw counts, h5ad, of which the columns and thresholds below are; simulated by default."""
    condition_key: str = "condition"
    """The column that says how each cell was perturbed: A, A+B, or a control."""
    control: tuple[str, ...] = ()
    """What the column says of controls, in place of the usual names."""
    context_key: str | None = None
    """The column with cell lines or batches. Each has its own controls."""
    thresholds: tyro.conf.OmitArgPrefixes[PreprocessConfig] = PreprocessConfig()
    files: tyro.conf.OmitArgPrefixes[cli.PriorFiles] = cli.PriorFiles(missing="mean")
    split: Literal["additive", "holdout"] = "additive"
    """What is tested: unseen pairs of genes that were measured alone, or unseen genes."""
    simulation: simulate.SimulationConfig = field(default_factory=simulate.SimulationConfig)
    model: scbig.ScBIGConfig = field(default_factory=lambda: scbig.anchored(scbig.cpu()))
    seed: int = 0


def prepared(run: Tutorial) -> tuple[scbig.Screen, scbig.Priors, splits.Split]:
    """Log-normalised cells as a screen, what was known before, and what is held out."""
    asked = {"counts": run.counts}
    asked |= {n: getattr(run.files, n) for n in ("embeddings", "interactions", "pathways")}
    lacking = [f"--{name}" for name, path in asked.items() if path is None]
    if 0 < len(lacking) < len(asked):
        raise ValueError(f"Cells of your own need {', '.join(lacking)} too.")
    columns = scbig.Columns(
        condition=run.condition_key, control=run.control, context=run.context_key
    )
    if run.counts is not None:
        truth, counts, thresholds = None, data.read_h5ad(run.counts), run.thresholds
    else:
        truth = simulate.simulate_screen(run.simulation, seed=run.seed)
        counts, thresholds = truth.counts, PreprocessConfig(min_genes=1, min_cells=1)
    # First the split: cells that are tested have no say in which genes are kept.
    draw = {"additive": splits.additive, "holdout": splits.holdout}[run.split]
    split = draw([condition.name for condition in columns.conditions_of(counts)[0]], seed=1)
    cells = preprocess(counts, thresholds, columns, held_out=split.test)
    split = split.without(cells.uns["preprocess"]["removed_conditions"])
    screen = scbig.Screen.from_anndata(cells, columns)
    if truth is None:
        known = scbig.Priors(**run.files.read(screen.genes, screen.perturbations))
    else:
        known = scbig.Priors(
            genes=priors.EmbeddingTable(truth.genes, truth.embeddings),
            interactions=priors.InteractionGraph(*truth.interactions),
            pathways=priors.PathwayLibrary(truth.pathways),
        )
    return screen, known, split


def cells_and_priors(run: Tutorial) -> tuple[scbig.Screen, scbig.Priors]:
    """The same for the tutorials that go on from here: their split is in the run's folder."""
    return prepared(run)[:2]


def main(run: Tutorial) -> pd.DataFrame:
    """Trains, predicts and scores; returns the averages."""
    screen, known, split = prepared(run)
    # Read this first: strange labels, few cells, genes without a vector are named in it.
    print(screen.report(known))

    # Of the doubles whose genes are measured alone, half are trained on; a quarter validates, and
    # says how long to train; a quarter is tested, and not seen before. A split is a value: save it.
    training = split.cells(screen, "train", "validation")
    fitted = scbig.fit(
        training, known, run.model, validation=split.validation, out=run.out / "model",
        key=jax.random.key(run.seed),
    )  # fmt: skip
    split.save(run.out / "model" / "split.json")

    # Any condition of known perturbations can be asked for, in any order. These can be scored too:
    # they were measured in every context.
    tested = [n for n in split.test if all(len(screen.rows(n, c)) for c in screen.contexts)]
    predicted = fitted.model.predict(screen, tested, cells=100, key=jax.random.key(1))
    predicted.write_h5ad(run.out / "predicted.h5ad")

    # Never look at a score alone: beside it no change, the mean effect, the sum of the singles
    # (with the mean effect for a gene that no training saw), and the ceiling, one half of the
    # measured cells against the other.
    rules = {
        "control": baselines.Control.fit(training),
        "perturbed mean": baselines.PerturbedMean.fit(training),
        "additive": baselines.Additive.fit(training, missing="perturbed_mean"),
    }
    scores = baselines.compare(
        {"scBIG": fitted.model, **rules}, screen, screen, tested, cells=100,
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
