"""Expression on another scale than log1p is refused at every entrance, by its name."""

from typing import Any

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbig import metrics
from scbig.baselines import PerturbedMean, compare
from scbig.data import Screen
from scbig.data._scaled import scaling_of

LABELS = ["control"] * 30 + ["A"] * 20 + ["B"] * 20
GENES = 80


def counts_of():
    rng = np.random.default_rng(0)
    rates = rng.gamma(0.5, 2, GENES) * rng.gamma(4, 0.25, (len(LABELS), 1))
    return rng.poisson(rates).astype(np.float64)


def made(values) -> Any:
    index = pd.Index([f"c{row}" for row in range(len(values))])
    var = pd.DataFrame(index=pd.Index([f"G{gene}" for gene in range(GENES)]))
    obs = pd.DataFrame({"condition": LABELS}, index=index)
    return ad.AnnData(sparse.csr_matrix(values, dtype=np.float32), obs=obs, var=var)


COUNTS = counts_of()
NORMAL = COUNTS / COUNTS.sum(axis=1, keepdims=True) * 1e4
GOOD = np.log1p(NORMAL)
SPREAD = np.maximum(GOOD.std(axis=0), 0.1)
SCORES = (GOOD - GOOD.mean(axis=0)) / SPREAD
# What the values are, and what the message says of them as measured and as predicted cells.
SCALES = {
    "counts": (COUNTS, "raw counts", "raw counts"),
    "CPM": (NORMAL * 100, "without the logarithm|largest value", "the logarithm|largest value"),
    "normalised, half of the genes": (
        (NORMAL / 4000) * (np.arange(GENES) % 2),
        "not logarithms",
        "not logarithms",
    ),
    "base 2": (np.log2(1 + NORMAL), "logarithms to base 2", "logarithms to base 2"),
    "base 10": (np.log10(1 + NORMAL), "logarithms to base 10", "logarithms to base 10"),
    "twice": (np.log1p(GOOD), "taken twice", "taken twice"),
    "square roots": (np.sqrt(NORMAL) / 10, "square roots", "square roots"),
    "shares": (COUNTS / COUNTS.sum(axis=1, keepdims=True) / 9, "shares of each", "shares of each"),
    "cube roots": (np.cbrt(NORMAL) / 2, "cube roots", "cube roots"),
    "arcsinh": (np.arcsinh(COUNTS), "hyperbolic sines", "hyperbolic sines"),
    "log without one": (np.log(np.maximum(COUNTS * 1.7, 1)), "the one that is", "the one that is"),
    "z-scores": (SCORES, "negative", "below zero: centred or scaled"),
    "z-scores above zero": (
        np.clip(SCORES, 0, 10),
        "clipped at zero|different",
        "clipped at zero|different",
    ),
    "genes by maximum": (
        GOOD / np.maximum(GOOD.max(axis=0), 1),
        "same maximum|different",
        "same maximum|different",
    ),
    "cells by length": (GOOD / np.linalg.norm(GOOD, axis=1)[:, None], "same length", "same length"),
    "cells by total": (GOOD / GOOD.sum(axis=1)[:, None] * 7.3, "same total", "same total"),
}


def from_anndata(cells, _):
    Screen.from_anndata(cells)


def opened(cells, folder):
    cells.write_h5ad(folder / "cells.h5ad")
    Screen.open(folder / "cells.h5ad")


def as_observed(cells, _):
    metrics.evaluate(made(GOOD)[30:], cells)


def as_controls(cells, _):
    metrics.evaluate(made(GOOD)[30:], made(GOOD), controls=cells)


def as_reference(cells, _):
    metrics.evaluate(made(GOOD)[30:], made(GOOD), reference=cells)


def compared(cells, _):
    means = PerturbedMean.fit(Screen.from_anndata(made(GOOD)))
    compare({"means": means}, made(GOOD), cells, ["A"], key=jr.key(0))


def as_predicted(cells, _):
    metrics.evaluate(cells[30:].copy(), made(GOOD))


MEASURED = [from_anndata, opened, as_observed, as_controls, as_reference, compared]


@pytest.mark.parametrize("entrance", [*MEASURED, as_predicted], ids=lambda x: x.__name__)
@pytest.mark.parametrize("scale", SCALES)
def test_another_scale_is_refused_by_its_name(scale, entrance, tmp_path):
    values, measured, predicted = SCALES[scale]
    message = predicted if entrance is as_predicted else measured
    with pytest.raises(ValueError, match=message):
        entrance(made(values), tmp_path)


@pytest.mark.parametrize("entrance", [*MEASURED, as_predicted], ids=lambda x: x.__name__)
def test_the_right_scale_is_accepted(entrance, tmp_path):
    entrance(made(GOOD), tmp_path)


@pytest.mark.parametrize("entrance", [from_anndata, opened, as_observed, as_predicted])
def test_scanpys_note_of_another_base_is_read(entrance, tmp_path):
    cells = made(GOOD)
    cells.uns["log1p"] = {"base": 2}
    with pytest.raises(ValueError, match=r"base 2; .* Multiply by 0\.6931"):
        entrance(cells, tmp_path)
    for wrong, message in ((np.array([10.0]), "base 10; "), ("two", "'two', which is no number")):
        cells.uns["log1p"] = {"base": wrong}
        with pytest.raises(ValueError, match=message):
            entrance(cells, tmp_path)
    for fine in ({"base": None}, {"base": float(np.e)}, {"base": "e"}, {}):
        cells = made(GOOD)
        cells.uns["log1p"] = fine
        entrance(cells, tmp_path)


def test_smoothed_cells_of_another_total_are_told_by_the_other_side():
    smooth = made(GOOD * 0 + GOOD.mean(axis=0) + 0.01 * np.random.default_rng(1).random(GOOD.shape))
    assert not metrics.evaluate(smooth[30:], made(GOOD)).empty
    with pytest.raises(ValueError, match=r"predicted cells is .* on different scales"):
        metrics.evaluate(made(smooth.X.toarray() / np.log(2))[30:], made(GOOD))


def test_a_little_below_zero_is_no_centring():
    values = GOOD - 0.3 * (GOOD == 0) * np.random.default_rng(1).random(GOOD.shape)
    table = metrics.evaluate(made(values)[30:].copy(), made(GOOD))
    assert np.isfinite(table["pearson_delta"].to_numpy()).all()


def test_genes_of_one_deviation_were_scaled():
    values = np.random.default_rng(0).gamma(4, 0.2, (70, GENES)) + np.linspace(0, 1, GENES)
    Screen.from_anndata(made(values))
    with pytest.raises(ValueError, match="each gene was scaled to a standard deviation of 1"):
        Screen.from_anndata(made(values / values.std(axis=0)))


def test_cells_that_are_all_alike_say_nothing_of_a_scale():
    alike = GOOD.mean(axis=0) + 0 * GOOD
    assert not metrics.evaluate(made(alike)[30:], made(GOOD)).empty


def test_where_all_genes_respond_a_prediction_of_no_change_is_on_the_right_scale():
    """The mean of the few genes that were measured doubles in every condition."""
    genes = np.argsort(-GOOD.mean(axis=0))[:12]
    perturbed = np.arange(len(LABELS))[:, None] >= 30
    observed = made(np.log1p(np.where(perturbed, NORMAL * 300, NORMAL)))[:, genes].copy()
    unchanged = made(GOOD + 0.01 * np.random.default_rng(0).random(GOOD.shape))[30:, genes].copy()
    level = float(observed.X[30:].mean() / unchanged.X.mean())
    assert level > 1.4
    assert not metrics.evaluate(unchanged, observed).empty
    unchanged.X = unchanged.X / 1.5
    with pytest.raises(ValueError, match="different scales"):
        metrics.evaluate(unchanged, observed)


@pytest.mark.parametrize(
    ("cells", "clipped", "told"), [(20, True, True), (19, True, False), (20, False, False)]
)
def test_few_cells_and_smooth_ones_do_not_look_like_scores(cells, clipped, told):
    scores = np.random.default_rng(0).normal(size=(cells, GENES)).clip(0)
    scores /= np.sqrt(2 * np.mean(scores**2, axis=0))
    found = scaling_of(sparse.csr_matrix(scores), clipped=clipped)
    assert (found == "they look like z-scores of each gene, clipped at zero") == told
    assert (found is None) != told
