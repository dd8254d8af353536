import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import ot as pot
import pytest

import scbig.ot

distances: Any = pot.dist  # POT annotates too many kinds of results
sinkhorn: Any = pot.sinkhorn
CELLS, FEATURES = 24, 5


@pytest.fixture
def populations():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(CELLS, FEATURES))
    y = rng.gamma(1.0, size=(CELLS, FEATURES))
    return jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)


@functools.partial(jax.jit, static_argnames="iterations")
def divergence_and_gradient(x, y, *, epsilon=0.1, iterations=300):
    """One compiled function for all tests: compilation is what they cost."""

    def value(x):
        found = scbig.ot.sinkhorn_divergence(x, y, epsilon=epsilon, iterations=iterations)
        return found.value, found

    (_, found), gradient = jax.value_and_grad(value, has_aux=True)(x)
    return found, gradient


def divergence(*args, **kwargs):
    return divergence_and_gradient(*args, **kwargs)[0]


def squared_costs(a, b):
    return distances(np.asarray(a, np.float64), np.asarray(b, np.float64), metric="sqeuclidean")


def reference(x, y, epsilon):
    """The debiased divergence at an absolute epsilon, from POT's plans in float64."""

    def cost(a, b):
        costs = squared_costs(a, b)
        p, q = np.full(len(a), 1 / len(a)), np.full(len(b), 1 / len(b))
        plan = sinkhorn(p, q, costs, epsilon, method="sinkhorn_log", numItermax=5000, stopThr=1e-9)
        relative = np.log(np.maximum(plan, 1e-300) / np.outer(p, q))
        return np.sum(plan * (costs + epsilon * relative))

    return cost(x, y) - cost(x, x) / 2 - cost(y, y) / 2


@pytest.mark.parametrize("epsilon", [0.3, 1.0])
def test_the_divergence_is_that_of_an_independent_solver(populations, epsilon):
    x, y = populations
    found = divergence(x, y, epsilon=epsilon)
    expected = reference(x, y, epsilon * squared_costs(x, y).mean())
    np.testing.assert_allclose(found.value, expected, rtol=1e-4)
    assert found.error < 1e-3


def test_populations_may_differ_in_size(populations):
    x, y = populations
    expected = reference(x, y[:10], 0.3 * squared_costs(x, y[:10]).mean())
    np.testing.assert_allclose(divergence(x, y[:10], epsilon=0.3).value, expected, rtol=1e-4)


def test_gradients_are_those_of_finite_differences(populations):
    x, y = populations
    _, gradient = divergence_and_gradient(x, y, epsilon=0.3)
    epsilon = 0.3 * squared_costs(x, y).mean()  # the scale is a constant for gradients
    rng = np.random.default_rng(1)
    for _ in range(3):
        step = rng.normal(size=x.shape) * 1e-4
        there = reference(np.asarray(x, np.float64) + step, y, epsilon)
        back = reference(np.asarray(x, np.float64) - step, y, epsilon)
        np.testing.assert_allclose(np.sum(gradient * step), (there - back) / 2, rtol=2e-3)


@pytest.mark.parametrize("iterations", [10, 300])
def test_a_population_is_at_no_distance_from_itself(populations, iterations):
    for x in populations:
        found, gradient = divergence_and_gradient(x, x, epsilon=0.01, iterations=iterations)
        assert abs(found.value) < 1e-5
        assert jnp.max(jnp.abs(gradient)) < 1e-4


def test_populations_without_spread_have_finite_gradients(populations):
    _, y = populations
    x = jnp.full_like(y, 3.0)
    for pair in [(x, x), (x, y), (y, x), (jnp.zeros_like(x), jnp.zeros_like(x))]:
        found, gradient = divergence_and_gradient(*pair)
        assert jnp.isfinite(found.value)
        assert jnp.all(jnp.isfinite(gradient))
    np.testing.assert_allclose(divergence(x, x + 2).value, 4 * FEATURES, rtol=1e-5)


def test_a_shift_adds_its_squared_length_at_fixed_temperature(populations):
    x, _ = populations
    shifted = divergence(x, x + jnp.asarray([3.0, 0, 0, 0, 4.0])[None, :])
    np.testing.assert_allclose(shifted.value, 25, rtol=1e-5)


def test_values_far_from_zero_lose_no_digits(populations):
    x, y = populations
    near, far = divergence(x, y).value, divergence(x + 1000, y + 1000).value
    np.testing.assert_allclose(far, near, rtol=1e-3)  # one part in 1e7 of 1000, squared costs


def test_epsilon_is_relative_to_the_mean_cost(populations):
    x, y = populations
    np.testing.assert_allclose(
        divergence(100 * x, 100 * y).value, 1e4 * divergence(x, y).value, rtol=1e-4
    )


def test_too_few_iterations_show_in_the_error(populations):
    errors = [
        divergence(*populations, epsilon=0.005, iterations=iterations).error
        for iterations in (10, 300)
    ]
    assert errors[0] > max(0.05, 3 * errors[1])


def test_a_batch_of_conditions_is_the_conditions_one_by_one(populations):
    x, y = populations
    xs, ys = jnp.stack([x, y, x]), jnp.stack([y, x, x])
    found, gradients = jax.vmap(divergence_and_gradient)(xs, ys)
    for i in range(3):
        alone, gradient = divergence_and_gradient(xs[i], ys[i])
        np.testing.assert_allclose(found.value[i], alone.value, atol=1e-4)
        np.testing.assert_allclose(gradients[i], gradient, atol=1e-4)
