"""A good screen, and every entrance that takes one: each raises a ValueError for a bad one."""

import contextlib
import functools
import io
import pathlib
from typing import Any
from unittest import mock

import anndata as ad
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
from scipy import sparse

from scbig import metrics
from scbig.baselines import PerturbedMean, compare
from scbig.cli import main
from scbig.data import Columns, Screen
from scbig.method import ScBIGConfig
from scbig.model import make_model
from scbig.nn import (
    ConditionEncoderSpec,
    GeneClusterDecoderSpec,
    GeneClusterEncoderSpec,
    InducingPoints,
    VelocityFieldSpec,
)
from scbig.preprocess import PreprocessConfig, preprocess, preprocess_file
from scbig.programs import GRC, GenePartition
from scbig.service import Names, TrainedModel, save

GENES = ("A", "B", "HLA-A", "\u00e9", *(f"G{place}" for place in range(36)))
LABELS = ("control",) * 24 + ("A",) * 8 + ("B",) * 8 + ("A+B",) * 8 + ("D",) * 8
LOSSLESS = PreprocessConfig(min_genes=0, min_cells=0)


@functools.cache
def counts() -> np.ndarray:
    """Whole numbers with depths that vary, and no cell without any."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(0.8, 4, len(GENES)) * rng.gamma(4, 0.25, (len(LABELS), 1))
    found = rng.poisson(rates).astype(np.float64)
    found[:, -1] += 1
    return found


def normalised() -> np.ndarray:
    """Counts of which each cell has ten thousand."""
    return counts() / counts().sum(axis=1, keepdims=True) * 1e4


def made(values: Any = None, **obs: Any) -> Any:
    """Cells of these values, log1p by default, with these columns besides the labels."""
    values = np.log1p(normalised()) if values is None else values
    index = pd.Index([f"c{row}" for row in range(len(values))])
    frame = pd.DataFrame({"condition": list(LABELS), **obs}, index=index)
    var = pd.DataFrame(index=pd.Index(GENES))
    return ad.AnnData(sparse.csr_matrix(values, dtype=np.float32), obs=frame, var=var)


def of_counts(cells: Any) -> Any:
    """The same cells with the counts in place of logarithms."""
    cells.X = sparse.csr_matrix(counts(), dtype=np.float32)
    return cells


@functools.cache
def model() -> TrainedModel:
    """An untrained model of these genes."""
    body: dict[str, Any] = {
        "width": 8,
        "heads": 2,
        "layers": 1,
        "mixing": InducingPoints(2),
        "mlp_width": 8,
    }
    config = ScBIGConfig(
        programs=GRC(clusters=3),
        encoder=GeneClusterEncoderSpec(**body, latent=4),
        decoder=GeneClusterDecoderSpec(**body),
        condition=ConditionEncoderSpec(hidden=8, width=8),
        velocity=VelocityFieldSpec(frequencies=3, top_frequency=3.0, hidden=8, depth=1),
    )
    pure = make_model(
        config.networks,
        partition=GenePartition.from_labels(np.arange(len(GENES)) % 3, 3),
        embeddings=jr.normal(jr.key(1), (len(GENES), 5)),
        mean=jnp.asarray(np.log1p(normalised()).mean(axis=0), jnp.float32),
        tokens=jr.normal(jr.key(2), (3, 6)),
        key=jr.key(0),
    )
    names = Names(genes=GENES, perturbations=("A", "B", "D"))
    return TrainedModel(pure=pure, names=names, config=config)


def written(cells: Any, folder: pathlib.Path, name: str = "cells.h5ad") -> pathlib.Path:
    """Where the cells are written."""
    cells.write_h5ad(folder / name)
    return folder / name


def run(*words: object) -> None:
    """A command; what it says of a bad input is the error."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main([str(word) for word in words])
    if code:
        raise ValueError(said.getvalue())


def options(columns: Columns) -> list[str]:
    """The same columns for a command."""
    named = {"context": columns.context, "dose": columns.dose, "gene": columns.gene}
    keys = [(f"--{name}-key", value) for name, value in named.items() if value is not None]
    given = [("--condition-key", columns.condition), ("--separator", columns.separator), *keys]
    controls = [columns.control] if isinstance(columns.control, str) else [*columns.control]
    more = ["--control", *controls] if controls else []
    return [str(word) for pair in given for word in pair] + more


def from_anndata(cells: Any, columns: Columns, _: pathlib.Path) -> None:
    Screen.from_anndata(cells, columns)


def opened(cells: Any, columns: Columns, folder: pathlib.Path) -> None:
    Screen.open(written(cells, folder), columns)


def preprocessed(cells: Any, columns: Columns, _: pathlib.Path) -> None:
    preprocess(of_counts(cells), LOSSLESS, columns)


def inspected(cells: Any, columns: Columns, folder: pathlib.Path) -> None:
    run("inspect", written(cells, folder), *options(columns))


def counts_inspected(cells: Any, columns: Columns, folder: pathlib.Path) -> None:
    run("inspect", written(of_counts(cells), folder), *options(columns))


def file_preprocessed(cells: Any, columns: Columns, folder: pathlib.Path) -> None:
    preprocess_file(written(of_counts(cells), folder), folder / "out.h5ad", LOSSLESS, columns)


def observed(cells: Any, columns: Columns, _: pathlib.Path) -> None:
    metrics.evaluate(made()[24:], cells, columns)


def guessed(cells: Any, columns: Columns, _: pathlib.Path) -> None:
    metrics.evaluate(cells, made(), columns)


def controls(cells: Any, columns: Columns, _: pathlib.Path) -> None:
    metrics.evaluate(made()[24:], made(), columns, controls=cells)


def held_controls(cells: Any, columns: Columns, _: pathlib.Path) -> None:
    # Most of the controls are not among those of the observed cells.
    metrics.evaluate(made()[24:], made()[16:], columns, held_controls=cells)


def reference(cells: Any, _: Columns, __: pathlib.Path) -> None:
    metrics.evaluate(made()[24:], made(), reference=cells)


def compared(cells: Any, columns: Columns, _: pathlib.Path) -> None:
    start = Screen.from_anndata(made())
    means = {"means": PerturbedMean.fit(start)}
    compare(means, start, cells, ["A"], columns, key=jr.key(0))


def compared_from(cells: Any, columns: Columns, _: pathlib.Path) -> None:
    whole = Screen.from_anndata(made())
    means = {"means": PerturbedMean.fit(whole)}
    compare(means, cells, whole, ["A"], columns, key=jr.key(0))


def predicted(cells: Any, columns: Columns, _: pathlib.Path) -> None:
    model().predict(cells, ["A"], columns, key=jr.key(0), cells=4, throw=False)


def prepare(cells: Any, columns: Columns, folder: pathlib.Path) -> None:
    files = "--counts", written(of_counts(cells), folder), "--out", folder / "out.h5ad"
    run("prepare", *files, "--min-genes", 0, "--min-cells", 0, *options(columns))


def fit(cells: Any, columns: Columns, folder: pathlib.Path) -> None:
    names = (*GENES, "D")
    np.savez(folder / "genes.npz", names=names, embeddings=np.eye(len(names)))
    files = "--data", written(cells, folder), "--embeddings", folder / "genes.npz"
    # What is good would be trained on, which is not what is asked here.
    fitted = mock.Mock(coverage=())
    with mock.patch("scbig.train.fit", return_value=fitted) as trained:
        run("fit", *files, "--out", folder / "run", *options(columns))
    trained.assert_called_once()


def predict(cells: Any, columns: Columns, folder: pathlib.Path) -> None:
    save(model(), folder / "model.scbig")
    files = "--model", folder / "model.scbig", "--data", written(cells, folder)
    asked = "--conditions", "A", "--cells", 4, "--out", folder / "guess.h5ad"
    run("predict", *files, *asked, *options(columns))


def evaluate(cells: Any, columns: Columns, folder: pathlib.Path) -> None:
    guess = written(made()[24:].copy(), folder, "guess.h5ad")
    files = "--predicted", guess, "--data", written(cells, folder)
    run("evaluate", *files, "--out", folder / "scores.csv", *options(columns))


def evaluate_guess(cells: Any, columns: Columns, folder: pathlib.Path) -> None:
    measured = written(made(), folder, "measured.h5ad")
    files = "--predicted", written(cells, folder), "--data", measured
    run("evaluate", *files, "--out", folder / "scores.csv", *options(columns))


COUNTED = (preprocessed, file_preprocessed, prepare, counts_inspected)
"""What takes counts."""
MEASURED = (from_anndata, opened, inspected, observed, compared, fit, predict, evaluate)
"""What takes logarithms of measured cells, all of whose labels count."""
GUESSED = (guessed, evaluate_guess)
STARTS = (controls, held_controls, compared_from, predicted)
"""What takes controls, perhaps among other cells."""
