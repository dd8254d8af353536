"""Expression on another scale than log1p is refused at every entrance, by its name."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbig import metrics
from scbig.data import Screen

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
SCORES = (GOOD - GOOD.mean(axis=0)) / np.maximum(GOOD.std(axis=0), 0.1)
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
    "z-scores": (SCORES, "negative", "below zero: centred or scaled"),
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


def as_predicted(cells, _):
    metrics.evaluate(cells[30:].copy(), made(GOOD))


MEASURED = [from_anndata, opened, as_observed, as_controls, as_reference]


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
    for fine in ({"base": None}, {"base": float(np.e)}, {}):
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
