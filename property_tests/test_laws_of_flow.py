"""What every path, coupling, transport and velocity field does."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, strategies as st

from scbig import flow, nn, ot

from .small_world import CONDITION, LATENT, SIZES
from .subclasses import TABLE, compiled, of

SEEDS = st.integers(0, 2**31 - 1)
PATHS = st.sampled_from(TABLE[flow.AbstractProbabilityPath])
COUPLINGS = st.sampled_from(TABLE[ot.AbstractCoupling])
DRAWS = 256


def finite(tree):
    return all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(tree) if eqx.is_array(x))


def drops(spec):
    """Whether what a spec builds has dropout."""
    dropout = lambda x: isinstance(x, eqx.nn.Dropout)
    parts = jax.tree.leaves(spec.build(SIZES, key=jr.key(0)), is_leaf=dropout)
    return any(dropout(part) and part.p > 0 for part in parts)


@compiled
def along(path, t, start, end, key):
    at = lambda t: path(t, start, end, key=key)
    (point, velocity), (slope, _) = jax.jvp(at, (t,), (jnp.ones_like(t),))
    loss = lambda t, a, b: sum(jnp.sum(x**2) for x in path(t, a, b, key=key))
    return point, velocity, slope, jax.grad(loss, (0, 1, 2))(t, start, end)


@given(PATHS, SEEDS, st.integers(1, 19))
def test_the_target_velocity_is_the_derivative_of_the_path(path, seed, twentieths):
    t, (start, end) = twentieths / 20, jr.normal(jr.key(seed), (2, LATENT))
    point, velocity, slope, gradient = along(path, jnp.float32(t), start, end, jr.key(seed))
    assert point.shape == velocity.shape == (LATENT,)
    np.testing.assert_allclose(velocity, slope, rtol=1e-3, atol=1e-4)
    assert finite(gradient)


@compiled
def ends(path, t, start, end, key):
    return jax.vmap(lambda k: path(t, start, end, key=k)[0])(jr.split(key, DRAWS))


@given(PATHS, SEEDS)
def test_paths_lead_on_average_from_the_control_to_the_perturbed_cell(path, seed):
    start, end = jr.normal(jr.key(seed), (2, LATENT))
    for t, wanted in ((0.0, start), (1.0, end)):
        points = np.asarray(ends(path, jnp.float32(t), start, end, jr.key(seed)))
        error = points.std(0) * 6 / np.sqrt(DRAWS) + 0.01  # a path may stay off its very ends
        assert np.all(np.abs(points.mean(0) - np.asarray(wanted)) <= error)


@given(PATHS, SEEDS, st.sampled_from([0.0, 1.0]))
def test_paths_are_finite_at_their_ends(path, seed, t):
    start, end = jr.normal(jr.key(seed), (2, LATENT))
    assert finite(along(path, jnp.float32(t), start, end, jr.key(seed)))
    assert finite(along(path, jnp.float32(t), start, start, jr.key(seed)))


@given(st.sampled_from([flow.LinearPath(0.5), flow.BrownianBridge(0.7)]), SEEDS)
def test_the_paths_of_the_library_are_straight_on_average(path, seed):
    start, end = jr.normal(jr.key(seed), (2, LATENT))
    points = np.asarray(ends(path, jnp.float32(0.25), start, end, jr.key(seed)))
    error = points.std(0) * 6 / np.sqrt(DRAWS) + 0.01
    assert np.all(np.abs(points.mean(0) - np.asarray(0.75 * start + 0.25 * end)) <= error)


# As many on both sides, as training draws them: a coupling may be a permutation.
CELLS = TARGETS = 8


@compiled
def pair(coupling, source, target, keys):
    return jax.vmap(lambda k: coupling(source, target, key=k))(keys)


@given(COUPLINGS, SEEDS)
def test_every_control_gets_a_row_of_the_target_and_every_row_its_share(coupling, seed):
    source = jr.normal(jr.key(seed), (CELLS, LATENT))
    target = jr.normal(jr.key(seed + 1), (TARGETS, LATENT))
    keys = jr.split(jr.key(seed), DRAWS)
    found = pair(coupling, source, target, keys)
    partner = np.asarray(found.partner)
    assert partner.shape == (DRAWS, CELLS)
    assert np.issubdtype(partner.dtype, np.integer)
    assert partner.min() >= 0
    assert partner.max() < TARGETS
    assert finite(found)
    assert bool(jnp.all(found.converged))
    # The mean of a marginal: the share of a target, over many draws, is that of the plan.
    share = np.bincount(partner.ravel(), minlength=TARGETS) / partner.size
    np.testing.assert_allclose(share, 1 / TARGETS, atol=0.04)
    np.testing.assert_array_equal(partner, pair(coupling, source, target, keys).partner)


@compiled
def pair_unlike(coupling, source, target, keys):
    return jax.vmap(lambda k: coupling(source, target, key=k))(keys)


@pytest.mark.parametrize("coupling", [ot.SinkhornCoupling(), ot.IndependentCoupling()])
def test_couplings_of_the_library_draw_anew_with_each_key_from_clouds_of_unlike_sizes(coupling):
    source, target = jr.normal(jr.key(0), (12, LATENT)), jr.normal(jr.key(1), (5, LATENT))
    keys = jr.split(jr.key(2), DRAWS)
    partner = np.asarray(pair_unlike(coupling, source, target, keys).partner)
    share = np.bincount(partner.ravel(), minlength=5) / partner.size
    np.testing.assert_allclose(share, 1 / 5, atol=0.04)
    assert len(np.unique(partner, axis=0)) > 1


@given(COUPLINGS, SEEDS, st.sampled_from([0.0, 1e-20, 1e6]))
def test_couplings_stay_in_range_for_clouds_without_or_with_a_great_extent(coupling, seed, size):
    source, target = size * jr.normal(jr.key(seed), (CELLS, LATENT)), jnp.zeros((TARGETS, LATENT))
    found = pair(coupling, source, target, jr.split(jr.key(seed), DRAWS))
    assert 0 <= int(jnp.min(found.partner)) <= int(jnp.max(found.partner)) < TARGETS


class Spiral(nn.AbstractVelocity):
    """A linear field whose flow is known: each pair of entries turns by `c` and grows by `rate`."""

    rate: jax.Array

    def __call__(self, t, z, c, *, key=None):
        return self.rate * z + c[0] * jnp.stack([-z[1], z[0], -z[3], z[2]])


@compiled
def carry(transport, rate, z, c):
    run = lambda rate, z: transport(Spiral(rate), z, c, throw=False)
    moved = run(rate, z)
    gradient = jax.grad(lambda *a: jnp.sum(run(*a).latents ** 2), (0, 1))(rate, z)
    return moved, gradient


@pytest.mark.parametrize("transport", **of(flow.Transport))
@pytest.mark.parametrize("seed", range(3))
def test_every_solve_follows_the_flow_and_has_its_gradient(transport, seed):
    rate, z = jnp.float32(0.3), jr.normal(jr.key(seed), (2, 3, LATENT))
    c = jnp.zeros((2, CONDITION)).at[:, 0].set(jnp.array([0.0, 1.0 + seed / 4]))
    moved, (slope, gradient) = carry(transport, rate, z, c)
    assert bool(moved.solved)
    assert 0 <= int(moved.rejected) <= int(moved.steps) <= transport.max_steps
    pairs = np.asarray(z).reshape(2, 3, 2, 2)
    angle = np.asarray(c)[:, 0, None, None]
    turned = (pairs[..., 0] + 1j * pairs[..., 1]) * np.exp(0.3 + 1j * angle)
    exact = np.stack([turned.real, turned.imag], -1).reshape(2, 3, LATENT)
    # Euler's method of 32 steps is the least exact of them.
    np.testing.assert_allclose(moved.latents, exact, atol=0.15)
    # A turn keeps squares, so the sum of squares grows by exp(2 rate) alone.
    np.testing.assert_allclose(slope, 2 * np.sum(exact**2), rtol=0.15)
    np.testing.assert_allclose(gradient, 2 * np.exp(0.6) * np.asarray(z), rtol=0.15, atol=0.15)


@compiled
def velocity_of(spec, seed, t, z, c):
    field = spec.build(SIZES, key=jr.key(seed))
    loss = lambda arrays, *given: jnp.sum(eqx.combine(arrays, rest)(*given) ** 2)
    arrays, rest = eqx.partition(field, eqx.is_inexact_array)
    noisy = field(t, z, c, key=jr.key(seed)), field(t, z, c, key=jr.key(seed + 1))
    return field(t, z, c), noisy, jax.grad(loss, (0, 1, 2, 3))(arrays, t, z, c)


@pytest.mark.parametrize("spec", **of(nn.AbstractVelocitySpec))
@pytest.mark.parametrize("t", [0.0, 0.4, 1.0])
def test_a_velocity_depends_on_time_cell_and_condition_with_finite_gradients(spec, t):
    z, c = jr.normal(jr.key(1), (LATENT,)), jr.normal(jr.key(2), (CONDITION,))
    out, (first, second), gradient = velocity_of(spec, jnp.int32(0), jnp.float32(t), z, c)
    assert out.shape == (LATENT,)
    assert finite(gradient)
    assert all(bool(jnp.any(part != 0)) for part in gradient[1:])
    assert jnp.allclose(first, second) != drops(spec)
    still = velocity_of(spec, jnp.int32(0), jnp.float32(t), 0 * z, 0 * c)
    assert finite(still)
