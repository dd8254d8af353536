"""The closed-form predictors, each against a separate calculation from the cells."""

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from scbig import metrics
from scbig.baselines import (
    Additive,
    Control,
    LinearEmbedding,
    MixedResponses,
    PerturbedMean,
    Predictor,
    ResidualTransfer,
    ScaledAdditive,
)
from scbig.data import Columns, Condition, Screen
from scbig.priors import EmbeddingTable, PathwayLibrary
from scbig.response import MixedEffects, PathwayRelation

GENES = [f"g{i}" for i in range(12)]
SIZES = {"control": 9, "A": 5, "B+ctrl": 3, "C": 8, "B+A": 4}
VECTORS = np.random.default_rng(9).normal(size=(5, 3)).astype(np.float32)
NAMES: tuple[str, ...] = ("C", "A", "D", "B", "E")
TABLE = EmbeddingTable(NAMES, VECTORS)
PAIR = Condition(("A", "B"))


def make_cells(sizes, seed, context="x"):
    rng = np.random.default_rng(seed)
    labels = [label for label, size in sizes.items() for _ in range(size)]
    centres = np.random.default_rng(5).uniform(0.5, 3, (len(sizes), len(GENES)))
    centre = np.repeat(centres, list(sizes.values()), axis=0)
    values = np.maximum(centre + rng.normal(0, 0.7, centre.shape), 0).astype(np.float32)
    index = pd.Index([f"{context}{i}" for i in range(len(labels))])
    obs = pd.DataFrame({"condition": labels, "context": context}, index=index)
    return ad.AnnData(values, obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))


def dense(cells):
    return np.asarray(cells.X)


@pytest.fixture
def cells():
    return make_cells(SIZES, 0)


@pytest.fixture
def screen(cells):
    return Screen.from_anndata(cells)


def test_mixed_effects_are_of_the_responses_their_cells_and_the_controls(cells, screen):
    conditions = [Condition(("A",)), PAIR, Condition(("B",)), Condition(("C",))]
    origin = mean_of(cells, "control")
    changes = np.stack([mean_of(cells, n) - origin for n in ("A", "B+A", "B+ctrl", "C")])
    sizes = np.array([5.0, 4.0, 3.0, 8.0])
    expected = MixedEffects().fit(conditions, changes, cells=sizes, origin=origin, genes=GENES)
    asked = [*conditions, Condition(("A", "C")), Condition(("g3",))]
    found = MixedResponses.fit(screen).effects(asked)
    np.testing.assert_allclose(found, expected.means(asked), rtol=1e-3, atol=1e-5)


def test_mixed_effects_can_have_a_relation():
    """An unseen perturbation is as its like are, if left-out ones confirm it."""
    names = [f"{group}{number}" for group in "PQR" for number in range(5)]
    cells = make_cells({"control": 40, **dict.fromkeys(names, 30)}, 0)
    centres = {group: np.random.default_rng(ord(group)).uniform(0, 4, 12) for group in "PQR"}
    rng, values = np.random.default_rng(1), dense(cells).copy()
    for row, label in enumerate(cells.obs["condition"]):
        if label != "control":
            values[row] = centres[label[0]] + rng.uniform(0, 1, 12)
    cells.X = values
    relation = PathwayRelation(
        PathwayLibrary({g: tuple(f"{g}{i}" for i in range(9)) for g in "PQR"})
    )
    screen = Screen.from_anndata(cells)
    found = MixedResponses.fit(screen, relation=relation)
    unseen, like = found.mean(Condition(("Q8",))), found.mean(Condition(("Q1",)))
    assert np.abs(unseen - like).mean() < 0.5
    plain = MixedResponses.fit(screen)
    assert np.abs(plain.mean(Condition(("Q8",))) - like).mean() > 0.5
    np.testing.assert_allclose(plain.mean(Condition(("Q1",))), like, rtol=1e-6)


@pytest.fixture
def controls(cells):
    return cells[cells.obs["condition"] == "control"]


def mean_of(cells, label):
    return dense(cells[cells.obs["condition"] == label]).astype(float).mean(0)


def fit_all(screen):
    return {
        "control": Control.fit(screen),
        "perturbed mean": PerturbedMean.fit(screen),
        "additive": Additive.fit(screen),
        "additive x slope": ScaledAdditive.fit(screen),
        "residual transfer": ResidualTransfer.fit(screen),
        "mixed effects": MixedResponses.fit(screen),
        "linear": LinearEmbedding.fit(screen, TABLE),
    }


def test_every_predictor_emits_dispersed_cells_with_its_mean(screen, controls):
    for name, predictor in fit_all(screen).items():
        predicted = predictor.predict(controls, ["B+A", "C"], key=jr.key(0))
        assert list(predicted.var_names) == GENES
        assert list(predicted.obs["condition"]) == ["B+A"] * 9 + ["C"] * 9
        assert predicted.obs_names.is_unique
        assert dense(predicted).min() >= 0
        for label, condition in (("B+A", PAIR), ("C", Condition(("C",)))):
            found = mean_of(predicted, label)
            expected = np.maximum(predictor.mean(condition), 0)
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=name)
        assert (dense(predicted)[:9].std(axis=0) > 0).any()  # dispersed cells
        drawn = predictor.predict(controls, ["A"], key=jr.key(0), cells=4)
        assert drawn.n_obs == 4


def test_predictors_are_told_by_what_they_do(screen):
    assert all(isinstance(predictor, Predictor) for predictor in fit_all(screen).values())
    assert not isinstance(screen, Predictor)


def test_every_predictor_leaves_the_control_alone(screen, controls):
    for name, predictor in fit_all(screen).items():
        predicted = predictor.predict(controls, ["ctrl"], key=jr.key(0))
        np.testing.assert_allclose(dense(predicted), dense(controls), rtol=1e-6, err_msg=name)


def test_control_is_the_control_cells_themselves(screen, controls):
    predicted = Control.fit(screen).predict(controls, ["A"], key=jr.key(0))
    np.testing.assert_array_equal(dense(predicted), dense(controls))


def test_perturbed_mean_weighs_perturbations_not_cells(screen, cells):
    expected = sum(mean_of(cells, label) for label in ("A", "B+ctrl", "C", "B+A")) / 4
    found = PerturbedMean.fit(screen).mean(Condition(("unseen",)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_additive_sums_the_effects_of_the_singles(screen, cells):
    single = mean_of(cells, "A") + mean_of(cells, "B+ctrl")
    expected = single - mean_of(cells, "control")
    additive = Additive.fit(screen)
    np.testing.assert_allclose(additive.mean(PAIR), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(additive.mean(Condition(("A",))), mean_of(cells, "A"), rtol=1e-5)


def test_additive_names_the_perturbations_not_measured_alone(screen, controls):
    additive = Additive.fit(screen)
    with pytest.raises(ValueError, match=r"2 were not measured: 'X', 'Y'\."):
        additive.predict(controls, ["A+X", "C", "Y"], key=jr.key(0))


def test_additive_can_use_the_perturbed_mean_instead(screen, cells):
    additive = Additive.fit(screen, missing="perturbed_mean")
    expected = PerturbedMean.fit(screen).delta + mean_of(cells, "A")
    np.testing.assert_allclose(additive.mean(Condition(("A", "X"))), expected, rtol=1e-5)


def test_additive_without_any_single(cells):
    doubles = cells[cells.obs["condition"].isin(["control", "B+A"])]
    screen = Screen.from_anndata(doubles)
    with pytest.raises(ValueError, match=r"1 were not measured: 'A'\."):
        Additive.fit(screen).mean(Condition(("A",)))


def linear_by_scikit_learn(cells, ridge, components, table):
    """Two ridge regressions in turn: effects on gene scores, then weights on embeddings."""
    labels = ["A", "B+ctrl", "C", "B+A"]
    profiles = np.stack([mean_of(cells, label) for label in labels], axis=1)
    effects = profiles - mean_of(cells, "control")[:, None]
    offset = effects.mean(axis=1, keepdims=True)
    vector = dict(zip(NAMES, table, strict=True))
    embeddings = np.stack([vector["A"], vector["B"], vector["C"], vector["A"] + vector["B"]])
    centred = profiles - profiles.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    scores = centred @ axes[:, ::-1][:, :components]
    fit = lambda x, y: Ridge(alpha=ridge, fit_intercept=False).fit(x, y).coef_
    weights = fit(embeddings, fit(scores, effects - offset))  # (components, features)
    predict = lambda p: scores @ weights @ p + offset[:, 0] + mean_of(cells, "control")
    return predict, vector


@pytest.mark.parametrize(("ridge", "components", "standardise"), [(0.1, 10, True), (2.0, 2, False)])
def test_linear_equals_two_ridge_regressions(screen, cells, ridge, components, standardise):
    fitted = LinearEmbedding.fit(
        screen, TABLE, ridge=ridge, components=components, standardise=standardise
    )
    wide = VECTORS.astype(np.float64)
    table = (wide - wide.mean(0)) / wide.std(0) if standardise else wide
    predict, vector = linear_by_scikit_learn(cells, ridge, components, table)
    unseen = Condition(("D", "E"))
    for condition in (PAIR, unseen):
        embedding = sum(vector[p] for p in condition.perturbations)
        np.testing.assert_allclose(fitted.mean(condition), predict(embedding), rtol=1e-4, atol=1e-5)


def test_linear_with_a_heavy_ridge_is_the_perturbed_mean(screen):
    heavy = LinearEmbedding.fit(screen, TABLE, ridge=1e9)
    expected = PerturbedMean.fit(screen).mean(PAIR)
    np.testing.assert_allclose(heavy.mean(PAIR), expected, rtol=1e-5)


def test_linear_ignores_constant_features(screen):
    expected = LinearEmbedding.fit(screen, TABLE).mean(PAIR)
    wide = np.concatenate([VECTORS, np.full((5, 1), 0.1, np.float32)], axis=1)
    found = LinearEmbedding.fit(screen, EmbeddingTable(NAMES, wide)).mean(PAIR)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_linear_names_perturbations_without_an_embedding(screen, controls):
    with pytest.raises(ValueError, match=r"1 perturbations have no embedding: 'C'"):
        LinearEmbedding.fit(screen, TABLE.select(NAMES[1:]))
    with pytest.raises(ValueError, match=r"2 perturbations have no embedding: 'X', 'Y'"):
        LinearEmbedding.fit(screen, TABLE).predict(controls, ["X", "A+Y"], key=jr.key(0))


@pytest.mark.parametrize("options", [{"ridge": 0.0}, {"components": 0}])
def test_linear_refuses_bad_numbers(screen, options):
    with pytest.raises(ValueError, match="must be positive"):
        LinearEmbedding.fit(screen, TABLE, **options)


def test_effects_are_taken_within_each_context_and_then_averaged():
    # Context y is x plus 2 everywhere, and has other numbers of cells: effects are the same.
    first = make_cells({"control": 6, "A": 4, "B": 5}, 1)
    sizes = {"control": 60, "A": 40, "B": 5}
    second = make_cells(sizes, 1, "y")
    values = dense(first)
    second.X = np.concatenate([np.repeat(values[:10], 10, axis=0), values[10:]]) + 2
    both = ad.concat([first, second])
    screen = Screen.from_anndata(both, Columns(context="context"))
    effect = mean_of(first, "A") - mean_of(first, "control")
    found = Additive.fit(screen).effects([Condition(("A",))])[0]
    np.testing.assert_allclose(found, effect, rtol=1e-4, atol=1e-5)
    stronger = second.copy()
    stronger.X = np.where(
        (second.obs["condition"] == "A").to_numpy()[:, None], dense(second) + 1, dense(second)
    )
    screen = Screen.from_anndata(ad.concat([first, stronger]), Columns(context="context"))
    found = Additive.fit(screen).effects([Condition(("A",))])[0]
    np.testing.assert_allclose(found, effect + 0.5, rtol=1e-4, atol=1e-5)


def test_effects_are_added_to_the_controls_that_are_given(screen, cells):
    moved = cells.copy()
    moved.X = dense(cells) + 2
    there = moved[moved.obs["condition"] == "control"]
    predicted = Additive.fit(screen).predict(there, ["A"], key=jr.key(0))
    np.testing.assert_allclose(mean_of(predicted, "A"), mean_of(moved, "A"), rtol=1e-4)


def test_a_screen_without_perturbations_cannot_be_fitted(controls):
    screen = Screen.from_anndata(controls)
    for fit in (PerturbedMean.fit, Additive.fit):
        with pytest.raises(ValueError, match="no perturbation"):
            fit(screen)


def test_real_doubles_are_nearly_additive(shared_file):
    path = shared_file("data/norman19_k562_3375x500.h5ad")
    observed = ad.read_h5ad(path)
    screen = Screen.from_anndata(observed)
    doubles = [
        *("KLF1+MAP2K6", "KLF1+TGFBR2", "MAPK1+TGFBR2", "MAP2K3+MAP2K6", "MAP2K3+SLC38A2"),
    ]
    training = screen.without(doubles)
    controls = observed[observed.obs["condition"] == "control"]
    scores = {}
    for name, predictor in {
        "control": Control.fit(training),
        "perturbed mean": PerturbedMean.fit(training),
        "additive": Additive.fit(training),
    }.items():
        predicted = predictor.predict(controls, doubles, key=jr.key(0))
        scores[name] = metrics.evaluate(predicted, observed, unbiased=True)
    pearson = pd.DataFrame({name: table["pearson_delta"] for name, table in scores.items()})
    assert pearson.loc["KLF1+MAP2K6", "additive"] > 0.95
    assert 0.75 < pearson.loc["KLF1+MAP2K6", "perturbed mean"] < 0.9
    assert np.isnan(pearson["control"]).all()
    assert scores["additive"]["pds"].mean() > scores["perturbed mean"]["pds"].mean() == 0.5
    ceiling = metrics.split_half(observed, conditions=doubles, unbiased=True)["e_distance"].mean()
    energy = {name: table["e_distance"].mean() for name, table in scores.items()}
    assert abs(ceiling) < 0.03 < energy["additive"] < energy["control"]
