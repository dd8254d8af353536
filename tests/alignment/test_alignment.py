"""Alignment losses against NumPy and POT."""

from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import ot as pot
import pytest
from scipy import sparse

from scbig.alignment import (
    CorrelationAlignment,
    PathwayAlignment,
    PathwayFacts,
    PlainPathwayAlignment,
    cluster_correlation,
    pathway_weights,
    plain_transport,
)
from scbig.data import Condition, Screen
from scbig.priors import PathwayLibrary
from scbig.programs import GenePartition
from scbig.sampling import CellIndex

LABELS = np.array([0, 1, 2, 0, 1, 2, 0])
PARTITION = GenePartition.from_labels(LABELS, 3)
MEMBERSHIP = np.array([[1, 1, 0, 0, 1, 0, 0], [0, 0, 1, 1, 1, 1, 0]], bool)


def cells(seed, n=20, shift=0.0):
    return jr.normal(jr.key(seed), (n, 7)) + shift


def test_cluster_correlation_is_numpys():
    x = cells(0)
    means = np.stack([np.asarray(x)[:, k == LABELS].mean(1) for k in range(3)])
    np.testing.assert_allclose(cluster_correlation(x, PARTITION), np.corrcoef(means), atol=1e-5)


def test_a_constant_program_correlates_with_nothing_and_has_a_finite_gradient():
    x = cells(0).at[:, jnp.asarray(LABELS == 1)].set(3.3)
    found = cluster_correlation(x, PARTITION)
    assert jnp.all(found[1] == 0)
    assert jnp.all(found[:, 1] == 0)
    gradient = jax.grad(lambda y: jnp.sum(cluster_correlation(y, PARTITION) ** 2))(x)
    assert jnp.all(jnp.isfinite(gradient))


def test_the_correlation_loss_compares_with_the_group_that_was_drawn():
    observed = [cells(seed) for seed in range(3)]
    targets = jnp.stack([cluster_correlation(x, PARTITION) for x in observed])
    loss = CorrelationAlignment()
    at = lambda group: loss(
        observed[2][None], jnp.array([group]), (PARTITION, targets), key=jr.key(0)
    )
    np.testing.assert_allclose(at(2), 0.0, atol=1e-10)
    difference = np.asarray(targets[2] - targets[0])
    np.testing.assert_allclose(at(0), np.sum(difference**2) / 9, rtol=1e-5)
    root = CorrelationAlignment(squared=False)
    given = jnp.array([0]), (PARTITION, targets)
    found = root(observed[2][None], *given, key=jr.key(0))
    np.testing.assert_allclose(found, np.linalg.norm(difference) / 3, rtol=1e-5)
    same = jnp.array([2]), (PARTITION, targets)
    gradient = jax.grad(lambda x: root(x[None], *same, key=jr.key(0)))(observed[2])
    assert jnp.all(jnp.isfinite(gradient))


def test_pathway_weights_average_over_a_pathways_genes():
    weights = pathway_weights(jnp.asarray(MEMBERSHIP))
    np.testing.assert_allclose(weights.sum(1), 1.0)
    np.testing.assert_allclose(weights[0], MEMBERSHIP[0] / 3)


def facts_of(observed):
    """One group, whose cells are the rows of `observed`."""
    weights, one = pathway_weights(jnp.asarray(MEMBERSHIP)), jnp.zeros(1, jnp.int32)
    order, size = jnp.arange(20, dtype=jnp.int32), jnp.array([20], jnp.int32)
    index = CellIndex(
        order=order, start=one, size=size, control_order=order, control_start=one,
        control_size=size, condition=one, context=one,
    )  # fmt: skip
    return PathwayFacts(weights, index, observed @ weights.T)


LOSS = PathwayAlignment(epsilon=0.1, iterations=500)
GROUP = jnp.zeros(1, jnp.int32)


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_the_pathway_loss_is_pots_divergence_from_the_cells_that_the_key_draws(shift):
    observed, predicted = cells(1), cells(2, shift=shift)
    facts = facts_of(observed)
    found = LOSS(predicted[None], GROUP, facts, key=jr.key(0))
    drawn = np.asarray(facts.index.draw_cells(GROUP, 20, key=jr.key(0))[0])
    assert len(set(drawn.tolist())) > 5
    weights = np.asarray(facts.weights, np.float64)
    x, y = np.asarray(predicted) @ weights.T, np.asarray(observed)[drawn] @ weights.T
    epsilon = 0.1 * np.mean(pot.dist(x, y))
    uniform = np.full(20, 1 / 20)

    def cost(a, b):
        log = pot.sinkhorn(
            uniform, uniform, pot.dist(a, b), epsilon, method="sinkhorn_log", stopThr=1e-6,
            numItermax=20000, log=True,
        )  # fmt: skip
        plan = log[0]
        relative = np.sum(plan * np.log(plan * 400))
        return np.sum(plan * pot.dist(a, b)) + epsilon * relative

    expected = (cost(x, y) - (cost(x, x) + cost(y, y)) / 2) / 2
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=1e-4)


def test_the_pathway_loss_pulls_predictions_towards_the_observed_cells():
    observed, predicted = cells(1), cells(2, shift=1.0)
    facts = facts_of(observed)
    drawn = facts.index.draw_cells(GROUP, 20, key=jr.key(0))[0]
    at = jax.jit(lambda x: LOSS(x[None], GROUP, facts, key=jr.key(0)))
    assert abs(float(at(observed[drawn]))) < 1e-4
    gradient = jax.grad(at)(predicted)
    assert float(at(predicted - 0.5 * gradient)) < float(at(predicted))


def test_the_kernel_of_the_pathway_loss_carries_all_of_the_mass():
    """The released code's absolute epsilon on an unscaled cost left 5 % of it."""
    from scbig.ot import sinkhorn_divergence

    x, y = 30 * cells(1), 30 * cells(2, shift=1.0)
    assert float(sinkhorn_divergence(x, y, epsilon=0.1, iterations=500).error) < 1e-2


@pytest.fixture(scope="module")
def screen():
    """Three groups of unequal sizes, unsorted, one of them of program 1 at rest; and controls."""
    group = np.random.default_rng(0).permutation([0] * 6 + [1] * 9 + [2] * 14 + [3] * 5)
    values = np.abs(np.asarray(cells(3, len(group)))) * 3
    values[np.ix_(group == 2, LABELS == 1)] = 2.5
    names = (("A",), ("B",), ("C",), ())
    return Screen(
        expression=sparse.csr_matrix(values.astype(np.float32)),
        genes=tuple("tuvwxyz"),
        cells=tuple(map(str, range(len(group)))),
        conditions=tuple(Condition(name) for name in names),
        condition_index=group.astype(np.int32),
        context_index=np.zeros(len(group), np.int32),
    )


LIBRARY = PathwayLibrary({"a": tuple("tuwx"), "small": ("t", "u"), "b": tuple("xyz?")})


def test_the_targets_are_the_correlations_of_each_groups_cells(screen):
    index = CellIndex.from_screen(screen)
    partition, targets = CorrelationAlignment().prepare(screen, index, PARTITION, None)
    assert partition is PARTITION
    for group in range(3):
        x = screen.dense()[screen.condition_index == group]
        means = np.stack([x[:, k == LABELS].mean(1) for k in range(3)])
        with np.errstate(invalid="ignore"):
            expected = np.corrcoef(means)
        if group == 2:
            assert np.ptp(means[1]) < 1e-6
            expected[1] = expected[:, 1] = 0
        np.testing.assert_allclose(targets[group], expected, atol=1e-4)


@pytest.mark.parametrize("pool", [None, 4])
def test_activities_are_means_over_a_pathways_genes_in_at_most_a_pool_of_cells(screen, pool):
    index = CellIndex.from_screen(screen)
    facts = PathwayAlignment(pool=pool).prepare(screen, index, PARTITION, LIBRARY)
    assert facts.weights.shape == (2, 7)
    measured = screen.dense()
    naive = np.stack([measured[:, [0, 1, 3, 4]].mean(1), measured[:, [4, 5, 6]].mean(1)], 1)
    sizes = [6, 9, 14] if pool is None else [4, 4, 4]
    np.testing.assert_array_equal(facts.index.size, sizes)
    assert len(facts.activities) == (len(measured) if pool is None else 12)
    for group in range(3):
        rows = facts.index.draw_cells(jnp.array([group]), 50, key=jr.key(group))[0]
        own = naive[screen.condition_index == group]
        drawn = np.asarray(facts.activities)[np.asarray(rows)]
        near = np.abs(drawn[:, None] - own[None]).max(2).argmin(1)
        np.testing.assert_allclose(drawn, own[near], rtol=1e-5)
        assert len(set(near.tolist())) == sizes[group]


def test_without_pathways_the_loss_says_what_to_give(screen):
    index = CellIndex.from_screen(screen)
    with pytest.raises(ValueError, match="PathwayAlignment: there are no pathways: give Priors"):
        PathwayAlignment().prepare(screen, index, PARTITION, None)
    with pytest.raises(ValueError, match="no set has 5 of the 7 genes"):
        PathwayAlignment(min_genes=5).prepare(screen, index, PARTITION, LIBRARY)


def test_transport_in_the_plain_domain_is_pots_where_the_kernel_has_room_for_it():
    x, y = cells(0), cells(1, shift=0.5)
    cost, mass = plain_transport(x, y, epsilon=5.0, iterations=2000)
    squared = pot.dist(np.asarray(x, np.float64), np.asarray(y, np.float64))
    uniform = np.full(20, 1 / 20)
    plan: Any = pot.sinkhorn(uniform, uniform, squared, 5.0, numItermax=5000, stopThr=1e-10)
    np.testing.assert_allclose(cost, np.sum(plan * squared), rtol=1e-3)
    np.testing.assert_allclose(mass, 1.0, rtol=1e-4)


def test_in_the_plain_domain_far_populations_carry_no_mass_and_teach_nothing():
    """The released code's loss: the cost falls to zero where the populations are far apart."""
    x, y = cells(0), cells(1, shift=6.0)
    cost, mass = plain_transport(x, y, epsilon=0.1, iterations=100)
    assert mass < 1e-6
    assert cost < 1e-3
    slope = jax.grad(lambda z: plain_transport(z, y, epsilon=0.1, iterations=100)[0])(x)
    assert jnp.all(slope == 0)
    honest = PathwayAlignment(epsilon=0.1, iterations=100)
    facts = facts_of(y)
    value, gradient = jax.value_and_grad(lambda z: honest(z[None], GROUP, facts, key=jr.key(0)))(x)
    assert value > 10
    assert jnp.linalg.norm(gradient) > 0.1
    dead = PlainPathwayAlignment()
    assert dead(x[None], GROUP, facts, key=jr.key(0)) < 1e-3
