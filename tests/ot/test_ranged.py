import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from scbig import ot

ROWS, COLUMNS, EPSILON = 12, 3, 0.2
ROW_MASS = np.full(ROWS, 1 / ROWS)


def ranged(cost, lower, upper, **changes):
    single = lambda x: jnp.asarray(x, jnp.float32)
    options = dict(epsilon=EPSILON, iterations=2000, threshold=1e-6) | changes
    return ot.ranged_plan(single(cost), single(ROW_MASS), single(lower), single(upper), **options)


def smallest(cost, lower, upper):
    """The same problem for a general solver, in float64."""
    base = np.outer(ROW_MASS, (lower + upper) / 2)
    shape = cost.shape
    found = minimize(
        lambda t: t @ cost.ravel() + EPSILON * t @ np.log(t / base.ravel()),
        base.ravel() / base.sum(),
        bounds=[(1e-9, 1)] * cost.size,
        constraints=[
            {"type": "eq", "fun": lambda t: t.reshape(shape).sum(1) - ROW_MASS},
            {"type": "ineq", "fun": lambda t: t.reshape(shape).sum(0) - lower},
            {"type": "ineq", "fun": lambda t: upper - t.reshape(shape).sum(0)},
        ],
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    assert found.success
    return found.x.reshape(shape), found.fun


@pytest.mark.parametrize(("low", "high"), [(0.25, 0.4), (0.1, 0.9), (0.32, 0.34)])
@pytest.mark.parametrize("seed", range(3))
def test_the_plan_is_the_cheapest_with_column_masses_in_the_range(seed, low, high):
    cost = np.random.default_rng(seed).random((ROWS, COLUMNS)) * np.array([1.0, 1.5, 2.0])
    lower, upper = np.full(COLUMNS, low), np.full(COLUMNS, high)
    plan = ranged(cost, lower, upper)
    matrix, value = smallest(cost, lower, upper)
    assert plan.converged
    np.testing.assert_allclose(plan.matrix, matrix, atol=2e-5)
    np.testing.assert_allclose(plan.value, value, atol=1e-5)


def test_equal_bounds_are_the_balanced_plan():
    cost = np.random.default_rng(0).random((ROWS, COLUMNS))
    mass = np.array([0.5, 0.3, 0.2])
    single = lambda x: jnp.asarray(x, jnp.float32)
    balanced = ot.balanced_plan(
        single(cost), single(ROW_MASS), single(mass),
        epsilon=EPSILON, iterations=2000, threshold=1e-6,
    )  # fmt: skip
    np.testing.assert_allclose(ranged(cost, mass, mass).matrix, balanced.matrix, atol=1e-6)


def test_a_warm_start_ends_at_the_same_plan_sooner():
    cost = np.random.default_rng(1).random((ROWS, COLUMNS)) * 3
    lower, upper = np.full(COLUMNS, 0.3), np.full(COLUMNS, 0.36)
    cold = ranged(cost, lower, upper)
    warm = ranged(cost, lower, upper, start=cold.potentials)
    assert cold.iterations > 0
    assert warm.iterations == 0
    np.testing.assert_allclose(warm.matrix, cold.matrix, atol=1e-6)


def test_a_feasible_plan_that_is_not_optimal_has_not_converged():
    cost = np.random.default_rng(2).random((ROWS, COLUMNS))
    wide = np.full(COLUMNS, 0.01), np.full(COLUMNS, 0.98)
    crooked = jnp.zeros(ROWS), jnp.asarray([0.5, 0.0, -0.5], jnp.float32)
    started = ranged(cost, *wide, start=crooked, iterations=0)
    assert started.error > 0.05
    assert not started.converged
    assert ranged(cost, *wide, start=crooked).converged
