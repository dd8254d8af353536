"""Measured means beside what the other conditions say of them."""

import numpy as np
import pytest
from scipy.stats import norm

from scbig.anchor import Noise, shrink
from scbig.anchor._shrink import SIZES


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
    """Written out, one group and one axis at a time."""
    expected, _, measured, cells, noise = world(groups=9)
    kinds = [np.arange(9) < 5, np.arange(9) >= 5]
    found = shrink(expected, measured, cells, noise, kinds)
    for kind in kinds:
        rows = np.flatnonzero(kind)
        surprise = {r: measured[r] - expected[r] for r in rows}
        errors = {r: [axis @ surprise[r] for axis in noise.axes] for r in rows}
        own = {r: [variance / cells[r] for variance in noise.along] for r in rows}
        rest = {r: surprise[r] - np.array(errors[r]) @ noise.axes for r in rows}
        spread = [max(np.mean([errors[r][a] ** 2 - own[r][a] for r in rows]), 0) for a in range(4)]
        others = max(np.mean([rest[r] @ rest[r] - noise.beside / cells[r] for r in rows]), 0)
        likely = np.array([[
            np.prod([
                norm.pdf(errors[r][a], scale=(size * spread[a] + own[r][a]) ** 0.5)
                for a in range(4) if spread[a] > 0
            ])
            for size in SIZES
        ] for r in rows])  # fmt: skip
        shares, weights = np.ones(len(SIZES)) / len(SIZES), []
        for _ in range(200):
            weights = [row * shares / (row @ shares) for row in likely]
            shares = (np.sum(weights, axis=0) + 1) / (len(rows) + len(SIZES))
        for place, r in enumerate(rows):
            mean = expected[r].copy()
            for size, weight in zip(SIZES, weights[place], strict=True):
                each = sum(
                    _part(size * spread[a], own[r][a]) * errors[r][a] * noise.axes[a]
                    for a in range(4)
                )
                each = each + _part(size * others, noise.beside / cells[r]) * rest[r]
                mean = mean + weight * each
            np.testing.assert_allclose(found.means[r], mean, atol=1e-8)


def _part(between, own):
    return between / (between + own) if between > 0 else 0.0


def test_what_does_nothing_is_shrunk_away_beside_strong_effects(monkeypatch):
    rng = np.random.default_rng(1)
    expected, true, _, cells, noise = world(groups=300)
    still = rng.random(300) < 0.8
    true = np.where(still[:, None], expected, expected + 4 * (true - expected))
    scatter = rng.normal(size=(300, 4)) * np.sqrt(noise.along) @ noise.axes
    measured = true + scatter / np.sqrt(cells)[:, None]
    given = expected, measured, cells, noise, [np.ones(300, bool)]
    found = shrink(*given).means
    monkeypatch.setattr("scbig.anchor._shrink.SIZES", (1.0,))
    alike = shrink(*given).means
    error = lambda guess, rows: np.mean((guess - true)[rows] ** 2)
    assert error(found, still) < 0.3 * error(alike, still)
    assert error(found, ~still) < 1.1 * error(alike, ~still)


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
