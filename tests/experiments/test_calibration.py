"""Spread over trainings held against errors, on files of a comparison written by hand."""

import pathlib
import runpy
from typing import Any

import anndata as ad
import numpy as np
import pytest

from scbig import comparison
from scbig.data import Screen

from .small import EXPERIMENTS


def cells(labels: list[str], values: np.ndarray) -> Any:
    adata: Any = ad.AnnData(np.asarray(values, np.float32))
    adata.obs_names = [f"cell{row}" for row in range(len(labels))]
    adata.obs["condition"] = labels
    return adata


@pytest.fixture
def made(tmp_path: pathlib.Path) -> tuple[Any, Screen, dict[int, np.ndarray]]:
    """Two seeds of one fold and one of another; B was measured in one cell."""
    rng = np.random.default_rng(0)
    labels = ["control"] * 4 + ["A"] * 5 + ["B"]
    screen = Screen.from_anndata(cells(labels, rng.uniform(0, 3, (10, 6))))
    predicted = {seed: rng.uniform(0, 3, (6, 6)).astype(np.float32) for seed in (0, 1, 7)}
    controls = cells(labels[:4], rng.uniform(0, 3, (4, 6)))
    for seed, values in predicted.items():
        both = comparison.stamped(cells(["A"] * 4 + ["B"] * 2, values), controls, {})
        both.write_h5ad(tmp_path / f"fold0-seed{seed}.h5ad")
        if seed == 0:
            both.write_h5ad(tmp_path / "fold1-seed0.h5ad")
    return runpy.run_path(str(EXPERIMENTS / "table11.py"))["over_seeds"], screen, predicted


def test_seeds_are_those_that_are_asked_for(made, tmp_path):
    over_seeds, screen, predicted = made
    table = over_seeds(screen, tmp_path, (0, 1))
    # A fold that lacks a seed, a condition of one cell and the file of another seed play no part.
    assert {*table["part"]} == {"fold0"}
    assert {*table["condition"]} == {"A"}
    means = np.stack([predicted[seed][:4].mean(axis=0) for seed in (0, 1)])
    measured = screen.dense(screen.rows("A"))
    np.testing.assert_allclose(table["error"], means.mean(0) - measured.mean(0), atol=1e-5)
    np.testing.assert_allclose(table["seeds"], np.abs(means[0] - means[1]) / 2**0.5, atol=1e-5)
    np.testing.assert_allclose(table["noise"], measured.std(0, ddof=1) / 5**0.5, atol=1e-5)


def test_where_no_fold_has_all_seeds_there_is_nothing(made, tmp_path):
    assert made[0](made[1], tmp_path, (0, 1, 2)).empty


@pytest.mark.parametrize("number", [2, 4, 9, None])
def test_another_draw_of_controls_moves_a_mean_by_what_is_told(made, number):
    _, screen, _ = made
    found = runpy.run_path(str(EXPERIMENTS / "table11.py"))["of_the_draw"](screen, number)
    rng = np.random.default_rng(0)
    controls = screen.dense(screen.rows("control")).astype(np.float64)
    size = len(controls) if number is None else number
    draws = [
        controls[rng.choice(len(controls), size, replace=size > len(controls))].mean(axis=0)
        for _ in range(20_000)
    ]
    expected = np.sqrt(np.mean(np.var(draws, axis=0)))
    assert found == pytest.approx(expected, rel=0.02, abs=1e-6)
