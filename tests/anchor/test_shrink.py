"""Measured means beside what the other conditions say of them."""

import numpy as np
import pytest

from scbig.anchor import Noise, shrink


def world(groups: int = 200, genes: int = 12, spread: float = 1.0, seed: int = 0):
    """True means around expected ones, measured on few cells, with the noise of single cells."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(genes, genes)))[0][:4]
    sd = np.r_[5.0, 3.0, 2.0, 1.0]
    deviation = rng.normal(size=(groups, 4)) * spread * np.r_[2.0, 1.0, 0.5, 0.0]
    expected = rng.normal(size=(groups, genes))
    true = expected + deviation @ axes
    cells = rng.integers(5, 60, groups).astype(float)
    beside = np.eye(genes) - axes.T @ axes
    noise = (
        rng.normal(size=(groups, 4)) * sd @ axes + 0.7 * rng.normal(size=(groups, genes)) @ beside
    )
    measured = true + noise / np.sqrt(cells)[:, None]
    return expected, true, measured, cells, Noise(axes, sd**2, 0.49 * (genes - 4))


def test_it_is_the_formula_of_empirical_bayes():
    expected, _, measured, cells, noise = world(groups=9)
    kinds = [np.arange(9) < 5, np.arange(9) >= 5]
    found = shrink(expected, measured, cells, noise, kinds)
    for kind in kinds:
        rows = np.flatnonzero(kind)
        means = expected[rows].copy()
        for axis, variance in zip(noise.axes, noise.along, strict=True):
            errors = [axis @ (measured[r] - expected[r]) for r in rows]
            own = [variance / cells[r] for r in rows]
            between = max(np.mean(np.square(errors) - own), 0)
            for place, (error, mine) in enumerate(zip(errors, own, strict=True)):
                means[place] += between / (between + mine) * error * axis
        rest = [
            (measured[r] - expected[r])
            - sum((a @ (measured[r] - expected[r])) * a for a in noise.axes)
            for r in rows
        ]
        own = [noise.beside / cells[r] for r in rows]
        between = max(np.mean([r @ r - o for r, o in zip(rest, own, strict=True)]), 0)
        for place, (left, mine) in enumerate(zip(rest, own, strict=True)):
            means[place] += between / (between + mine) * left
        np.testing.assert_allclose(found.means[rows], means, atol=1e-9)


def test_it_is_nearer_to_the_truth_than_either_side():
    expected, true, measured, cells, noise = world()
    found = shrink(expected, measured, cells, noise, [np.ones(len(cells), bool)])
    error = lambda guess: np.mean((guess - true) ** 2)
    assert error(found.means) < 0.8 * min(error(measured), error(expected))


def test_its_variances_are_those_of_its_errors():
    expected, true, measured, cells, noise = world(groups=2000)
    found = shrink(expected, measured, cells, noise, [np.ones(len(cells), bool)])
    squared = (found.means - true) ** 2
    assert squared.sum() == pytest.approx(found.variances.sum(), rel=0.1)
    few, many = cells < 15, cells > 40
    for rows in (few, many):
        assert squared[rows].sum() == pytest.approx(found.variances[rows].sum(), rel=0.25)


def test_without_any_deviation_the_others_are_believed():
    expected, _, measured, cells, noise = world(spread=0.0, groups=2000)
    found = shrink(expected, measured, cells, noise, [np.ones(len(cells), bool)])
    before = np.linalg.norm(measured - expected)
    assert np.linalg.norm(found.means - expected) < 0.3 * before


def test_with_many_cells_the_measured_mean_is_believed():
    expected, _, measured, _, noise = world()
    found = shrink(expected, measured, np.full(200, 1e9), noise, [np.ones(200, bool)])
    np.testing.assert_allclose(found.means, measured, atol=1e-6)
    assert found.variances.max() < 1e-6
