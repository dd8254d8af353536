"""Condition encoder, poolings, time features and the velocity field."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig import nn


def sizes(context=None, condition=7):
    return nn.Sizes(
        programs=3, slots=4, embedding=None, token=5, context=context, latent=4, condition=condition
    )


def make(pooling: nn.AbstractPooling | None = None, dropout=0.0, context=None):
    pooling = nn.AttentionPooling() if pooling is None else pooling
    spec = nn.ConditionEncoderSpec(hidden=16, width=7, dropout=dropout, pooling=pooling)
    encoder = spec.build(sizes(context), key=jr.key(0))
    assert isinstance(encoder, nn.ConditionEncoder)
    return encoder


POOLINGS = [nn.AttentionPooling(), nn.MeanPooling(), nn.SumPooling(), nn.SeedPooling(heads=4)]


@pytest.mark.parametrize("pooling", POOLINGS, ids=lambda p: type(p).__name__)
def test_control_is_the_same_whatever_stands_in_the_padding(pooling):
    encoder = make(pooling)
    nothing = jnp.zeros(2, bool)
    first = encoder(jnp.zeros((2, 5)), nothing)
    second = encoder(jr.normal(jr.key(1), (2, 5)), nothing)
    assert jnp.all(jnp.isfinite(first))
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_two_conditions_differ():
    encoder, tokens = make(), jr.normal(jr.key(1), (3, 5))
    pair = lambda i, j: encoder(tokens[jnp.array([i, j])], jnp.ones(2, bool))
    assert not jnp.allclose(pair(0, 1), pair(0, 2))


def test_poolings_of_a_full_set_match_numpy():
    tokens, full = jr.normal(jr.key(2), (4, 6)), jnp.ones(4, bool)
    np.testing.assert_allclose(
        nn.MeanPooling()(tokens, full), np.asarray(tokens).mean(0), rtol=1e-5
    )
    np.testing.assert_allclose(nn.SumPooling()(tokens, full), np.asarray(tokens).sum(0), rtol=1e-5)


def test_masked_softmax_equals_softmax_of_the_real_entries():
    scores, mask = jr.normal(jr.key(3), (5,)), jnp.array([True, False, True, True, False])
    weights = nn.masked_softmax(scores, mask)
    np.testing.assert_allclose(weights[mask], jax.nn.softmax(scores[mask]), rtol=1e-5)
    assert jnp.all(weights[~mask] == 0)


def test_condition_dropout_is_drawn_for_each_condition():
    encoder = make(dropout=0.5)
    tokens, mask = jr.normal(jr.key(1), (2, 5)), jnp.ones(2, bool)
    outs = jax.vmap(lambda k: encoder(tokens, mask, key=k))(jr.split(jr.key(0), 4))
    assert len(np.unique(np.asarray(outs) == 0, axis=0)) > 1


@pytest.mark.parametrize("context", [None, 3])
def test_contexts_leave_the_draws_of_the_other_parts_as_they_are(context):
    """One key for the tokens, one for the pooling, one for the last MLP."""
    encoder, keys = make(context=context), jr.split(jr.key(0), 3)
    width = 16 if context is None else 32
    mlp = lambda inputs, outputs, k: eqx.nn.MLP(inputs, outputs, 16, 1, jax.nn.silu, key=k)
    expected = (mlp(5, 16, keys[0]), nn.AttentionPooling().build(16, key=keys[1]))
    assert eqx.tree_equal((encoder.token, encoder.pooling), expected)
    assert eqx.tree_equal(encoder.out, mlp(width, 7, keys[2]))
    assert (encoder.context is None) == (context is None)


def test_a_perturbation_acts_by_its_context():
    encoder = make(context=3)
    (tokens, others), mask = jr.normal(jr.key(1), (2, 2, 5)), jnp.ones(2, bool)
    first, second = jnp.eye(3)[:2]
    change = lambda context: encoder(tokens, mask, context) - encoder(others, mask, context)
    # Not a shift alone, which every perturbation would share.
    assert jnp.max(jnp.abs(change(first) - change(second))) > 1e-3
    slope = jax.grad(lambda c: jnp.sum(encoder(tokens, mask, c) ** 2))(first)
    assert jnp.all(slope != 0)


@pytest.mark.parametrize("made", [None, 3])
def test_a_context_too_many_or_too_few_is_an_error(made):
    tokens, mask = jnp.ones((2, 5)), jnp.ones(2, bool)
    with pytest.raises(ValueError, match="needs a context if"):
        make(context=made)(tokens, mask, jnp.ones(3) if made is None else None)


def field(top=3.0, dropout=0.0):
    spec = nn.VelocityFieldSpec(
        frequencies=6, top_frequency=top, hidden=16, depth=2, dropout=dropout
    )
    return spec.build(sizes(), key=jr.key(0))


def test_the_time_features_change_no_faster_than_the_top_frequency():
    features = nn.TimeFeatures(6, 3.0)
    slopes = jax.vmap(jax.jacfwd(features))(jnp.linspace(0, 1, 50))
    largest = jnp.max(jnp.abs(slopes))
    assert 2.5 < float(largest) <= 3.0 + 1e-5


@pytest.mark.parametrize("changed", ["t", "z", "c"])
def test_the_velocity_depends_on_time_cell_and_condition(changed):
    velocity = field()
    base = {"t": jnp.array(0.2), "z": jnp.ones(4), "c": jnp.arange(7.0)}
    # The condition stream is normalised: a change must not be a mere shift or scale.
    other = {"t": jnp.array(0.9), "z": -jnp.ones(4), "c": jnp.arange(7.0) ** 2}
    moved = base | {changed: other[changed]}
    args = lambda values: (values["t"], values["z"], values["c"])
    assert not jnp.allclose(velocity(*args(base)), velocity(*args(moved)))


def test_velocity_dropout_needs_a_key():
    velocity = field(dropout=0.5)
    args = (jnp.array(0.2), jnp.ones(4), jnp.arange(7.0))
    assert jnp.array_equal(velocity(*args), velocity(*args))
    assert not jnp.allclose(velocity(*args, key=jr.key(0)), velocity(*args, key=jr.key(1)))
