"""Alignment losses against NumPy and POT."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import ot as pot
import pytest

from scbig.alignment import (
    CorrelationAlignment,
    PathwayAlignment,
    cluster_correlation,
    pathway_weights,
)
from scbig.programs import GenePartition

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
    loss = CorrelationAlignment(PARTITION, targets)
    rows = jnp.zeros((1, 20), jnp.int32)
    at = lambda group: loss(observed[2][None], jnp.array([group]), rows)
    np.testing.assert_allclose(at(2), 0.0, atol=1e-10)
    difference = np.asarray(targets[2] - targets[0])
    np.testing.assert_allclose(at(0), np.sum(difference**2) / 9, rtol=1e-5)


def test_pathway_weights_average_over_a_pathways_genes():
    weights = pathway_weights(jnp.asarray(MEMBERSHIP))
    np.testing.assert_allclose(weights.sum(1), 1.0)
    np.testing.assert_allclose(weights[0], MEMBERSHIP[0] / 3)


def pathway_loss(observed):
    weights = pathway_weights(jnp.asarray(MEMBERSHIP))
    return PathwayAlignment(weights, observed @ weights.T, 0.1, 500)


@pytest.mark.parametrize("shift", [0.0, 1.5])
def test_the_pathway_loss_is_pots_divergence(shift):
    observed, predicted = cells(1), cells(2, shift=shift)
    rows = jnp.arange(20)[None]
    found = pathway_loss(observed)(predicted[None], jnp.array([0]), rows)
    weights = np.asarray(pathway_weights(jnp.asarray(MEMBERSHIP)), np.float64)
    x, y = np.asarray(predicted) @ weights.T, np.asarray(observed) @ weights.T
    epsilon = 0.1 * np.mean(pot.dist(x, y))
    uniform = np.full(20, 1 / 20)

    def cost(a, b):
        log = pot.sinkhorn(
            uniform, uniform, pot.dist(a, b), epsilon, method="sinkhorn_log", stopThr=1e-9,
            numItermax=20000, log=True,
        )  # fmt: skip
        plan = log[0]
        relative = np.sum(plan * np.log(plan * 400))
        return np.sum(plan * pot.dist(a, b)) + epsilon * relative

    expected = (cost(x, y) - (cost(x, x) + cost(y, y)) / 2) / 2
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=1e-4)


def test_the_pathway_loss_pulls_predictions_towards_the_observed_cells():
    observed, predicted = cells(1), cells(2, shift=1.0)
    loss, rows = pathway_loss(observed), jnp.arange(20)[None]
    at = lambda x: loss(x[None], jnp.array([0]), rows)
    assert abs(float(at(observed))) < 1e-4
    gradient = jax.grad(at)(predicted)
    assert float(at(predicted - 0.5 * gradient)) < float(at(predicted))


def test_the_kernel_of_the_pathway_loss_carries_all_of_the_mass():
    """The released code's absolute epsilon on an unscaled cost left 5 % of it."""
    from scbig.ot import sinkhorn_divergence

    x, y = 30 * cells(1), 30 * cells(2, shift=1.0)
    assert float(sinkhorn_divergence(x, y, epsilon=0.1, iterations=500).error) < 1e-2
