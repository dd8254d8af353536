"""What a learned predictor is told: contexts, perturbations that it can know, and which judge."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import scbig
from scbig import rivals
from scbig.data import Condition, Screen
from scbig.rivals._gears import _origins

from .test_gears import TABLE, screen

ACROSS = scbig.Split.of(
    name="across",
    train=["p", "q"],
    test=["p+q"],
    train_contexts=["b", "c"],
    test_contexts=["a"],
)
PRIORS = scbig.Priors(genes=TABLE)
ONCE = rivals.Training(steps=2, groups=2, cells=2, validate_every=1)


def across() -> Screen:
    return ACROSS.cells(screen(cells=4, contexts=("a", "b", "c")), "train")


def test_a_context_that_has_only_controls_is_none_of_the_training() -> None:
    cells = across()
    assert cells.contexts == ("a", "b", "c")
    facts = rivals.Facts.of(cells, [Condition.parse("p+q")], PRIORS)
    assert facts.contexts == ("b", "c")
    code = facts.encode([Condition.parse("p")] * 2, ["a", "c"]).context
    np.testing.assert_array_equal(code, [[0, 0], [0, 1]])
    wanted = [cells.dense(cells.rows("control", name)).mean(axis=0) for name in "bc"]
    np.testing.assert_allclose(_origins(facts), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    "recipe", [rivals.LatentAdditive(latent=2, width=4), rivals.State(width=4, heads=1, own=False)]
)
def test_a_held_out_context_is_read_as_one_of_which_nothing_is_known(recipe: Any) -> None:
    priors = scbig.Priors(perturbations=dataclasses.replace(TABLE, names=tuple("pqrstu")))
    quick = dataclasses.replace(recipe, training=ONCE)
    cells = screen(cells=4, contexts=("a", "b", "c"))
    model = quick.fit(cells, ACROSS, priors, progress=False, key=jr.key(0))
    controls = jnp.asarray(cells.controls.dense()[:4])
    counts = jnp.asarray([float(name == "p") for name in model.perturbations])
    made = [
        model.network.carry(controls, rivals.Encoded(counts, code), key=jr.key(1))
        for code in (jnp.zeros(2), jnp.eye(2)[0])
    ]
    assert not np.array_equal(*made)
    assert model.contexts == ("b", "c")
