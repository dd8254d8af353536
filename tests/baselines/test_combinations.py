"""What training combinations say beyond the sum of their parts, against loops over the cells."""

import json

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest

from scbig.baselines import Additive, PerturbedMean, ResidualTransfer, ScaledAdditive
from scbig.data import Columns, Condition, Screen

GENES = [f"g{i}" for i in range(7)]
# D is never alone, E in no combination, F only in one whose other part is never alone.
SIZES = {"control": 8, "A": 5, "B+ctrl": 3, "C": 6, "E": 4, "F": 3}
SIZES |= {"B+A": 4, "A+C": 7, "B+D": 5, "F+D": 3, "A+B+C": 6}
WHOLE = [("A", "B"), ("A", "C"), ("A", "B", "C")]
"""The training combinations whose parts were all measured alone."""


def make_cells(sizes=SIZES):
    rng = np.random.default_rng(0)
    labels = np.repeat([*sizes], [*sizes.values()])
    centres = rng.uniform(1, 4, (len(sizes), len(GENES)))
    values = np.repeat(centres, [*sizes.values()], axis=0)
    values = (values + rng.uniform(0, 0.9, values.shape)).astype(np.float32)
    obs = pd.DataFrame({"condition": labels}, index=pd.Index([f"c{i}" for i in range(len(labels))]))
    return ad.AnnData(values, obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))


@pytest.fixture
def cells():
    return make_cells()


@pytest.fixture
def screen(cells):
    return Screen.from_anndata(cells)


def change(cells, *parts):
    """The measured change of a condition, however its label is spelled."""
    wanted = "+".join(parts)
    rows = [Condition.parse(label).name == wanted for label in cells.obs["condition"]]
    controls = (cells.obs["condition"] == "control").to_numpy()
    values = np.asarray(cells.X, np.float64)
    return values[rows].mean(axis=0) - values[controls].mean(axis=0)


def total(cells, *parts):
    return sum(change(cells, part) for part in parts)


def transferred(cells, parts, shrink):
    """The formula, one perturbation and one training combination at a time."""
    result = total(cells, *parts)
    for part in parts:
        residuals = [change(cells, *c) - total(cells, *c) for c in WHOLE if part in c]
        if residuals:
            result = result + 0.5 * sum(residuals) / (len(residuals) + shrink)
    return result


ASKED = [("B", "C"), ("A", "E"), ("A", "B"), ("A", "B", "E"), ("A", "F"), ("A", "B", "C")]


@pytest.mark.parametrize("shrink", [1.5, 0.0, 4.0])
def test_residuals_of_training_combinations_are_transferred(screen, cells, shrink):
    fitted = ResidualTransfer.fit(screen, shrink=shrink)
    found = fitted.effects([Condition(parts) for parts in ASKED])
    expected = [transferred(cells, parts, shrink) for parts in ASKED]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(found[0] - total(cells, "B", "C")).max() > 0.1


def test_the_default_shrinkage(screen, cells):
    found = ResidualTransfer.fit(screen).effects([Condition(("B", "C"))])[0]
    np.testing.assert_allclose(found, transferred(cells, ("B", "C"), 1.5), rtol=1e-4, atol=1e-5)


def test_the_slope_is_that_of_a_regression_over_all_combinations_and_genes(screen, cells):
    x = np.concatenate([total(cells, *parts) for parts in WHOLE])
    y = np.concatenate([change(cells, *parts) for parts in WHOLE])
    slope = np.linalg.lstsq(x[:, None], y, rcond=None)[0][0]
    fitted = ScaledAdditive.fit(screen)
    assert fitted.slope == pytest.approx(slope, rel=1e-5)
    assert abs(slope - 1) > 0.1
    found = fitted.effects([Condition(parts) for parts in ASKED])
    expected = [slope * total(cells, *parts) for parts in ASKED]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rule", [ResidualTransfer, ScaledAdditive])
def test_single_perturbations_have_their_measured_effect_and_the_control_none(screen, cells, rule):
    fitted = rule.fit(screen)
    for single in "ABCEF":
        found = fitted.effects([Condition((single,))])[0]
        np.testing.assert_allclose(found, change(cells, single), rtol=1e-4, atol=1e-5)
    assert not fitted.effects([Condition()]).any()


def test_what_is_in_no_measurable_combination_adds_nothing(screen):
    pair = [Condition(("E", "F"))]
    expected = Additive.fit(screen).effects(pair)
    np.testing.assert_array_equal(ResidualTransfer.fit(screen).effects(pair), expected)


@pytest.mark.parametrize("rule", [ResidualTransfer, ScaledAdditive])
def test_without_training_combinations_effects_add_up(cells, rule):
    # Of B+D the effect of D alone is unknown: it does not count.
    kept = cells.obs["condition"].isin(["control", "A", "B+ctrl", "B+D"])
    screen = Screen.from_anndata(cells[kept.to_numpy()])
    asked = [Condition(("A", "B")), Condition(("A",))]
    found = rule.fit(screen).effects(asked)
    np.testing.assert_array_equal(found, Additive.fit(screen).effects(asked))


@pytest.mark.parametrize("rule", [ResidualTransfer, ScaledAdditive])
def test_perturbations_not_measured_alone_are_as_for_the_additive_one(screen, cells, rule):
    controls = cells[cells.obs["condition"] == "control"]
    with pytest.raises(ValueError, match=r"2 were not measured: 'D', 'X'\."):
        rule.fit(screen).predict(controls, ["A+D", "X"], key=jr.key(0))
    fitted = rule.fit(screen, missing="perturbed_mean")
    found = fitted.effects([Condition(("X",))])[0]
    np.testing.assert_allclose(found, PerturbedMean.fit(screen).delta, rtol=1e-5)
    assert fitted.effects([Condition(("A", "X"))]).shape == (1, len(GENES))


def test_a_stand_in_for_a_single_effect_shows_no_residual(screen):
    """Nor has it a say in the slope: what is not measured is not learned from."""
    found = ResidualTransfer.fit(screen, missing="perturbed_mean").transfer
    np.testing.assert_array_equal(found, ResidualTransfer.fit(screen).transfer)
    slope = ScaledAdditive.fit(screen, missing="perturbed_mean").slope
    assert slope == ScaledAdditive.fit(screen).slope


def test_another_dose_is_another_perturbation():
    sizes = {"control": 4, "A@1": 4, "A@2": 4, "B": 4, "C": 4, "A@1+B": 4}
    screen = Screen.from_anndata(make_cells(sizes))
    other = [Condition(("A", "C"), (2.0, None))]
    same = [Condition(("A", "C"), (1.0, None))]
    fitted, additive = ResidualTransfer.fit(screen), Additive.fit(screen)
    np.testing.assert_array_equal(fitted.effects(other), additive.effects(other))
    assert np.abs(fitted.effects(same) - additive.effects(same)).max() > 0.1


def test_residuals_and_slope_are_of_effects_within_contexts(screen, cells):
    """Another context, at another level and with other numbers of cells, has the same effects."""
    often = np.repeat(np.arange(cells.n_obs), np.where(cells.obs["condition"] == "A", 3, 1))
    values = np.concatenate([np.asarray(cells.X), np.asarray(cells.X)[often] + 2])
    labels = [*cells.obs["condition"], *cells.obs["condition"].iloc[often]]
    lines = np.repeat(["x", "y"], [cells.n_obs, len(often)])
    index = pd.Index([f"c{i}" for i in range(len(labels))])
    obs = pd.DataFrame({"condition": labels, "line": lines}, index=index)
    both = Screen.from_anndata(ad.AnnData(values, obs=obs, var=cells.var), Columns(context="line"))
    pair = [Condition(("B", "C"))]
    for rule in (ResidualTransfer, ScaledAdditive):
        found, expected = (rule.fit(given).effects(pair) for given in (both, screen))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shrink", [-0.1, float("nan"), float("inf")])
def test_a_shrinkage_that_is_none_is_refused(screen, shrink):
    with pytest.raises(ValueError, match="shrink must be"):
        ResidualTransfer.fit(screen, shrink=shrink)


@pytest.mark.parametrize("rule", [ResidualTransfer, ScaledAdditive])
def test_a_screen_of_controls_cannot_be_fitted(cells, rule):
    controls = Screen.from_anndata(cells[cells.obs["condition"] == "control"])
    with pytest.raises(ValueError, match="no perturbation"):
        rule.fit(controls)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_real_doubles_overshoot_and_have_residuals_in_common(shared_file, seed):
    """Norman 2019: the slope of doubles on the sums is 0.65, and residuals add 0.02 of Pearson."""
    table = np.load(shared_file("data/norman19_effects_234x2000.npz"))
    split = json.loads(shared_file("splits/norman19_additive_seeds1-5.json").read_text())[seed]
    effects = {
        Condition.parse(str(name)): effect
        for kind in ("single", "double")
        for name, effect in zip(table[f"{kind}_conditions"], table[f"{kind}_lfc"], strict=True)
    }
    train, test = (
        [c for c in map(Condition.parse, split[part]) if c in effects] for part in ("train", "test")
    )
    alone = {c.name for c in train if len(c.perturbations) == 1}
    test = [c for c in test if alone.issuperset(c.perturbations)]
    # One noiseless cell of each condition, on a level from which hardly any effect leads below 0.
    values = 7 + np.stack([np.zeros(2000), *(effects[c] for c in train)])
    obs = pd.DataFrame({"condition": ["control", *(c.name for c in train)]})
    obs.index = obs.index.map("c{}".format)
    cells = ad.AnnData(np.maximum(values, 0).astype(np.float32), obs=obs)
    screen, truth = Screen.from_anndata(cells), np.stack([effects[c] for c in test])
    pearson, errors = {}, {}
    for rule in (Additive, ScaledAdditive, ResidualTransfer):
        guess = rule.fit(screen).effects(test)
        pearson[rule] = np.mean(
            [np.corrcoef(*pair)[0, 1] for pair in zip(guess, truth, strict=True)]
        )
        errors[rule] = np.mean((guess - truth) ** 2)
    assert ScaledAdditive.fit(screen).slope == pytest.approx(0.65, abs=0.03)
    assert pearson[ScaledAdditive] == pytest.approx(pearson[Additive])
    assert pearson[ResidualTransfer] - pearson[Additive] == pytest.approx(0.02, abs=0.005)
    assert errors[ScaledAdditive] < errors[ResidualTransfer] < errors[Additive]
