import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scbig.programs import balanced_capacities, round_to_capacities


def greedy(scores, costs, capacities):
    """The definition: the sequential loop over all pairs."""
    pairs = itertools.product(range(scores.shape[0]), range(scores.shape[1]))
    order = sorted(pairs, key=lambda p: (-scores[p], costs[p], p[0], p[1]))
    labels, room = np.full(scores.shape[0], -1), np.array(capacities)
    for gene, cluster in order:
        if labels[gene] < 0 and room[cluster] > 0:
            labels[gene] = cluster
            room[cluster] -= 1
    return labels


def rounded(scores, costs, capacities):
    return np.asarray(
        round_to_capacities(
            jnp.asarray(scores, jnp.float32),
            jnp.asarray(costs, jnp.float32),
            jnp.asarray(capacities, jnp.int32),
        )
    )


@pytest.mark.parametrize("levels", [1, 2, 5, 1000])
def test_rounding_is_the_greedy_loop_however_many_ties(levels):
    rng = np.random.default_rng(levels)
    for _ in range(20):
        scores = rng.integers(0, levels, (24, 5)) / 8
        costs = rng.integers(0, 3, (24, 5)) / 4
        capacities = rng.multinomial(24, np.full(5, 0.2))
        np.testing.assert_array_equal(
            rounded(scores, costs, capacities), greedy(scores, costs, capacities)
        )


@pytest.mark.parametrize(("genes", "clusters"), [(2051, 32), (5018, 64)])
def test_rounding_is_the_greedy_loop_at_the_sizes_of_the_paper(genes, clusters):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(genes, clusters)).astype(np.float32)
    capacities = np.full(clusters, genes // clusters) + (np.arange(clusters) < genes % clusters)
    costs = np.zeros_like(scores)
    labels = rounded(scores, costs, capacities)
    np.testing.assert_array_equal(labels, greedy(scores, costs, capacities))
    np.testing.assert_array_equal(np.bincount(labels), capacities)


def test_equal_scores_go_by_cost_then_gene_then_cluster():
    flat = np.zeros((4, 2))
    np.testing.assert_array_equal(rounded(flat, flat, [2, 2]), [0, 0, 1, 1])
    costs = np.array([[1, 0], [0, 1], [0, 1], [0, 1]])
    np.testing.assert_array_equal(rounded(flat, costs, [2, 2]), [1, 0, 0, 1])


def test_zeros_of_either_sign_are_one_score():
    scores = np.array([[0.0, -0.0], [-0.0, 0.0], [-0.0, 0.0]])
    np.testing.assert_array_equal(rounded(scores, np.zeros((3, 2)), [2, 1]), [0, 0, 1])


def test_no_gene_and_cluster_would_rather_have_each_other():
    rng = np.random.default_rng(2)
    for _ in range(20):
        scores = rng.normal(size=(24, 5))
        capacities = rng.multinomial(24, np.full(5, 0.2))
        labels = rounded(scores, np.zeros((24, 5)), capacities)
        for gene, cluster in itertools.product(range(24), range(5)):
            inside = labels == cluster
            gene_would = scores[gene, cluster] > scores[gene, labels[gene]]
            full = inside.sum() == capacities[cluster]
            cluster_would = not full or np.any(scores[inside, cluster] < scores[gene, cluster])
            assert not (gene_would and cluster_would)


def test_genes_without_room_are_marked():
    scores = np.array([[3.0, 0.0], [2.0, 0.0], [1.0, 5.0], [0.0, 4.0]])
    np.testing.assert_array_equal(rounded(scores, np.zeros((4, 2)), [1, 1]), [0, -1, 1, -1])


def test_capacities_may_be_traced_and_batched():
    rng = np.random.default_rng(3)
    scores, costs = rng.normal(size=(24, 5)).astype(np.float32), np.zeros((24, 5), np.float32)
    capacities = rng.multinomial(24, np.full(5, 0.2), size=4).astype(np.int32)
    batch = jax.vmap(round_to_capacities, in_axes=(None, None, 0))(scores, costs, capacities)
    for labels, capacity in zip(batch, capacities, strict=True):
        np.testing.assert_array_equal(labels, greedy(scores, costs, capacity))


def test_the_larger_programs_are_those_that_the_start_filled_most():
    start = jnp.array([3, 3, 3, 1, 1, 0, 0, 4, 4, 4, 4])
    np.testing.assert_array_equal(balanced_capacities(start, 5), [2, 2, 2, 2, 3])
    np.testing.assert_array_equal(balanced_capacities(start[:9], 5), [2, 2, 1, 2, 2])
    np.testing.assert_array_equal(balanced_capacities(start[:7], 5), [2, 1, 1, 2, 1])
