"""Counts that come back from the logarithms of normalised counts."""

from typing import Any

import anndata
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scbig.rivals import Counted, counts_of, expression_of


def normalised(counts: np.ndarray, totals: np.ndarray, target: float = 1e4) -> np.ndarray:
    return np.log1p(counts / totals[:, None] * target).astype(np.float32)


COUNT = jax.jit(jax.vmap(counts_of))


def found(log: np.ndarray) -> Counted:
    """Of few cells with few genes: filled up with empty ones, so that one shape is compiled."""
    cells, genes = log.shape
    if cells > 40:
        return COUNT(jnp.asarray(log))
    full = np.zeros((40, 60), np.float32)
    full[:cells, :genes] = log
    got = COUNT(jnp.asarray(full))
    return Counted(got.counts[:cells, :genes], got.size[:cells], got.whole[:cells])


def drawn(seed: int = 0, cells: int = 40, genes: int = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    counts = rng.negative_binomial(0.5, 0.1, size=(cells, genes)).astype(np.float64)
    counts[:, 0] = 1
    return counts


@pytest.mark.parametrize("target", [1.0, 50.0, 1e4, 1e6])
def test_counts_and_sizes_come_back(target: float) -> None:
    counts = drawn()
    totals = counts.sum(axis=1) * 3.0  # other genes were counted too
    got = found(normalised(counts, totals, target))
    np.testing.assert_array_equal(got.counts, counts)
    np.testing.assert_allclose(got.size, totals / target, rtol=1e-5)
    assert bool(jnp.all(got.whole))


def test_a_smallest_count_of_two_or_more_is_found_if_the_others_are_no_multiples() -> None:
    counts = np.array([[2.0, 3, 0, 7], [8, 9, 20, 31], [6, 15, 10, 0], [3, 3, 7, 300]])
    got = found(normalised(counts, counts.sum(axis=1)))
    np.testing.assert_array_equal(got.counts, counts)
    np.testing.assert_allclose(got.size, counts.sum(axis=1) / 1e4, rtol=1e-5)


def test_a_common_divisor_cannot_be_seen() -> None:
    counts = np.array([[2.0, 4, 0, 8]])
    got = found(normalised(counts, counts.sum(axis=1)))
    np.testing.assert_array_equal(got.counts, counts / 2)


def test_large_counts_are_exact() -> None:
    counts = np.array([[1.0, 123_457, 600_001, 7]])
    got = found(normalised(counts, counts.sum(axis=1)))
    np.testing.assert_array_equal(got.counts, counts)
    assert bool(got.whole[0])


def test_a_cell_without_counts_has_no_size() -> None:
    got = found(np.zeros((1, 5), np.float32))
    assert (np.asarray(got.counts) == 0).all()
    assert float(got.size[0]) == 0
    assert bool(got.whole[0])
    back = expression_of(got.counts[0], got.size[0])
    np.testing.assert_array_equal(back, np.zeros(5, np.float32))


def test_values_that_were_smoothed_are_not_whole() -> None:
    rng = np.random.default_rng(1)
    log = normalised(drawn(1), drawn(1).sum(axis=1))
    blurred = 0.5 * log + 0.5 * log[rng.permutation(len(log))]
    assert float(jnp.mean(found(blurred).whole)) < 0.05


def test_the_inverse_gives_the_logarithms_back() -> None:
    counts = drawn(2)
    log = normalised(counts, counts.sum(axis=1) * 2.0)
    got = found(log)
    back = jax.vmap(expression_of)(got.counts, got.size)
    np.testing.assert_allclose(back, log, rtol=1e-5, atol=1e-6)


def test_counts_of_real_cells_are_those_that_were_measured(shared_file: Any) -> None:
    data: Any = anndata.read_h5ad(shared_file("data/norman19_k562_3375x500.h5ad"))
    counts = data.layers["counts"].toarray()
    got = found(data.X.toarray())
    np.testing.assert_array_equal(got.counts, counts)
    # Two cells have no gene at one count.
    assert (np.where(counts > 0, counts, np.inf).min(axis=1) > 1).sum() == 2
    sizes = counts.sum(axis=1) / np.expm1(data.X.toarray().astype(np.float64)).sum(axis=1)
    np.testing.assert_allclose(np.asarray(got.size), sizes, rtol=1e-4)
    # What they were normalised by is nearly, not quite, the total that the file tells.
    told = data.obs["ncounts"].to_numpy() / 1e4
    np.testing.assert_allclose(np.asarray(got.size), told, rtol=0.02)
