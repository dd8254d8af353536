"""Learned vectors of perturbations: zero where nothing was learned."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from scbig.model import Identities

from .test_model import NETWORKS, make, tokens

KNOWN = np.array([True, False, True])


def filled(width=2):
    """Of three perturbations, of which the middle one is unknown."""
    blank = Identities.of(KNOWN, width)
    values = np.arange(1, 1 + 2 * width, dtype=np.float32).reshape(2, width)
    return dataclasses.replace(blank, alone=jnp.asarray(values), combined=jnp.asarray(-values))


def test_a_perturbation_has_its_vector_and_in_combination_another():
    alone = filled()(jnp.array([2, 0]), jnp.array([True, False]))
    np.testing.assert_array_equal(alone, [[3, 4, 0, 0], [0, 0, 0, 0]])
    both = filled()(jnp.array([2, 0]), jnp.array([True, True]))
    np.testing.assert_array_equal(both, [[3, 4, -3, -4], [1, 2, -1, -2]])


def test_an_unknown_one_has_zeros_also_beside_a_known_one():
    found = filled()(jnp.array([1, 2]), jnp.array([True, True]))
    np.testing.assert_array_equal(found, [[0, 0, 0, 0], [3, 4, -3, -4]])


def test_nobody_need_be_known():
    nobody = Identities.of(np.zeros(3, bool), 2)
    np.testing.assert_array_equal(nobody(jnp.array([1, 2]), jnp.array([True, True])), 0)


def test_the_condition_encoder_reads_them_after_everything_else():
    networks = dataclasses.replace(NETWORKS, identity=2)
    model = dataclasses.replace(make(networks), identities=filled())
    own = [[0, 0, 0, 0], [3, 4, -3, -4]]
    vectors = np.hstack([np.asarray(model.tokens)[[1, 2]], own]).astype(np.float32)
    expected = model.condition_encoder(jnp.asarray(vectors), jnp.ones(2, bool))
    np.testing.assert_allclose(model.condition(tokens([1, 2])), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.condition(tokens([2, 1])), expected, rtol=1e-4, atol=1e-5)


def test_an_untrained_model_knows_no_one():
    model = make(dataclasses.replace(NETWORKS, identity=2))
    assert model.identities is not None
    assert not np.any(model.identities(jnp.array([0, 1]), jnp.ones(2, bool)))
    assert make().identities is None
