import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from scbig import programs

GENES, FEATURES, CLUSTERS = 30, 6, 4


@pytest.fixture
def priors():
    """Embeddings, a symmetric graph as a matrix and as edges, labels with an empty cluster."""
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(GENES, FEATURES))
    upper = np.triu(rng.random((GENES, GENES)) < 0.2, 1)
    graph = upper | upper.T
    labels = rng.integers(0, CLUSTERS - 1, GENES)
    return embeddings, graph, labels


def test_semantic_costs_are_scaled_cosine_distances_to_the_centroids(priors):
    embeddings, _, labels = priors
    unit = programs.unit_rows(jnp.asarray(embeddings, jnp.float32))
    means = programs.centroids(unit, jnp.asarray(labels), CLUSTERS)
    normal = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    naive = np.stack([normal[labels == k].mean(0) for k in range(CLUSTERS - 1)])
    distance = cdist(embeddings, naive, "cosine")
    distance = np.column_stack([distance, np.ones(GENES)])  # the empty cluster
    np.testing.assert_allclose(
        programs.semantic_cost(unit, means), distance / distance.max(), atol=1e-5
    )
    np.testing.assert_allclose(
        means[:-1], naive / np.linalg.norm(naive, axis=1, keepdims=True), atol=1e-5
    )


def test_interaction_costs_count_neighbours(priors):
    _, graph, labels = priors
    source, target = (jnp.asarray(index, jnp.int32) for index in np.nonzero(graph))
    naive = np.ones((GENES, CLUSTERS))
    for i in range(GENES):
        for k in range(CLUSTERS):
            inside = [j for j in range(GENES) if labels[j] == k]
            if inside:
                naive[i, k] = 1 - sum(graph[i, j] for j in inside) / len(inside)
    found = programs.interaction_cost(source, target, jnp.asarray(labels), CLUSTERS)
    np.testing.assert_allclose(found, naive, atol=1e-6)


def test_a_directed_edge_counts_for_its_source_only():
    found = programs.interaction_cost(jnp.array([0]), jnp.array([2]), jnp.array([0, 0, 1]), 2)
    np.testing.assert_allclose(found, [[1, 0], [1, 1], [1, 1]])


def test_the_cost_is_the_weighted_sum(priors):
    embeddings, graph, labels = priors
    unit = programs.unit_rows(jnp.asarray(embeddings, jnp.float32))
    source, target = (jnp.asarray(index, jnp.int32) for index in np.nonzero(graph))
    labels = jnp.asarray(labels)

    def cost(semantic, interaction):
        relations = programs.Relations(
            unit=unit,
            source=source,
            target=target,
            semantic_weight=jnp.asarray(semantic),
            interaction_weight=jnp.asarray(interaction),
        )
        return relations.cost(labels, CLUSTERS)

    np.testing.assert_allclose(cost(2.0, 0.5), 2 * cost(1.0, 0.0) + 0.5 * cost(0.0, 1.0), rtol=1e-5)
    np.testing.assert_allclose(jnp.max(cost(1.0, 0.0)), 1.0, rtol=1e-6)


def test_a_gene_without_an_embedding_is_equally_far_from_every_program(priors):
    embeddings, _, labels = priors
    embeddings[3] = 0
    unit = programs.unit_rows(jnp.asarray(embeddings, jnp.float32))
    means = programs.centroids(unit, jnp.asarray(labels), CLUSTERS)
    cost = programs.semantic_cost(unit, means)
    assert jnp.all(jnp.isfinite(cost))
    assert jnp.ptp(cost[3]) == 0
    # Distance 1, on the scale on which the others are compared.
    np.testing.assert_allclose(cost[3, 0], cost[0, -1], rtol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_identical_embeddings_cost_nothing_rather_than_their_rounding(seed):
    row = np.random.default_rng(seed).normal(size=(1, 65)).astype(np.float32)
    unit = programs.unit_rows(jnp.tile(jnp.asarray(row), (50, 1)))
    means = programs.centroids(unit, jnp.arange(50) % 3, 3)
    # For some seeds, cosines are a little below one.
    assert jnp.max(programs.semantic_cost(unit, means)) < 1e-5


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1e25])
def test_rows_of_any_size_become_unit_rows(size):
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    found = programs.unit_rows(jnp.asarray(x * np.float32(size)))
    np.testing.assert_allclose(found, x / np.linalg.norm(x, axis=1, keepdims=True), rtol=1e-5)
