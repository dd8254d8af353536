from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import scbig.ot

Reference: Any = KMeans
POINTS, FEATURES, CLUSTERS = 60, 4, 5


def inertia(points, labels):
    groups = [points[labels == k] for k in np.unique(labels)]
    return sum(((group - group.mean(0)) ** 2).sum() for group in groups)


def kmeans(points, clusters=CLUSTERS, *, seed=0):
    points = jnp.asarray(points, jnp.float32)
    return np.asarray(scbig.ot.kmeans_labels(points, clusters, starts=10, key=jr.key(seed)))


def test_labels_are_as_good_as_those_of_an_independent_solver():
    points = np.random.default_rng(0).normal(size=(POINTS, FEATURES))
    found = kmeans(points)
    expected = Reference(CLUSTERS, n_init=10, random_state=0).fit(points).inertia_
    assert inertia(points, found) < 1.05 * expected
    np.testing.assert_array_equal(found, kmeans(points))


def test_separate_groups_are_found():
    rng = np.random.default_rng(1)
    truth = np.arange(POINTS) % CLUSTERS
    points = 10 * rng.normal(size=(CLUSTERS, FEATURES))[truth]
    assert adjusted_rand_score(truth, kmeans(points + rng.normal(size=points.shape))) > 0.9


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_points_that_coincide_have_labels(value):
    labels = kmeans(np.full((POINTS, FEATURES), value))
    assert np.all((labels >= 0) & (labels < CLUSTERS))


@pytest.mark.parametrize("clusters", [1, 8])
def test_as_few_and_as_many_clusters_as_there_can_be(clusters):
    points = np.arange(8.0)[:, None] * np.ones((1, 2))
    assert np.unique(kmeans(points, clusters)).size == clusters


def test_more_clusters_than_points_is_an_error():
    with pytest.raises(ValueError, match="got 9 clusters for 8 points"):
        kmeans(np.zeros((8, 2)), 9)


def test_the_best_of_the_starts_is_kept():
    points = np.random.default_rng(2).normal(size=(POINTS, FEATURES)).astype(np.float32)
    labels = lambda key, starts: scbig.ot.kmeans_labels(
        jnp.asarray(points), CLUSTERS, starts=starts, key=key
    )
    many = labels(jr.key(0), 10)
    alone = [inertia(points, np.asarray(labels(jr.key(seed), 1))) for seed in range(10)]
    assert inertia(points, np.asarray(many)) < np.mean(alone)
    assert inertia(points, np.asarray(many)) <= np.quantile(alone, 0.3)
