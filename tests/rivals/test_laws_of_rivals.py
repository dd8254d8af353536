"""What holds for every learned predictor: a line in the table puts it under all these laws."""

import dataclasses
import functools
from typing import Any

import jax.random as jr
import numpy as np
import pytest
from scipy import sparse

import scbig
from scbig import rivals
from scbig._hints import subclasses
from scbig.baselines import AbstractRecipe, Rule
from scbig.data import Condition, Screen
from scbig.objective import Adam
from scbig.priors import EmbeddingTable, InteractionGraph

QUICK = rivals.Training(
    optimiser=Adam(3e-3), steps=120, groups=16, validate_every=40, patience=None
)
SMALL: list[rivals.AbstractNetworkRecipe] = [
    rivals.LatentAdditive(latent=8, width=16, training=QUICK),
]
NAMES = [type(recipe).__name__ for recipe in SMALL]
GENES = tuple(f"g{n}" for n in range(20))
TEST, VALIDATION = ["g0+g1"], ["g2+g3"]
TRAIN = ["g0", "g1", "g2", "g3", "g0+g2", "g1+g3", "g0+g3"]


@functools.cache
def screen() -> Screen:
    """Sparse log expression; each of four genes raises its own, and five others, fourfold."""
    rng = np.random.default_rng(0)
    names = [(), *(tuple(label.split("+")) for label in (*TRAIN, *VALIDATION, *TEST))]
    conditions = tuple(Condition(name) for name in sorted(names))
    group = np.repeat(np.arange(len(conditions)), 24)
    rates = np.full((len(conditions), len(GENES)), 1.5)
    for row, condition in enumerate(conditions):
        for name in condition.perturbations:
            first = int(name[1:]) * 5
            rates[row, [int(name[1:]), *range(first, first + 5)]] *= 4.0
    counts = rng.poisson(rates[group]).astype(np.float64)
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    return Screen(
        expression=sparse.csr_matrix(np.log1p(counts / total * 50.0).astype(np.float32)),
        genes=GENES,
        cells=tuple(map(str, range(len(group)))),
        conditions=conditions,
        condition_index=group.astype(np.int32),
        context_index=np.zeros(len(group), np.int32),
    )


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


@functools.cache
def fitted(place: int) -> rivals.Rival:
    return SMALL[place].fit(screen(), SPLIT, PRIORS, progress=False, key=jr.key(0))


def predict(place: int, conditions: list[str], **options: Any) -> Any:
    model = fitted(place)
    return model.predict(screen().controls, conditions, **{"key": jr.key(1), **options})


def test_every_recipe_is_in_the_table() -> None:
    known = {kind for kind in subclasses(AbstractRecipe) if kind.__module__.startswith("scbig.")}
    others = {Rule, scbig.baselines.Method}
    assert {type(recipe) for recipe in SMALL} == {
        kind for kind in known - others if not kind.__abstractmethods__
    }


@pytest.fixture(params=range(len(SMALL)), ids=NAMES)
def place(request: pytest.FixtureRequest) -> int:
    return request.param


def test_the_change_of_training_conditions_is_learned(place: int) -> None:
    found = predict(place, ["g0", "g1", "g2", "g3"])
    origin = screen().mean(screen().rows("control"))
    apart, size = 0.0, 0.0
    for name in ("g0", "g1", "g2", "g3"):
        truth = screen().mean(screen().rows(name)) - origin
        mine = np.asarray(found[found.obs["condition"] == name].X).mean(axis=0) - origin
        apart, size = apart + np.sum((mine - truth) ** 2), size + np.sum(truth**2)
    assert apart < 0.7 * size


def test_predicted_cells_are_expression_and_no_copies(place: int) -> None:
    found = predict(place, TEST)
    values = np.asarray(found.X)
    assert values.shape == (24, len(GENES))
    assert tuple(found.var_names) == GENES
    assert np.isfinite(values).all()
    assert values.min() >= 0
    measured = screen().dense(screen().rows(TEST[0]))
    assert values.std(axis=0).mean() > 0.3 * measured.std(axis=0).mean()


def test_a_prediction_depends_on_nothing_else_that_is_asked(place: int) -> None:
    alone = np.asarray(predict(place, TEST).X)
    both = predict(place, ["g3", *TEST])
    np.testing.assert_allclose(
        np.asarray(both[both.obs["condition"] == TEST[0]].X), alone, atol=1e-6
    )
    assert not np.array_equal(np.asarray(both[both.obs["condition"] == "g3"].X), alone)


def test_the_cells_of_the_test_are_not_read(place: int) -> None:
    blind = SMALL[place].fit(screen().without(TEST), SPLIT, PRIORS, progress=False, key=jr.key(0))
    found = blind.predict(screen().controls, TEST, key=jr.key(1))
    np.testing.assert_allclose(np.asarray(found.X), np.asarray(predict(place, TEST).X), atol=1e-6)


def test_any_number_of_cells_can_be_asked_for(place: int) -> None:
    assert predict(place, TEST, cells=7).n_obs == 7
    assert predict(place, TEST, cells=300).n_obs == 300


def test_what_training_never_heard_of_is_named(place: int) -> None:
    with pytest.raises(ValueError, match=r"1 perturbations are in neither.*g9"):
        predict(place, ["g0+g9"])


def test_controls_stay_what_they_are(place: int) -> None:
    found = predict(place, ["control"])
    np.testing.assert_array_equal(np.asarray(found.X), screen().controls.dense())


def test_recipes_are_values(place: int) -> None:
    recipe = SMALL[place]
    assert dataclasses.replace(recipe) == recipe
    assert hash(recipe) == hash(dataclasses.replace(recipe))
