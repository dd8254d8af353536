"""The matching mean, from the cells and on the real effects of nearly all of Norman 2019."""

import json

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest

from scbig.baselines import Additive, MatchingMean, PerturbedMean, Predictor
from scbig.data import Condition, Screen

GENES = [f"g{i}" for i in range(5)]


@pytest.fixture
def cells():
    labels = ["control"] * 4 + ["A"] * 3 + ["B+ctrl"] * 5 + ["C+A"] * 2
    values = np.random.default_rng(0).uniform(1, 3, (len(labels), 5)).astype(np.float32)
    index = pd.Index([f"c{i}" for i in range(len(labels))])
    obs = pd.DataFrame({"condition": labels}, index=index)
    return ad.AnnData(values, obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))


@pytest.fixture
def screen(cells):
    return Screen.from_anndata(cells)


def profile(cells, label):
    return np.asarray(cells[cells.obs["condition"] == label].X).astype(float).mean(0)


def test_a_combination_is_the_mean_of_the_profiles_of_its_parts(screen, cells):
    matching = MatchingMean.fit(screen)
    single = {"A": profile(cells, "A"), "B": profile(cells, "B+ctrl")}
    unseen = np.mean([*single.values(), profile(cells, "C+A")], axis=0)
    for parts, expected in {
        ("A", "B"): (single["A"] + single["B"]) / 2,
        ("A",): single["A"],
        ("A", "X"): (single["A"] + unseen) / 2,
        ("A", "B", "X"): (single["A"] + single["B"] + unseen) / 3,
        ("X", "Y"): unseen,
        (): profile(cells, "control"),
    }.items():
        found = matching.mean(Condition(parts))
        np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=str(parts))


def test_it_predicts_cells_with_that_mean(screen, cells):
    matching = MatchingMean.fit(screen)
    assert isinstance(matching, Predictor)
    controls = cells[cells.obs["condition"] == "control"]
    predicted = matching.predict(controls, ["B+A"], key=jr.key(0), cells=None)
    expected = matching.mean(Condition(("A", "B")))
    np.testing.assert_allclose(np.asarray(predicted.X).mean(0), expected, rtol=1e-5)
    assert (np.asarray(predicted.X).std(0) > 0).all()


def test_it_can_refuse_what_was_not_measured_alone(screen):
    with pytest.raises(ValueError, match=r"1 were not measured: 'C'\."):
        MatchingMean.fit(screen, missing="error").mean(Condition(("A", "C")))


@pytest.mark.parametrize(
    ("seed", "pearson", "perturbed", "matching_mse", "additive_mse"),
    [("1", 0.68, 0.41, 0.22, 0.26), ("2", 0.69, 0.38, 0.16, 0.22)],
)
def test_known_figures_on_real_effects(
    shared_file, seed, pearson, perturbed, matching_mse, additive_mse
):
    """Means over the held-out doubles whose genes are all measured alone, as known elsewhere."""
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
    singles = [c for c in train if len(c.perturbations) == 1]
    alone = {c.perturbations[0] for c in singles}
    test = [c for c in test if alone.issuperset(c.perturbations)]
    assert (len(singles), len(test)) == (101, 31)
    genes, none = tuple(map(str, table["genes"])), np.zeros(2000, np.float32)
    everything = np.stack([effects[c] for c in train]).mean(0)
    additive = Additive(
        genes,
        none,
        tuple(c.perturbations[0] for c in singles),
        np.stack([effects[c] for c in singles]),
        everything,
    )
    truth = np.stack([effects[c] for c in test])
    correlation, error = {}, {}
    for predictor in (
        additive,
        MatchingMean(genes, none, additive),
        PerturbedMean(genes, none, everything),
    ):
        guess, name = predictor.effects(test), type(predictor).__name__
        pairs = zip(guess, truth, strict=True)
        correlation[name] = np.mean([np.corrcoef(x, y)[0, 1] for x, y in pairs])
        error[name] = np.mean((guess - truth) ** 2)
    near = lambda value: pytest.approx(value, abs=0.005)
    assert correlation["Additive"] == correlation["MatchingMean"] == near(pearson)
    assert correlation["PerturbedMean"] == near(perturbed)
    assert error["MatchingMean"] == near(matching_mse)
    assert error["Additive"] == near(additive_mse)
