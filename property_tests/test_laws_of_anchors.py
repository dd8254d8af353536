"""What every anchor and every emission must do, whoever wrote it."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scbig._json import plain, read
from scbig.anchor import AbstractAnchor, AbstractFittedAnchor, move
from scbig.data import Condition
from scbig.model import AbstractEmission

from .small_world import GENES, PATHWAYS, screen
from .subclasses import of

FITTED: dict[Any, AbstractFittedAnchor] = {}
CONTROLS = screen().dense(screen().rows("control"))


def fitted(anchor: Any) -> Any:
    """Fitted to the small screen, once."""
    if anchor not in FITTED:
        FITTED[anchor] = anchor.fit(screen(), pathways=PATHWAYS)
    return FITTED[anchor]


ASKED = st.lists(
    st.lists(st.sampled_from(["A", "B", "C", "Z"]), max_size=3, unique=True),
    min_size=1,
    max_size=4,
)
"""Names of seen and unseen conditions, also of three perturbations, also of none."""


def named(asked: list[list[str]]) -> list[Condition]:
    """The conditions of these names."""
    return [Condition(tuple(sorted(own))) for own in asked]


def moved(anchor: Any, asked: list[Condition]) -> np.ndarray:
    """The mean of the controls as they are moved for each condition."""
    moves, centre = fitted(anchor).moves(asked, [""] * len(asked)), CONTROLS.mean(axis=0)
    cells = [move(moves[n], jnp.asarray(CONTROLS), jnp.asarray(centre)) for n in range(len(asked))]
    return np.stack([np.asarray(own) for own in cells])


@pytest.mark.parametrize("anchor", **of(AbstractAnchor))
@settings(max_examples=15, deadline=None)
@given(asked=ASKED)
def test_every_condition_has_an_answer_and_the_control_stays(anchor, asked):
    found = moved(anchor, named([*asked, []]))
    assert found.shape == (len(asked) + 1, len(CONTROLS), GENES)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[-1], CONTROLS, atol=1e-5)


@pytest.mark.parametrize("anchor", **of(AbstractAnchor))
@settings(max_examples=15, deadline=None)
@given(asked=ASKED)
def test_a_condition_is_moved_alike_whatever_else_is_asked_for(anchor, asked):
    np.testing.assert_allclose(
        moved(anchor, named(asked))[:1], moved(anchor, named(asked[:1])), atol=1e-5
    )


@pytest.mark.parametrize("anchor", **of(AbstractAnchor))
@settings(max_examples=15, deadline=None)
@given(asked=ASKED)
def test_deviations_are_finite_and_not_negative(anchor, asked):
    found = fitted(anchor).deviations(named(asked), [""] * len(asked))
    assert found.shape == (len(asked), GENES)
    assert (found >= 0).all()
    assert np.isfinite(found).all()


@pytest.mark.parametrize("anchor", **of(AbstractAnchor))
def test_what_was_learned_comes_back_from_its_plain_form(anchor):
    arrays: list[np.ndarray] = []
    described = plain(fitted(anchor), "anchor", arrays)
    again = read(AbstractFittedAnchor, described, "anchor", arrays)
    asked = [Condition(("A",)), Condition(("B", "C"))]
    pair = [own.moves(asked, ["", ""]) for own in (fitted(anchor), again)]
    for name in ("shift", "stretch", "axes", "rest", "open"):
        np.testing.assert_array_equal(*(getattr(own, name) for own in pair))


@pytest.mark.parametrize("emission", **of(AbstractEmission))
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), perturbed=st.booleans(), share=st.floats(0, 1))
def test_an_emission_keeps_cells_apart_and_what_is_not_changed(emission, seed, perturbed, share):
    rng = np.random.default_rng(seed)
    starts, before, after = (jnp.asarray(rng.normal(size=(5, 3)), jnp.float32) for _ in range(3))
    given_ = jnp.asarray(perturbed), jnp.asarray(share, jnp.float32)
    found = emission(starts, before, after, *given_)
    assert found.shape == starts.shape
    assert bool(jnp.all(jnp.isfinite(found)))
    back = jnp.array([4, 3, 2, 1, 0])
    again = emission(starts[back], before[back], after[back], *given_)
    np.testing.assert_allclose(found[back], again, atol=1e-5)
