"""Laws of transport: marginals, divergences, couplings, and the k-means start."""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

import scbig.ot

ROWS, COLUMNS, FEATURES = 9, 4, 3
seeds = st.integers(0, 2**32 - 1)
# Multiples of 1/8: ties, zeros and repeated points are common, and sums are exact.
entries = st.integers(-64, 64).map(lambda i: i / 8)
clouds = hnp.arrays(np.float32, (ROWS, FEATURES), elements=entries)


def generic(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@functools.partial(jax.jit, static_argnames="iterations")
def divergence_and_gradient(x, y, *, iterations=500):
    def value(x):
        found = scbig.ot.sinkhorn_divergence(x, y, epsilon=0.2, iterations=iterations)
        return found.value, found.error

    return jax.value_and_grad(value, has_aux=True)(x)


@given(
    hnp.arrays(np.float32, (ROWS, COLUMNS), elements=st.floats(0, 2, width=16)),
    hnp.arrays(np.int32, COLUMNS, elements=st.integers(1, 5)),
    st.sampled_from([0.05, 0.1, 1.0]),
)
def test_plans_meet_their_marginals(cost, weights, epsilon):
    rows = np.full(ROWS, 1 / ROWS, np.float32)
    columns = (weights / weights.sum()).astype(np.float32)
    plan = scbig.ot.balanced_plan(
        *map(jnp.asarray, (cost, rows, columns)), epsilon=epsilon, iterations=5000, threshold=1e-3
    )
    matrix = np.asarray(plan.matrix, np.float64)
    measured = np.abs(matrix.sum(1) - rows).sum() + np.abs(matrix.sum(0) - columns).sum()
    assert plan.converged
    assert np.all(matrix >= 0)
    assert measured <= 1e-3 + 1e-6
    np.testing.assert_allclose(plan.error, measured, atol=1e-6)


@given(seeds, st.sampled_from([1, 10, 100]))
def test_a_plan_never_claims_marginals_that_it_missed(seed, scale):
    cost = scale * np.abs(generic(seed, (ROWS, COLUMNS)))
    rows, columns = np.full(ROWS, 1 / ROWS), np.full(COLUMNS, 1 / COLUMNS)
    plan = scbig.ot.balanced_plan(
        *(jnp.asarray(array, jnp.float32) for array in (cost, rows, columns)),
        epsilon=0.05,
        iterations=10,
        threshold=1e-2,
    )
    matrix = np.asarray(plan.matrix, np.float64)
    measured = np.abs(matrix.sum(1) - rows).sum() + np.abs(matrix.sum(0) - columns).sum()
    assert bool(plan.converged) == (measured <= 1e-2)


@given(clouds, clouds)
def test_divergences_are_finite_not_negative_and_symmetric(x, y):
    (there, error), gradient = divergence_and_gradient(x, y)
    (back, _), _ = divergence_and_gradient(y, x)
    scale = np.mean(np.sum((x[:, None] - y[None]) ** 2, axis=-1))
    assert np.isfinite(error)
    assert np.all(np.isfinite(gradient))
    # Plans that are not quite converged make divergences that are not quite so.
    slack = 1e-5 + 0.05 * float(error)
    assert there >= -slack * scale
    assert abs(there - back) <= 2 * slack * scale


@given(clouds, seeds, st.sampled_from([10, 500]))
def test_a_population_is_at_no_distance_from_itself_in_any_order(x, seed, iterations):
    shuffled = np.random.default_rng(seed).permutation(x)
    (value, _), _ = divergence_and_gradient(x, shuffled, iterations=iterations)
    (same, _), gradient = divergence_and_gradient(x, x, iterations=iterations)
    scale = max(np.mean(np.sum((x[:, None] - x[None]) ** 2, axis=-1)), 1e-3)
    assert abs(same) <= 1e-5 * scale
    assert np.max(np.abs(gradient)) <= 1e-4 * scale
    if iterations == 500:
        assert abs(value) <= 1e-3 * scale


@given(seeds)
def test_different_populations_are_apart(seed):
    x, y = generic(seed, (2, ROWS, FEATURES))
    (value, _), gradient = divergence_and_gradient(x, y)
    assert value > 1e-3
    closer, _ = divergence_and_gradient(x - 0.01 * gradient, y)
    assert closer[0] < value


COUPLINGS = [scbig.ot.IndependentCoupling(), scbig.ot.SinkhornCoupling(0.05, 100)]


@given(clouds, clouds, seeds, st.sampled_from(COUPLINGS))
def test_partners_are_rows_of_the_target(x, y, seed, coupling):
    pairing = coupling(jnp.asarray(x), jnp.asarray(y[:COLUMNS]), key=jr.key(seed))
    partner = np.asarray(pairing.partner)
    assert partner.shape == (ROWS,)
    assert np.all((partner >= 0) & (partner < COLUMNS))
    assert np.isfinite(pairing.error)


@given(clouds, seeds)
def test_kmeans_labels_are_labels_and_points_that_coincide_share_one(x, seed):
    labels = scbig.ot.kmeans_labels(jnp.asarray(x), COLUMNS, starts=3, key=jr.key(seed))
    labels = np.asarray(labels)
    assert np.all((labels >= 0) & (labels < COLUMNS))
    same = np.all(x[:, None] == x[None], axis=-1)
    assert np.all(labels[:, None] == labels[None], where=same)
