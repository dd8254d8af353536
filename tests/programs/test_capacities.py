import jax.numpy as jnp
import numpy as np
import pytest

from scbig import programs


@pytest.mark.parametrize(
    ("genes", "clusters", "tolerance", "bounds"),
    [
        (100, 10, 0.1, (9, 11)),  # 1.1 * 10 is a little over 11 in floating point
        (100, 10, 0.09, (10, 10)),
        (103, 10, 0.0, (10, 11)),
        (103, 10, 0.2, (9, 12)),  # 8.24 to 12.36
        (7, 7, 0.9, (1, 1)),
        (14, 7, 0.9, (1, 3)),
        (5, 1, 0.5, (3, 5)),
    ],
)
def test_sizes_within_a_tolerance(genes, clusters, tolerance, bounds):
    assert programs.size_bounds(genes, clusters, tolerance) == bounds


@pytest.mark.parametrize(
    ("mass", "sizes"),
    [
        ([3.0, 3.0, 4.0], [3, 3, 4]),
        ([2.6, 3.7, 3.7], [2, 4, 4]),
        ([3.5, 3.25, 3.25], [4, 3, 3]),
        ([9.0, 0.5, 0.5], [6, 2, 2]),  # bounds before mass
        ([3.3, 3.3, 3.3], [4, 3, 3]),  # a plan that fell a little short
        ([3.4, 3.4, 3.4], [4, 3, 3]),  # or that went a little over
    ],
)
def test_masses_become_whole_sizes(mass, sizes):
    found = programs.capacities_within(jnp.asarray(mass, jnp.float32), 10, 2, 6)
    np.testing.assert_array_equal(found, sizes)


def test_any_mass_gives_sizes_within_bounds_that_hold_all_genes():
    rng = np.random.default_rng(0)
    for _ in range(100):
        mass = rng.dirichlet(rng.choice([0.2, 1.0, 50.0], 9)) * 97 * rng.choice([0.99, 1.0, 1.01])
        found = np.asarray(programs.capacities_within(jnp.asarray(mass, jnp.float32), 97, 8, 14))
        assert found.sum() == 97
        assert found.min() >= 8
        assert found.max() <= 14
