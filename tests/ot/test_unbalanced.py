"""Unbalanced plans, against POT."""

from typing import Any

import numpy as np
import ot
import pytest

from scbig.ot import unbalanced_plan


def clouds(apart: float, rows: int = 40, columns: int = 30):
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(rows, 3)), rng.normal(size=(columns, 3)) + [apart, 0, 0]
    cost = ((left[:, None] - right[None]) ** 2).sum(axis=-1)
    return cost / cost.mean()


@pytest.mark.parametrize("apart", [0.0, 3.0, 10.0])
@pytest.mark.parametrize(
    ("epsilon", "relaxation"),
    [(0.05, (0.3, 0.3)), (0.1, (1.0, 0.2)), (0.02, (0.1, 0.1)), (0.05, (0.1, np.inf))],
)
def test_it_is_the_plan_of_pot(apart, epsilon, relaxation):
    cost = clouds(apart)
    found = unbalanced_plan(cost, epsilon=epsilon, relaxation=relaxation, iterations=300)
    rows, columns = (np.full(size, 1 / size) for size in cost.shape)
    options: dict[str, Any] = {"method": "sinkhorn", "numItermax": 20_000, "stopThr": 1e-14}
    expected = ot.unbalanced.sinkhorn_unbalanced(
        rows, columns, cost, epsilon, relaxation, **options
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6 * expected.max())


def test_far_clouds_do_not_underflow():
    """Where every entry of the kernel would be zero in double precision."""
    cost = clouds(3.0) + 60.0
    found = unbalanced_plan(cost, epsilon=0.05, relaxation=(100.0, 100.0), iterations=3000)
    assert np.isfinite(found).all()
    shifted = unbalanced_plan(cost - 60.0, epsilon=0.05, relaxation=(100.0, 100.0), iterations=3000)
    # A cost that all pay changes how much is sent, and not who sends it to whom.
    np.testing.assert_allclose(
        found / found.sum(), shifted / shifted.sum(), rtol=0.1, atol=0.01 * shifted.max()
    )


def test_with_a_high_price_the_marginals_are_met():
    plan = unbalanced_plan(clouds(3.0), epsilon=0.1, relaxation=(1e5, 1e5), iterations=5000)
    np.testing.assert_allclose(plan.sum(axis=1), 1 / 40, rtol=1e-2)
    np.testing.assert_allclose(plan.sum(axis=0), 1 / 30, rtol=1e-2)


def test_a_type_that_became_rarer_sends_less_and_nothing_elsewhere():
    rng = np.random.default_rng(1)
    types = np.array([[0.0, 0.0], [20.0, 0.0]])
    left, right = np.repeat([0, 1], [50, 50]), np.repeat([0, 1], [90, 10])
    cells = [types[own] + rng.normal(size=(100, 2)) for own in (left, right)]
    cost = ((cells[0][:, None] - cells[1][None]) ** 2).sum(axis=-1)
    plan = unbalanced_plan(cost / cost.mean(), epsilon=0.05, relaxation=(0.1, 0.1), iterations=200)
    across = plan[left == 0][:, right == 1].sum() + plan[left == 1][:, right == 0].sum()
    assert across < 0.01 * plan.sum()
    assert plan[left == 1].sum() < 0.7 * plan[left == 0].sum()
