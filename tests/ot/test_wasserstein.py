"""The distance under an entropic plan, against POT."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import ot as pot
import pytest
from scipy.spatial.distance import cdist

from scbig.ot import sinkhorn_distance


def clouds(first=30, second=45, features=6):
    rng = np.random.default_rng(0)
    return rng.normal(size=(first, features)), rng.normal(0.5, 1.2, (second, features))


def found(x, y, epsilon, iterations=2000):
    result = sinkhorn_distance(
        jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32),
        epsilon=epsilon, iterations=iterations,
    )  # fmt: skip
    assert result.error < 2e-3
    return float(result.value)


@pytest.mark.parametrize("epsilon", [0.02, 0.05, 0.3])
def test_the_distance_is_that_of_pots_plan(epsilon):
    x, y = clouds()
    cost = cdist(x, y)
    mass = [np.full(len(own), 1 / len(own)) for own in (x, y)]
    options: Any = {"method": "sinkhorn_log", "numItermax": 20000}
    plan: Any = pot.sinkhorn(mass[0], mass[1], cost, epsilon * cost.mean(), **options)
    assert found(x, y, epsilon) == pytest.approx(float(np.sum(plan * cost)), rel=2e-3)


def test_it_comes_down_to_the_wasserstein_distance():
    x, y = clouds()
    solve: Any = pot.emd2
    exact = float(solve([], [], cdist(x, y)))
    near, far = found(x, y, 0.01, 20_000), found(x, y, 0.3)
    assert exact * 0.999 < near < exact * 1.02
    assert near < far


def test_it_is_symmetric_scales_and_does_not_see_where_the_origin_is():
    x, y = clouds()
    value = found(x, y, 0.05)
    assert found(y, x, 0.05) == pytest.approx(value, rel=1e-3)
    assert found(3 * x, 3 * y, 0.05) == pytest.approx(3 * value, rel=1e-3)
    assert found(x + 1000, y + 1000, 0.05) == pytest.approx(value, rel=1e-3)


def test_a_shift_of_one_cell_is_its_length():
    assert found(np.zeros((1, 2)), np.array([[3.0, 4.0]]), 0.05) == pytest.approx(5)


def test_a_point_in_two_pieces_is_the_same_point():
    x, y = clouds(8, 11)
    x[0] += 4
    mass = [np.full(len(own), 0.3 / (len(own) - 1)) for own in (x, y)]
    for own in mass:
        own[0] = 0.7
    cost = cdist(x, y)
    middle = mass[0] @ cost @ mass[1]
    options: Any = {"method": "sinkhorn_log", "numItermax": 20000}
    plan: Any = pot.sinkhorn(mass[0], mass[1], cost, 0.3 * middle, **options)
    place = np.array([0, 0, *range(1, 8)])
    pieces = np.concatenate([[0.3, 0.7] * mass[0][:1], mass[0][1:]])
    for points, masses in ((x, mass[0]), (x[place], pieces)):
        result = sinkhorn_distance(
            jnp.asarray(points, jnp.float32), jnp.asarray(y, jnp.float32), epsilon=0.3,
            iterations=2000, masses=(jnp.asarray(masses, jnp.float32),
            jnp.asarray(mass[1], jnp.float32)),
        )  # fmt: skip
        assert float(result.value) == pytest.approx(float(np.sum(plan * cost)), rel=2e-3)
