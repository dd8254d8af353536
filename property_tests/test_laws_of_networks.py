"""What every pooling, prior of a program, encoder and decoder does."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, strategies as st

from scbig import nn
from scbig.model import Networks, make_model
from scbig.programs import GenePartition

from .small_world import (
    BODY,
    CONDITION,
    EMBEDDINGS,
    FEATURES,
    GENES,
    LABELS,
    LATENT,
    PARTITION,
    PROGRAMS,
    SIZES,
    WIDTH,
)
from .subclasses import TABLE, compiled, of
from .test_laws_of_flow import drops, finite

SEEDS = st.integers(0, 2**31 - 1)
TOKENS = 4
close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@compiled
def pool(pooling, tokens, mask):
    made = pooling.build(WIDTH, key=jr.key(0))
    loss = lambda x: jnp.sum(made(x, mask) ** 2)
    return made(tokens, mask), jax.grad(loss)(tokens)


@given(
    st.sampled_from(TABLE[nn.AbstractPooling]), SEEDS, st.integers(0, TOKENS),
    st.permutations(range(TOKENS)),
)  # fmt: skip
def test_a_pooled_set_depends_on_its_tokens_alone(pooling, seed, count, order):
    tokens, noise = jr.normal(jr.key(seed), (2, TOKENS, WIDTH))
    mask, place = jnp.arange(TOKENS) < count, jnp.array(order)
    first, gradient = pool(pooling, tokens, mask)
    assert first.shape == (WIDTH,)
    assert finite((first, gradient))
    assert not jnp.any(gradient[count:])
    close(first, pool(pooling, tokens[place], mask[place])[0])
    close(first, pool(pooling, jnp.where(mask[:, None], tokens, 100 * noise), mask)[0])
    assert jnp.any(first != 0) == (count > 0)


ORDER = np.random.default_rng(0).permutation(GENES)


@pytest.mark.parametrize("semantics", **of(nn.AbstractSemantics))
def test_a_programs_embeddings_do_not_depend_on_the_order_of_its_genes(semantics):
    x = jr.normal(jr.key(3), (GENES,))
    run = eqx.filter_jit(lambda x, e, p: semantics(p.gather(x), semantics.prepare(p, e)))
    out = run(x, EMBEDDINGS, PARTITION)
    assert out.shape == (PROGRAMS, FEATURES)
    moved = GenePartition.from_labels(LABELS[ORDER], PROGRAMS)
    close(out, run(x[ORDER], EMBEDDINGS[ORDER], moved))
    loss = lambda x: jnp.sum(run(x, EMBEDDINGS, PARTITION) ** 2)
    assert finite(jax.grad(loss)(x))
    assert not jnp.allclose(out, run(x, EMBEDDINGS + 1, PARTITION))


@compiled
def positions(position, centroids):
    made = position.build(PROGRAMS, FEATURES, WIDTH, key=jr.key(0))
    return made(centroids), jax.grad(lambda c: jnp.sum(made(c) ** 3))(centroids)


@pytest.mark.parametrize("position", **of(nn.AbstractPosition))
def test_programs_are_told_apart_by_their_positions(position):
    centroids = jr.normal(jr.key(4), (PROGRAMS, FEATURES))
    out, gradient = positions(position, centroids)
    assert out.shape == (PROGRAMS, WIDTH)
    assert finite((out, gradient, positions(position, jnp.zeros_like(centroids))))
    for first in range(PROGRAMS):
        for second in range(first):
            assert not jnp.allclose(out[first], out[second])


@compiled
def residual(norm, tokens, context, factor):
    step = lambda x, others: factor * (jnp.tanh(x) + jnp.mean(others, axis=0)[None, :])
    normalise = jax.vmap(eqx.nn.LayerNorm(WIDTH))
    run = lambda x: norm(step, normalise, lambda y: y, x, context)
    return run(tokens), jax.grad(lambda x: jnp.sum(run(x) ** 3))(tokens)


@given(st.sampled_from(TABLE[nn.AbstractNormPlacement]), SEEDS, st.permutations(range(TOKENS)))
def test_a_residual_keeps_tokens_apart_and_its_step_counts(norm, seed, order):
    tokens, place = jr.normal(jr.key(seed), (TOKENS, WIDTH)), jnp.array(order)
    context = jr.normal(jr.key(seed + 1), (TOKENS + 2, WIDTH))
    out, gradient = residual(norm, tokens, context, jnp.float32(1))
    assert out.shape == tokens.shape
    close(out[place], residual(norm, tokens[place], context, jnp.float32(1))[0])
    assert finite((gradient, residual(norm, 0 * tokens, 0 * context, jnp.float32(1))))
    still = residual(norm, tokens, context, jnp.float32(0))[0]
    assert not jnp.allclose(out, still)
    # A step that does nothing leaves the tokens as they are, up to their norm.
    scale = lambda x: (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    np.testing.assert_allclose(scale(np.asarray(still)), scale(np.asarray(tokens)), atol=1e-3)


@compiled
def layer(mixing, norm, tokens, key):
    made = mixing.build(WIDTH, heads=2, mlp_width=8, dropout=0.5, norm=norm, key=jr.key(0))
    arrays, rest = eqx.partition(made, eqx.is_inexact_array)
    loss = lambda arrays, x: jnp.sum(eqx.combine(arrays, rest)(x) ** 3)
    return made(tokens), made(tokens, key=key), jax.grad(loss, (0, 1))(arrays, tokens)


@given(st.sampled_from(TABLE[nn.AbstractMixing]), SEEDS, st.permutations(range(TOKENS)))
def test_a_layer_lets_every_token_read_the_others_whatever_their_order(mixing, seed, order):
    tokens, place = jr.normal(jr.key(seed), (TOKENS, WIDTH)), jnp.array(order)
    out, noisy, gradient = layer(mixing, nn.PreNorm(), tokens, jr.key(seed))
    assert out.shape == tokens.shape
    assert finite(gradient)
    assert not jnp.allclose(out, noisy)
    close(out[place], layer(mixing, nn.PreNorm(), tokens[place], jr.key(seed))[0])
    # Another shape: a layer norm takes its level and its size away.
    other = tokens.at[0].set(jr.normal(jr.key(seed + 1), (WIDTH,)))
    moved = layer(mixing, nn.PreNorm(), other, jr.key(seed))[0]
    assert float(jnp.abs(moved[1:] - out[1:]).max()) > 1e-4


def priors_of(spec, partition, embeddings):
    own = spec.prepare(partition, embeddings) if hasattr(spec, "prepare") else None
    centroids = jax.vmap(partition.average, in_axes=1, out_axes=1)(embeddings)
    return nn.ProgramFacts(centroids, own)


def on_input(spec, x, priors, key):
    """The network's output without dropout and with two draws of it, and its gradients."""
    made = spec.build(SIZES, key=jr.key(0))
    arrays, rest = eqx.partition(made, eqx.is_inexact_array)
    loss = lambda arrays, x: jnp.sum(eqx.combine(arrays, rest)(x, priors) ** 2)
    noisy = [made(x, priors, key=k) for k in jr.split(key)]
    return made(x, priors), noisy, jax.grad(loss, (0, 1))(arrays, x)


apply = compiled(on_input)
CONDITION_SPEC = nn.ConditionEncoderSpec(hidden=8, width=CONDITION)
CELLS = jr.normal(jr.key(7), (5, GENES))
NETWORKS = [*TABLE[nn.AbstractEncoderSpec], *TABLE[nn.AbstractDecoderSpec]]
SLOTS = PARTITION.gather(jr.normal(jr.key(5), (GENES,)))


def input_of(spec):
    return SLOTS if isinstance(spec, nn.AbstractEncoderSpec) else jr.normal(jr.key(6), (LATENT,))


@pytest.mark.parametrize("spec", NETWORKS, ids=lambda s: type(s).__name__)
def test_an_autoencoder_has_its_shapes_finite_gradients_and_dropout_with_a_key(spec):
    x, priors = input_of(spec), priors_of(spec, PARTITION, EMBEDDINGS)
    out, (first, second), (weights, gradient) = apply(spec, x, priors, jr.key(0))
    wanted = (LATENT,) if x.ndim == 2 else (PROGRAMS, PARTITION.slots)
    assert out.shape == wanted
    assert finite((out, weights, gradient))
    assert jnp.any(gradient != 0)
    assert jnp.allclose(first, second) != drops(spec)
    np.testing.assert_array_equal(out, apply(spec, x, priors, jr.key(1))[0])
    assert finite(apply(spec, 0 * x, priors, jr.key(2)))
    assert not jnp.allclose(out, apply(spec, 2 * x, priors, jr.key(0))[0])


@pytest.mark.parametrize("spec", NETWORKS, ids=lambda s: type(s).__name__)
def test_programs_told_apart_by_their_genes_have_no_order(spec):
    """Which is what `RelationalPosition` claims, and a learned position does not."""
    x, order = input_of(spec), jnp.array([2, 0, 1])
    priors = priors_of(spec, PARTITION, EMBEDDINGS)
    moved = jax.tree.map(lambda leaf: leaf[order], priors)
    out = apply(spec, x, priors, jr.key(0))[0]
    encoder = isinstance(spec, nn.AbstractEncoderSpec)
    other = apply(spec, x[order] if encoder else x, moved, jr.key(0))[0]
    same = np.allclose(other, out if encoder else out[order], rtol=1e-3, atol=1e-4)
    assert same == isinstance(getattr(spec, "position", None), nn.RelationalPosition)


@compiled
def latents(spec, embeddings):
    """Of some cells, by a model that is made with these embeddings; what its encoder kept."""
    networks = Networks(spec, nn.GeneClusterDecoderSpec(**BODY), CONDITION_SPEC)
    mean = jnp.zeros(GENES)
    model = make_model(
        networks, partition=PARTITION, embeddings=embeddings, mean=mean, tokens=EMBEDDINGS,
        key=jr.key(0),
    )  # fmt: skip
    arrays, rest = eqx.partition(model.encoder, eqx.is_inexact_array)
    at = lambda a, x: eqx.combine(a, rest)(PARTITION.gather(x), model.facts)
    loss = lambda a: jnp.sum(jax.vmap(lambda x: at(a, x))(CELLS) ** 2)
    return jax.vmap(lambda x: at(arrays, x))(CELLS), model.facts.own, jax.grad(loss)(arrays)


@given(
    st.sampled_from(TABLE[nn.AbstractEncoderSpec]), SEEDS,
    st.floats(-8, 8), st.floats(-30, 30), st.integers(0, GENES - 3),
)  # fmt: skip
def test_an_encoder_reads_embeddings_in_any_unit(spec, seed, exponent, shift, absent):
    """And of any origin, but for the centroids, which are of the embeddings as they are given."""
    order = np.random.default_rng(seed).permutation(GENES)
    known = jnp.asarray(order >= absent)[:, None]
    given = jnp.where(known, jr.normal(jr.key(seed), (GENES, FEATURES)), 0)
    z, own, gradient = latents(spec, given)
    assert finite((z, own, gradient))
    scaled, same, slope = latents(spec, given * jnp.float32(10.0**exponent))
    assert finite((scaled, slope))
    # What an encoder prepares may be nothing, or several arrays.
    near = lambda *trees: jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-3), *trees
    )
    near(scaled, z)
    near(same, own)
    units = 10.0 ** jr.uniform(jr.key(seed), (1, FEATURES), minval=-3.0, maxval=3.0)
    moved, same, slope = latents(spec, jnp.where(known, (given + shift) * units, 0))
    assert finite((moved, slope))
    near(same, own)
    if not isinstance(getattr(spec, "position", None), nn.RelationalPosition):
        near(moved, z)


@compiled
def condition(spec, tokens, mask, key):
    made = spec.build(SIZES, key=jr.key(0))
    loss = lambda x: jnp.sum(made(x, mask) ** 2)
    noisy = [made(tokens, mask, key=k) for k in jr.split(key)]
    return made(tokens, mask), noisy, jax.grad(loss)(tokens)


@given(
    st.sampled_from(TABLE[nn.AbstractConditionSpec]), SEEDS, st.integers(0, TOKENS),
    st.permutations(range(TOKENS)),
)  # fmt: skip
def test_a_condition_is_a_set_of_perturbations(spec, seed, count, order):
    tokens, noise = jr.normal(jr.key(seed), (2, TOKENS, FEATURES))
    mask, place, key = jnp.arange(TOKENS) < count, jnp.array(order), jr.key(seed)
    out, (first, second), gradient = condition(spec, tokens, mask, key)
    assert out.shape == (CONDITION,) == (spec.width,)
    assert finite((out, gradient))
    assert not jnp.any(gradient[count:])
    close(out, condition(spec, tokens[place], mask[place], key)[0])
    close(out, condition(spec, jnp.where(mask[:, None], tokens, 100 * noise), mask, key)[0])
    if count:
        assert not jnp.allclose(out, condition(spec, noise, mask, key)[0])
    assert finite((first, second))


@pytest.mark.parametrize("spec", **of(nn.AbstractConditionSpec))
def test_dropout_is_drawn_for_each_condition(spec):
    tokens, mask = jr.normal(jr.key(0), (TOKENS, FEATURES)), jnp.ones(TOKENS, bool)
    draws = [condition(spec, tokens, mask, jr.key(seed))[1] for seed in range(4)]
    distinct = len({np.asarray(x).tobytes() for pair in draws for x in pair})
    assert (distinct > 1) == drops(spec)
