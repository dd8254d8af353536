"""What holds for every learned predictor: a line in the table puts it under all these laws."""

import dataclasses
from typing import Any

import jax.random as jr
import numpy as np
import pytest

import scbig
from scbig import rivals
from scbig._hints import subclasses
from scbig._value import but
from scbig.data import Screen
from scbig.objective import Adam
from scbig.priors import EmbeddingTable, InteractionGraph

QUICK = rivals.Training(
    optimiser=Adam(3e-3), steps=120, groups=16, validate_every=40, patience=None
)
SMALL: list[rivals.AbstractNetworkRecipe] = [
    rivals.LatentAdditive(latent=8, width=16, training=QUICK),
    rivals.State(width=16, heads=2, layers=1, dropout=0.0, training=but(QUICK, groups=4, cells=16)),
    rivals.SamsVAE(latent=8, width=16, training=but(QUICK, steps=400, optimiser=Adam(2e-2))),
    rivals.CPA(latent=8, width=16, accuser=8, training=but(QUICK, steps=240)),
    rivals.GEARS(width=16, training=QUICK),
    rivals.GeneTransformer(width=16, mlp_width=16, layers=1, sampled=12, training=QUICK),
]
NAMES = [type(recipe).__name__ for recipe in SMALL]
GENES = tuple(f"g{n}" for n in range(20))
TEST, VALIDATION = ["g0+g1"], ["g2+g3"]
TRAIN = ["g0", "g1", "g2", "g3", "g0+g2", "g1+g3", "g0+g3"]
SPLIT = scbig.Split.of(name="small", train=TRAIN, validation=VALIDATION, test=TEST)
PRIORS = scbig.Priors(
    genes=EmbeddingTable(
        GENES, np.random.default_rng(1).normal(size=(len(GENES), 6)).astype(np.float32)
    ),
    interactions=InteractionGraph(
        tuple(GENES[i] for i in range(len(GENES)) for _ in (1, 2)),
        tuple(GENES[(i + k) % len(GENES)] for i in range(len(GENES)) for k in (1, 2)),
        np.ones(2 * len(GENES), np.float32),
    ),
)
FITTED: dict[int, rivals.Rival] = {}


def predict(screen: Screen, place: int, conditions: list[str], **options: Any) -> Any:
    if place not in FITTED:
        given: Any = {"progress": False, "key": jr.key(0)}
        FITTED[place] = SMALL[place].fit(screen, SPLIT, PRIORS, **given)
    return FITTED[place].predict(screen.controls, conditions, **{"key": jr.key(1), **options})


def test_every_recipe_is_in_the_table() -> None:
    kinds = subclasses(rivals.AbstractNetworkRecipe)
    known = {kind for kind in kinds if kind.__module__.startswith("scbig.")}
    assert {type(recipe) for recipe in SMALL} == known


@pytest.fixture(params=range(len(SMALL)), ids=NAMES)
def place(request: pytest.FixtureRequest) -> int:
    return request.param


def test_the_change_of_training_conditions_is_learned(four_genes: Screen, place: int) -> None:
    found = predict(four_genes, place, ["g0", "g1", "g2", "g3"])
    origin = four_genes.mean(four_genes.rows("control"))
    apart, size = 0.0, 0.0
    for name in ("g0", "g1", "g2", "g3"):
        truth = four_genes.mean(four_genes.rows(name)) - origin
        mine = np.asarray(found[found.obs["condition"] == name].X).mean(axis=0) - origin
        apart, size = apart + np.sum((mine - truth) ** 2), size + np.sum(truth**2)
    assert apart < 0.7 * size


def test_predicted_cells_are_expression_and_no_copies(four_genes: Screen, place: int) -> None:
    found = predict(four_genes, place, TEST)
    values = np.asarray(found.X)
    assert values.shape == (24, len(GENES))
    assert tuple(found.var_names) == GENES
    assert np.isfinite(values).all()
    assert values.min() >= 0
    measured = four_genes.dense(four_genes.rows(TEST[0]))
    assert values.std(axis=0).mean() > 0.3 * measured.std(axis=0).mean()


def test_a_prediction_depends_on_nothing_else_that_is_asked(four_genes: Screen, place: int) -> None:
    alone = np.asarray(predict(four_genes, place, TEST).X)
    both = predict(four_genes, place, ["g3", *TEST])
    np.testing.assert_allclose(
        np.asarray(both[both.obs["condition"] == TEST[0]].X), alone, atol=1e-6
    )
    assert not np.array_equal(np.asarray(both[both.obs["condition"] == "g3"].X), alone)


def test_the_cells_of_the_test_are_not_read(four_genes: Screen, place: int) -> None:
    blind = SMALL[place].fit(four_genes.without(TEST), SPLIT, PRIORS, progress=False, key=jr.key(0))
    found = blind.predict(four_genes.controls, TEST, key=jr.key(1))
    np.testing.assert_allclose(
        np.asarray(found.X), np.asarray(predict(four_genes, place, TEST).X), atol=1e-6
    )


def test_any_number_of_cells_can_be_asked_for(four_genes: Screen, place: int) -> None:
    assert predict(four_genes, place, TEST, cells=7).n_obs == 7
    assert predict(four_genes, place, TEST, cells=300).n_obs == 300


def test_what_training_never_heard_of_is_named(four_genes: Screen, place: int) -> None:
    with pytest.raises(ValueError, match=r"1 perturbations are in neither.*g9"):
        predict(four_genes, place, ["g0+g9"])


def test_controls_stay_what_they_are(four_genes: Screen, place: int) -> None:
    found = predict(four_genes, place, ["control"])
    np.testing.assert_array_equal(np.asarray(found.X), four_genes.controls.dense())


def test_recipes_are_values(place: int) -> None:
    recipe = SMALL[place]
    assert dataclasses.replace(recipe) == recipe
    assert hash(recipe) == hash(dataclasses.replace(recipe))
