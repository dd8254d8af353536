"""Gaussian process on residuals against scikit-learn, and the mean of predictors."""

from typing import Any

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from scbig.baselines import (
    Additive,
    Control,
    MeanOfPredictors,
    MixedResponses,
    PerturbedMean,
    ResidualProcess,
    ResidualTransfer,
)
from scbig.data import Condition, Screen
from scbig.response import MixedEffects

GENES = [f"g{i}" for i in range(10)]
NAMES = "ABCDEF"
PAIRS = [(a, b) for a in NAMES for b in NAMES if a < b]
TRAINED, HELD = PAIRS[:10], PAIRS[10:]


def screen_of(pairs, columns: Any = slice(None), turned=False):
    """One cell a condition: pairs do more than their parts, by a smooth function of these."""
    rng = np.random.default_rng(0)
    single = dict(zip(NAMES, rng.normal(0, 1, (6, 10)), strict=True))
    sums = {pair: single[pair[0]] + single[pair[1]] for pair in PAIRS}
    effects = {"control": np.zeros(10), **single}
    for pair in pairs:
        effects["+".join(reversed(pair) if turned else pair)] = sums[pair] - np.tanh(sums[pair])
    labels = [*effects]
    values = (10 + np.stack([*effects.values()]))[:, columns]
    obs = pd.DataFrame({"condition": labels}, index=pd.Index([f"c{i}" for i in range(len(labels))]))
    cells = ad.AnnData(values.astype(np.float32), obs=obs)
    cells.var_names = np.array(GENES)[columns].tolist()
    return Screen.from_anndata(cells[:: -1 if turned else 1].copy())


@pytest.fixture(scope="module")
def screen():
    return screen_of(TRAINED)


@pytest.fixture(scope="module")
def mixed(screen):
    return MixedResponses.fit(screen, MixedEffects(transfer=False))


@pytest.fixture(scope="module")
def fitted(screen, mixed):
    return ResidualProcess.fit(screen, mixed, components=4)


def measured(screen):
    found = screen.responses()
    return dict(zip(found.perturbed, found.by_condition().astype(np.float64), strict=True))


def inputs_of(screen, mixed, pairs, scale=None):
    """What the process sees of pairs, one at a time; and the training's scale."""
    alone = {name: mixed.effects([Condition((name,))])[0].astype(np.float64) for name in NAMES}
    changes = np.stack([*measured(screen).values()])
    _, axes = np.linalg.eigh(changes.T @ changes)
    scores = {name: alone[name] @ axes[:, ::-1][:, :4] for name in NAMES}
    scores = {name: own / np.std([*scores.values()], axis=0) for name, own in scores.items()}
    rows = [(scores[a], scores[b]) for a, b in pairs]
    values = np.stack([np.r_[a + b, abs(a - b), a * b] for a, b in rows])
    scale = values.std(axis=0) if scale is None else scale
    return values / scale, scale, alone


def test_it_is_the_regression_of_scikit_learn(screen, mixed, fitted):
    values, scale, alone = inputs_of(screen, mixed, TRAINED)
    changes = measured(screen)
    residuals = np.stack([changes[Condition(p)] - alone[p[0]] - alone[p[1]] for p in TRAINED])
    gaps = [np.sum((values[i] - values[j]) ** 2) for i in range(10) for j in range(i)]
    unit, best = float(np.sqrt(np.median(gaps))), {}
    fixed: Any = {"optimizer": None}
    for length in (0.3, 0.5, 1, 2, 4, 8):
        for noise in (0.03, 0.1, 0.3, 1, 3, 10, 30, 100):
            gram = np.array(RBF(length * unit)(values), float) + noise * np.eye(10)
            variance = float(np.mean(residuals * np.linalg.solve(gram, residuals)))
            kernel = ConstantKernel(variance) * RBF(length * unit) + WhiteKernel(noise * variance)
            model = GaussianProcessRegressor(kernel, alpha=0.0, **fixed)
            model.fit(values, residuals)
            best[model.log_marginal_likelihood_value_] = (length, noise, variance, model)
    evidence = max(best)
    length, noise, variance, model = best[evidence]
    process = fitted.process
    assert (process.length, process.noise) == (length, noise)
    np.testing.assert_allclose([process.variance, process.evidence], [variance, evidence], 1e-3)
    held, _, _ = inputs_of(screen, mixed, HELD, scale)
    sums = np.stack([alone[a] + alone[b] for a, b in HELD])
    found = fitted.effects([Condition(pair) for pair in HELD])
    np.testing.assert_allclose(found, sums + model.predict(held), rtol=1e-3, atol=1e-4)
    assert np.abs(found - sums).max() > 0.1


def test_fewer_than_eight_pairs_and_unseen_perturbations_add_nothing(screen, mixed, fitted):
    alone = lambda model, *names: model.effects([Condition((n,)) for n in names]).sum(axis=0)
    for names in ("AX", "XY", "A", "ABC"):
        found = fitted.effects([Condition(tuple(names))])[0]
        np.testing.assert_allclose(found, alone(mixed, *names), rtol=1e-4, atol=1e-5)
    few = screen_of(TRAINED[:7])
    model = ResidualProcess.fit(few)
    assert model.process is None
    found = model.effects([Condition(("A", "B"))])[0]
    expected = alone(MixedResponses.fit(few, MixedEffects(transfer=False)), "A", "B")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"components": 0}, {"lengths": ()}, {"noises": (0.0, 1.0)}])
def test_numbers_that_are_none_are_refused(screen, mixed, options):
    with pytest.raises(ValueError, match="must be positive"):
        ResidualProcess.fit(screen, mixed, **options)


ASKED = [Condition(c) for c in [*HELD, ("A",), ("X",), ("A", "X"), ("A", "B", "C"), ()]]


def test_the_mean_is_of_its_members(screen, mixed):
    transfer = ResidualTransfer.fit(screen, missing="perturbed_mean")
    process = ResidualProcess.fit(screen)
    expected = sum(member.effects(ASKED) for member in (transfer, mixed, process)) / 3
    found = MeanOfPredictors.fit(screen).effects(ASKED)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not found[-1].any()
    own = MeanOfPredictors.of([Additive.fit(screen), Control.fit(screen)])
    half = Additive.fit(screen).effects(ASKED[:1]) / 2
    np.testing.assert_allclose(own.effects(ASKED[:1]), half, rtol=1e-6)


def test_neither_order_of_names_conditions_nor_genes_matters(screen):
    columns = np.random.default_rng(3).permutation(10)
    other = MeanOfPredictors.fit(screen_of(TRAINED, columns, turned=True)).effects(ASKED)
    found = MeanOfPredictors.fit(screen).effects(ASKED)
    np.testing.assert_allclose(found[:, columns], other, rtol=1e-3, atol=1e-4)


def test_without_training_pairs_effects_add_up_and_the_unseen_have_the_mean():
    screen = screen_of([])
    mixed = MixedResponses.fit(screen)
    parts = [Condition(("A",)), Condition(("B",))]
    pair, unseen = Condition(("A", "B")), Condition(("X",))
    found = MeanOfPredictors.fit(screen).effects([pair, unseen])
    sums = Additive.fit(screen).effects([pair])[0] + mixed.effects(parts).sum(axis=0)
    expected = (sums + mixed.effects([pair])[0]) / 3
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)
    mean = PerturbedMean.fit(screen).delta
    shrunk = mixed.effects([unseen])[0]
    np.testing.assert_allclose(found[1], (mean + 2 * shrunk) / 3, rtol=1e-4, atol=1e-5)
    assert np.corrcoef(found[1], mean)[0, 1] > 0.95


def test_members_of_other_cells_are_refused(screen):
    columns = np.r_[1, 0, 2:10]
    with pytest.raises(ValueError, match="Of predictor 1, Control, the genes or their order"):
        MeanOfPredictors.of([Additive.fit(screen), Control.fit(screen_of([], columns))])
    moved = Control(screen.genes, Control.fit(screen).control_mean + 1)
    with pytest.raises(ValueError, match="predictor 1, Control, the control mean"):
        MeanOfPredictors.of([Additive.fit(screen), moved])
    with pytest.raises(ValueError, match="at least one"):
        MeanOfPredictors.of([])


def test_it_predicts_cells(screen, fitted):
    for predictor in (fitted, MeanOfPredictors.of([fitted, Control.fit(screen)])):
        cells = ad.AnnData(np.full((3, 10), 10, np.float32))
        cells.obs["condition"], cells.var_names = "control", GENES
        predicted: Any = predictor.predict(cells, ["F+E"], key=jr.key(0))
        expected = 10 + predictor.effects([Condition(("E", "F"))])[0]
        np.testing.assert_allclose(np.asarray(predicted.X).mean(axis=0), expected, rtol=1e-4)
