import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from scbig import ot, programs


def cheapest(costs, capacities):
    """Every place of a cluster is a column of its own; scipy finds the optimum."""
    columns = np.repeat(np.arange(capacities.size), capacities)
    wide = np.asarray(costs, np.float64)[:, columns]
    rows, places = linear_sum_assignment(wide)
    return wide[rows, places].sum()


def found(costs, capacities, prices=None):
    prices = np.zeros(costs.shape[1]) if prices is None else prices
    single = lambda x: jnp.asarray(x, jnp.float32)
    capacities = jnp.asarray(capacities, jnp.int32)
    labels = programs.cheapest_assignment(single(costs), capacities, single(prices))
    return np.asarray(labels)


@pytest.mark.parametrize("levels", [2, 5, 10_000])
@pytest.mark.parametrize("spare", [0, 4])
def test_no_assignment_is_cheaper(levels, spare):
    rng = np.random.default_rng(levels + spare)
    for _ in range(20):
        costs = rng.integers(0, levels, (24, 5)) / levels
        capacities = rng.multinomial(24, np.full(5, 0.2)) + spare * (np.arange(5) == 2)
        # Prices may be anything if every place is taken.
        labels = found(costs, capacities, None if spare else rng.normal(size=5))
        assert np.all(np.bincount(labels, minlength=5) <= capacities)
        total = costs.astype(np.float32)[np.arange(24), labels].sum()
        np.testing.assert_allclose(total, cheapest(costs, capacities), atol=1e-5)


def test_chains_of_moves_are_found():
    # Genes 0 and 1 want cluster 0; gene 1 gives way to cluster 1, and gene 2 from there to 2.
    costs = np.array([[0.0, 9, 9], [0, 1, 9], [9, 0, 1]])
    np.testing.assert_array_equal(found(costs, np.array([1, 1, 1])), [0, 1, 2])


def test_a_cluster_may_be_closed():
    costs = np.random.default_rng(0).random((6, 3))
    labels = found(costs, np.array([3, 0, 3]))
    assert set(labels.tolist()) == {0, 2}


def test_greedy_rounding_of_a_real_plan_is_nearly_the_cheapest():
    rng = np.random.default_rng(3)
    genes, clusters = 600, 12
    costs = rng.random((genes, clusters)).astype(np.float32)
    capacities = np.full(clusters, genes // clusters)
    plan = ot.balanced_plan(
        jnp.asarray(costs), jnp.full((genes,), 1 / genes), jnp.full((clusters,), 1 / clusters),
        epsilon=0.1, iterations=2000, threshold=1e-4,
    )  # fmt: skip
    greedy = np.asarray(
        programs.round_to_capacities(plan.log_matrix, jnp.asarray(costs), jnp.asarray(capacities))
    )
    exact = found(costs, capacities, plan.potentials[1])
    cost = lambda labels: costs[np.arange(genes), labels].mean()
    assert cost(exact) <= cost(greedy) <= 1.05 * cost(exact)
    np.testing.assert_allclose(genes * cost(exact), cheapest(costs, capacities), rtol=1e-5)


@pytest.mark.parametrize(("costs", "room"), [(np.full((6, 3), np.nan), 2), (np.ones((6, 3)), 1)])
def test_what_has_no_answer_comes_to_an_end(costs, room):
    labels = found(costs, np.full(3, room))
    assert np.all((labels >= 0) & (labels < 3))
