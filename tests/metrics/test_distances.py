"""Distances of populations in the table: Wasserstein, and both at equal numbers of cells."""

import sys
import zlib
from typing import Any

import anndata as ad
import numpy as np
import ot as pot
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from scbig import metrics
from scbig.metrics import _distances

GENES = [f"g{place}" for place in range(12)]
BOTH = ["e_distance", "wasserstein"]


def make(seed, sizes, shift=0.4):
    """Cells of which each condition moves other genes."""
    rng, values, labels = np.random.default_rng(seed), [], []
    for place, (label, size) in enumerate(sizes.items()):
        moved = np.where(np.arange(12) % len(sizes) == place, shift, 0.0)
        values.append(rng.gamma(4, 0.25, (size, 12)) + moved * (label != "control"))
        labels += [label] * size
    obs = pd.DataFrame({"condition": labels}, index=pd.Index([f"c{i}" for i in range(len(labels))]))
    return ad.AnnData(np.concatenate(values), obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))


def of(adata, label) -> Any:
    return np.asarray(adata.X[(adata.obs["condition"] == label).to_numpy()])


def test_wasserstein_is_the_cost_of_pots_plan_in_the_components():
    observed = make(0, {"control": 21, "A": 13, "B": 32})
    predicted = make(1, {"A": 9, "B": 11})
    table: Any = metrics.evaluate(predicted, observed, components=5, wasserstein=True)
    assert list(table)[-2:] == BOTH
    pca = PCA(5, svd_solver="full").fit(observed.X)
    for name in ("A", "B"):
        x, y = (pca.transform(of(cells, name)) for cells in (predicted, observed))
        cost = cdist(x, y)
        mass = [np.full(len(own), 1 / len(own)) for own in (x, y)]
        options: Any = {"method": "sinkhorn_log", "numItermax": 20000}
        plan: Any = pot.sinkhorn(mass[0], mass[1], cost, 0.02 * cost.mean(), **options)
        assert table.loc[name, "wasserstein"] == pytest.approx(np.sum(plan * cost), rel=2e-3)
    usual = metrics.evaluate(predicted, observed, components=5)
    pd.testing.assert_frame_equal(table.drop(columns="wasserstein"), usual)


def test_without_wasserstein_no_jax_is_started(monkeypatch):
    monkeypatch.setitem(sys.modules, "scbig.ot", None)
    cells = make(0, {"control": 9, "A": 8})
    metrics.evaluate(cells, cells, equal_cells=True)
    with pytest.raises(ImportError, match=r"scbig\.ot"):
        metrics.evaluate(cells, cells, wasserstein=True)


@pytest.mark.parametrize("most", [None, 5])
@pytest.mark.parametrize("number", [3, 30])
def test_equal_draws_are_of_three_disjoint_groups(number, most):
    predicted, measured = 100 + np.arange(number)[:, None], np.arange(21.0)[:, None]
    draw = lambda size: _distances.equal_draws(
        predicted[:size], measured, most, np.random.default_rng(0)
    )
    guess, truth, other = draw(number)
    n = min(number, 10, most or 10)
    assert [len(own) for own in (guess, truth, other)] == [n] * 3
    assert len(np.unique(np.concatenate([guess, truth, other]))) == 3 * n
    assert guess.min() >= 100 > max(truth.max(), other.max())
    again = draw(number - 1)  # other predictions are held against the same cells
    if min(number - 1, 10, most or 10) == n:
        np.testing.assert_array_equal(again[1], truth)


def test_the_floor_is_one_half_of_the_measured_cells_against_the_other():
    """The prediction is of all measured cells the ones that the distances do not take as truth."""
    observed = make(0, {"control": 30, "A": 24})
    rng = np.random.default_rng([0, zlib.crc32(b"A")])
    order = rng.permutation(24)
    halves = np.sort(order[:12]), np.sort(order[12:])
    guess = observed[observed.obs["condition"] == "A"][halves[1]].copy()
    table: Any = metrics.evaluate(guess, observed, wasserstein=True, equal_cells=True)
    for column in BOTH:
        assert table.loc["A", column] == pytest.approx(table.loc["A", f"{column}_floor"])
    pca = PCA(12, svd_solver="full").fit(observed.X)
    cells = pca.transform(of(observed, "A"))
    expected = metrics.energy_distance(cells[halves[0]], cells[halves[1]])
    assert table.loc["A", "e_distance_floor"] == pytest.approx(expected)


def test_a_replicate_lies_at_the_floor_whatever_its_number_of_cells():
    """At other numbers of cells a Wasserstein distance is another one, of the same populations."""
    sizes = {"control": 60, "A": 120}
    screens = [make(seed, sizes) for seed in range(8)]
    observed, apart = screens[0], make(9, {"control": 2, "A": 120}, shift=0.9)
    asked: dict[str, Any] = {"wasserstein": True, "equal_cells": True}
    few, many = (
        [make(seed, {"control": 2, "A": size}) for seed in range(10, 18)] for size in (25, 240)
    )
    score = lambda *given, **options: metrics.evaluate(*given, **options).loc["A"]
    for replicates in (few, many):
        draws = [score(*pair, **asked) for pair in zip(replicates, screens, strict=True)]
        row: Any = pd.DataFrame(draws).mean()
        assert row["wasserstein"] == pytest.approx(row["wasserstein_floor"], rel=0.06)
        assert abs(row["e_distance"] - row["e_distance_floor"]) < 0.05
    far: Any = score(apart, observed, **asked)
    assert far["wasserstein"] > 1.1 * far["wasserstein_floor"]
    assert far["e_distance"] > far["e_distance_floor"] + 0.1
    unequal = [score(own[0], observed, wasserstein=True)["wasserstein"] for own in (few, many)]
    assert unequal[0] > 1.05 * unequal[1]


def test_too_few_cells_have_no_distance():
    observed = make(0, {"control": 9, "A": 3, "B": 1, "C": 9})
    predicted = make(1, {"A": 5, "B": 5, "C": 1})
    asked: dict[str, Any] = {"wasserstein": True, "equal_cells": True}
    table: Any = metrics.evaluate(predicted, observed, **asked)
    assert table[["e_distance", "e_distance_floor"]].isna().all(axis=None)  # one cell a side
    assert np.isfinite(table.loc[["A", "C"], ["wasserstein", "wasserstein_floor"]]).all(axis=None)
    assert table.loc["B", ["wasserstein", "wasserstein_floor"]].isna().all()
    biased = metrics.evaluate(predicted, observed, unbiased=False, **asked)
    assert np.isfinite(biased.loc[["A", "C"], ["e_distance", "e_distance_floor"]]).all(axis=None)
    assert biased.loc["B", ["e_distance", "e_distance_floor"]].isna().all()


def test_a_wasserstein_distance_of_a_plan_that_has_not_converged_is_undefined(monkeypatch):
    observed, predicted = (make(seed, {"control": 9, "A": 8}) for seed in (0, 1))
    monkeypatch.setattr(_distances, "_ITERATIONS", 1)
    table: Any = metrics.evaluate(predicted, observed, wasserstein=True)
    assert np.isnan(table.loc["A", "wasserstein"])
