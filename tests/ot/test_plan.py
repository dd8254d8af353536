from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import ot as pot
import pytest

import scbig.ot

sinkhorn: Any = pot.sinkhorn  # POT annotates too many kinds of results
ROWS, COLUMNS = 40, 6


@pytest.fixture
def problem():
    """A cost and the masses of unequal clusters."""
    rng = np.random.default_rng(0)
    cost = rng.uniform(0, 2, (ROWS, COLUMNS)).astype(np.float32)
    column_mass = np.array([7, 7, 7, 7, 6, 6], np.float32) / ROWS
    return jnp.asarray(cost), jnp.full((ROWS,), 1 / ROWS), jnp.asarray(column_mass)


def plan_of(problem, *, epsilon=0.1, iterations=2000, threshold=1e-5, start=None):
    return scbig.ot.balanced_plan(
        *problem, epsilon=epsilon, iterations=iterations, threshold=threshold, start=start
    )


@pytest.mark.parametrize("epsilon", [0.02, 0.1, 1.0])
def test_the_plan_is_that_of_an_independent_solver(problem, epsilon):
    plan = plan_of(problem, epsilon=epsilon)
    cost, row_mass, column_mass = (np.asarray(array, np.float64) for array in problem)
    expected = sinkhorn(
        row_mass / row_mass.sum(),
        column_mass / column_mass.sum(),
        cost,
        epsilon,
        method="sinkhorn_log",
        numItermax=20_000,
        stopThr=1e-10,
    )
    assert plan.converged
    np.testing.assert_allclose(plan.matrix, expected, atol=2e-6)
    relative = np.log(np.maximum(expected, 1e-300) / np.outer(row_mass, column_mass))
    np.testing.assert_allclose(
        plan.value, np.sum(expected * (cost + epsilon * relative)), rtol=2e-5
    )


def test_the_error_is_measured_on_the_plan(problem):
    for iterations in (3, 2000):
        plan = plan_of(problem, epsilon=0.02, iterations=iterations)
        matrix = np.asarray(plan.matrix, np.float64)
        rows = np.abs(matrix.sum(1) - problem[1]).sum()
        columns = np.abs(matrix.sum(0) - problem[2]).sum()
        np.testing.assert_allclose(plan.error, rows + columns, atol=1e-5)


def test_a_plan_that_missed_its_marginals_says_so(problem):
    plan = plan_of(problem, epsilon=0.01, iterations=3)
    assert not plan.converged
    assert plan.error > 1e-2
    assert plan.iterations == 3
    assert plan_of(problem, epsilon=0.01, iterations=3, threshold=2.0).converged


@pytest.mark.parametrize("threshold", [1e-1, 1e-2, 1e-3])
def test_a_converged_plan_is_within_the_threshold(problem, threshold):
    plan = plan_of(problem, epsilon=0.02, threshold=threshold)
    assert plan.converged
    assert plan.error <= threshold


def test_starting_from_the_solution_ends_at_once(problem):
    cold = plan_of(problem, epsilon=0.02)
    warm = plan_of(problem, epsilon=0.02, start=cold.potentials)
    assert cold.iterations > 10
    assert warm.iterations == 10
    np.testing.assert_allclose(warm.matrix, cold.matrix, atol=1e-6)


def test_log_masses_keep_the_order_that_masses_lose(problem):
    plan = plan_of(problem, epsilon=0.005, threshold=1e-3)
    matrix, log_matrix = np.asarray(plan.matrix), np.asarray(plan.log_matrix)
    assert np.sum(matrix == 0) > ROWS
    assert np.isfinite(log_matrix).all()
    assert np.unique(log_matrix[matrix == 0]).size > ROWS


def test_plans_of_a_batch_are_the_plans_one_by_one(problem):
    costs = jnp.stack([problem[0], 2 * problem[0], problem[0][::-1]])
    batch = jax.vmap(lambda cost: plan_of((cost, *problem[1:])))(costs)
    for i, cost in enumerate(costs):
        np.testing.assert_allclose(batch.matrix[i], plan_of((cost, *problem[1:])).matrix, atol=1e-6)
