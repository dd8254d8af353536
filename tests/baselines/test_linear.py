"""The linear model with vectors of genes on both sides, against the formula written out."""

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest

from scbig.baselines import LinearEmbedding, Predictor
from scbig.data import Condition, Screen
from scbig.priors import EmbeddingTable

GENES = [f"g{i}" for i in range(15)]
# X is no measured gene; g9 is measured but not perturbed here.
SIZES = {"control": 6, "g0": 4, "g1+ctrl": 3, "g2": 5, "g4": 4, "X": 3, "g0+g1": 4, "g3+X": 3}
EMBEDDED = ["g0", "g1", "g2", "g4", "g0+g1"]


def cells_of(labels, values):
    obs = pd.DataFrame({"condition": labels}, index=pd.Index([f"c{i}" for i in range(len(labels))]))
    return ad.AnnData(values.astype(np.float32), obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    labels = np.repeat([*SIZES], [*SIZES.values()])
    centres = np.repeat(rng.uniform(1, 4, (len(SIZES), 15)), [*SIZES.values()], axis=0)
    return cells_of(labels, centres + rng.uniform(0, 0.9, centres.shape))


@pytest.fixture
def screen(cells):
    return Screen.from_anndata(cells)


@pytest.fixture
def table():
    """Of all genes but two, in another order, with a perturbation that is no gene of the screen."""
    names = (*reversed(GENES[:13]), "X")
    vectors = np.random.default_rng(1).normal(1, 2, (14, 4)).astype(np.float32)
    return EmbeddingTable(names, vectors)


def profiles(cells):
    """Mean expression by canonical name, genes as entries."""
    named = [Condition.parse(label).name for label in cells.obs["condition"]]
    return (
        pd.DataFrame(np.asarray(cells.X, np.float64), columns=pd.Index(GENES)).groupby(named).mean()
    )


def components(means, number):
    """Scores of the genes on principal components of the conditions, by their covariance."""
    values = means.to_numpy().T
    values = values - values.mean(axis=0)
    sizes, axes = np.linalg.eigh(np.cov(values, rowvar=False))
    scores = values @ axes[:, np.argsort(sizes)[::-1][:number]]
    return dict(zip(GENES, scores, strict=True))


def published(cells, training, genes, perturbations, ridge=0.1):
    """Y = G W P + b with the control as a training condition, by explicit inverses."""
    means = profiles(cells)
    baseline = means.loc["control"].to_numpy()
    vector = lambda name: sum(
        (perturbations[p] for p in name.split("+") if p in perturbations), np.zeros(width)
    )
    width = len(next(iter(perturbations.values())))
    y = np.stack([means.loc[name].to_numpy() - baseline for name in [*training, "control"]], axis=1)
    p = np.stack([vector(name) for name in training] + [np.zeros(width)], axis=1)
    g = np.stack([genes.get(gene, np.zeros(width)) for gene in GENES])
    b = y.mean(axis=1, keepdims=True)
    eye = ridge * np.eye(width)
    w = np.linalg.inv(g.T @ g + eye) @ g.T @ (y - b) @ p.T @ np.linalg.inv(p @ p.T + eye)
    return lambda name: g @ w @ vector(name) + b[:, 0]


ASKED = ["g0", "g9", "g0+g2", "g9+g3", "g2+X"]


def test_it_is_the_published_formula(screen, cells):
    scores = components(profiles(cells), 10)
    predict = published(cells, EMBEDDED, scores, scores)
    fitted = LinearEmbedding.published(screen)
    found = fitted.effects([Condition.parse(name) for name in ASKED])
    expected = np.stack([predict(name) for name in ASKED])
    # Ten components of nine conditions: those without variance are zero up to rounding.
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert np.abs(found - fitted.offset).max(axis=1).min() > 0.05


@pytest.mark.parametrize("number", [1, 3])
def test_fewer_components(screen, cells, number):
    scores = components(profiles(cells), number)
    predict = published(cells, EMBEDDED, scores, scores, ridge=2.0)
    fitted = LinearEmbedding.fit(
        screen, components=number, ridge=2.0, control=True, missing="mean", standardise=False
    )
    found = fitted.effects([Condition.parse(name) for name in ASKED])
    np.testing.assert_allclose(found, [predict(name) for name in ASKED], rtol=1e-3, atol=1e-4)


def test_with_a_table_its_vectors_are_on_both_sides_by_name(screen, cells, table):
    vectors = dict(zip(table.names, table.vectors.astype(np.float64), strict=True))
    genes = {name: vector for name, vector in vectors.items() if name in GENES}
    predict = published(cells, [*EMBEDDED, "X", "X+g3"], genes, vectors)
    found = LinearEmbedding.published(screen, table).effects(
        [Condition.parse(name) for name in ASKED]
    )
    np.testing.assert_allclose(found, [predict(name) for name in ASKED], rtol=1e-3, atol=1e-4)


def test_effects_that_are_bilinear_are_found_exactly():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(15, 3))
    # Centred over the training conditions, as b is their mean effect.
    vectors[:8] -= vectors[:8].mean(axis=0)
    weights, common = rng.normal(size=(3, 3)) / 5, rng.uniform(-1, 1, 15)
    truth = vectors @ weights.T @ vectors.T + common
    labels = ["control", *GENES[:8]]
    screen = Screen.from_anndata(cells_of(labels, 10 + np.vstack([np.zeros(15), truth[:8]])))
    table = EmbeddingTable(tuple(GENES), vectors.astype(np.float32))
    fitted = LinearEmbedding.fit(screen, gene_table=table, ridge=1e-9)
    found = fitted.effects([Condition((gene,)) for gene in GENES])
    np.testing.assert_allclose(found, truth, rtol=1e-3, atol=1e-3)
    pair = fitted.effects([Condition(("g12", "g9"))])[0]
    np.testing.assert_allclose(pair, truth[9] + truth[12] - common, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_embedded_has_the_mean_effect(screen, cells):
    fitted = LinearEmbedding.published(screen)
    means = profiles(cells)
    mean = (means.loc[EMBEDDED] - means.loc["control"]).sum() / (len(EMBEDDED) + 1)
    for name in ("X", "nothing", "X+nothing"):
        found = fitted.effects([Condition.parse(name)])[0]
        np.testing.assert_allclose(found, mean, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"1 perturbations have no embedding: 'X'"):
        LinearEmbedding.fit(screen)
    strict = LinearEmbedding.fit(screen.without(["X", "X+g3"]))
    with pytest.raises(ValueError, match=r"'nothing'.*missing=\"mean\""):
        strict.effects([Condition(("g0", "nothing"))])


def test_a_screen_whose_perturbations_are_no_measured_genes_is_refused(cells):
    kept = cells.obs["condition"].isin(["control", "X", "g3+X"]).to_numpy()
    with pytest.raises(ValueError, match=r"No training condition can be embedded: 'X', 'g3' are"):
        LinearEmbedding.published(
            Screen.from_anndata(cells[kept]), EmbeddingTable(("g7",), np.ones((1, 2), np.float32))
        )


def test_it_predicts_cells_and_leaves_the_control_alone(screen, cells, table):
    controls = cells[(cells.obs["condition"] == "control").to_numpy()]
    for fitted in (LinearEmbedding.published(screen), LinearEmbedding.published(screen, table)):
        assert isinstance(fitted, Predictor)
        predicted = fitted.predict(controls, ["g9", "ctrl"], key=jr.key(0))
        found = np.asarray(predicted.X)[:6].mean(axis=0)
        expected = np.maximum(fitted.mean(Condition(("g9",))), 0)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(np.asarray(predicted.X)[6:], np.asarray(controls.X), rtol=1e-6)
