"""Covariances from few cells, and the map from one to another."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from scbig.anchor import transport_map
from scbig.anchor._shape import covariances, shrunk


def spread(seed: int, width: int = 5, rank: int = 5) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(width, rank))
    return root @ root.T


@pytest.mark.parametrize("seed", range(4))
def test_the_map_takes_one_covariance_to_the_other_as_the_formula_says(seed):
    start, end = spread(seed), spread(seed + 10)
    found = transport_map(start, end)
    root = np.real(np.asarray(sqrtm(start)))
    inverse, middle = np.linalg.inv(root), np.real(np.asarray(sqrtm(root @ end @ root)))
    np.testing.assert_allclose(found, inverse @ middle @ inverse, atol=1e-6)
    np.testing.assert_allclose(found @ start @ found, end, atol=1e-6)
    np.testing.assert_allclose(found, found.T, atol=1e-9)
    assert np.linalg.eigvalsh(found).min() > 0


def test_directions_that_do_not_vary_are_left_alone():
    start = np.diag([4.0, 1.0, 0.0])
    found = transport_map(start, np.diag([1.0, 9.0, 5.0]))
    np.testing.assert_allclose(found, np.diag([0.5, 3.0, 1.0]), atol=1e-9)
    np.testing.assert_allclose(transport_map(np.zeros((2, 2)), np.eye(2)), np.eye(2))


def test_an_unchanged_covariance_is_left_alone():
    own = spread(3)
    np.testing.assert_allclose(transport_map(own, own), np.eye(5), atol=1e-6)


def test_covariances_are_those_of_each_group():
    rng = np.random.default_rng(0)
    scores, groups = rng.normal(size=(50, 3)), rng.integers(0, 4, 50)
    groups[groups == 2] = 1  # a group without a cell
    products, sizes = covariances(scores, groups, 5)
    for group in (0, 1, 3):
        own = scores[groups == group]
        assert sizes[group] == len(own)
        np.testing.assert_allclose(products[group], np.cov(own.T) * (len(own) - 1), atol=1e-9)
    assert sizes[2] == sizes[4] == 0
    assert not products[[2, 4]].any()


def test_without_any_cell_nothing_is_divided_by():
    np.testing.assert_array_equal(shrunk(np.zeros((5, 5)), 1, spread(1), 0.0), spread(1))


def test_few_cells_are_shrunk_towards_what_many_have_shown():
    own, common = spread(0), spread(1)
    np.testing.assert_allclose(shrunk(own * 9, 10, common, 0.0), own)
    np.testing.assert_allclose(shrunk(own * 0, 0, common, 100.0), common)
    np.testing.assert_allclose(shrunk(own * 100, 101, common, 100.0), (own + common) / 2)
