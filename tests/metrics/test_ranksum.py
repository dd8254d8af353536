"""Rank-sum tests of sparse cells, against SciPy's."""

import time

import numpy as np
import pytest
from scipy import sparse, stats

from scbig import metrics


def cells(seed, number, *, genes=30, below=False):
    """Log counts with many zeros and ties, some of them a little below zero."""
    rng = np.random.default_rng(seed)
    values = np.log1p(rng.poisson(rng.gamma(0.5, 2, genes), (number, genes)))
    values[:, 0], values[:, 1] = 0, 3
    return values - 0.3 * (rng.random(values.shape) < 0.3) if below else values


@pytest.mark.parametrize("continuity", [True, False])
@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize("sizes", [(30, 50), (1, 7), (40, 3), (1, 1)])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, metrics.Sorted.of])
def test_statistics_and_p_values_are_scipys(sizes, below, continuity, form):
    first, second = (cells(seed, n, below=below) for seed, n in enumerate(sizes))
    own = first if form == metrics.Sorted.of else form(first)
    found = metrics.rank_sums(own, form(second), continuity=continuity)
    for gene in range(first.shape[1]):
        one, other = first[:, gene], second[:, gene]
        expected = stats.mannwhitneyu(
            one, other, method="asymptotic", use_continuity=continuity, alternative="two-sided"
        )
        assert found.statistic[gene] == expected.statistic
        constant = len(np.unique([*one, *other])) == 1
        assert found.p[gene] == pytest.approx(1 if constant else expected.pvalue, rel=1e-12)


def test_without_ties_and_continuity_it_is_scipys_rank_sum_test():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(20, 5)), rng.normal(0.4, 1, size=(35, 5))
    found = metrics.rank_sums(first, second, continuity=False).p
    expected = [stats.ranksums(first[:, g], second[:, g]).pvalue for g in range(5)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_significance_is_corrected_for_the_number_of_genes():
    p = np.array([0.001, 0.012, 0.03, 0.04, 0.9])
    found = metrics.RankSums(statistic=p, p=p)
    assert found.significant(correction="bonferroni").tolist() == [True, False, False, False, False]
    # By hand: 0.001 * 5, 0.012 * 5 / 2, 0.03 * 5 / 3, 0.04 * 5 / 4 (which is below the third).
    assert found.significant(0.0501).tolist() == [True, True, True, True, False]
    assert found.significant(0.04).tolist() == [True, True, False, False, False]


def test_zeros_that_are_written_out_are_zeros():
    first, second = (sparse.csr_matrix(cells(seed, 20)) for seed in (1, 2))
    stored = first.copy()
    stored.data[::3] = 0
    again = sparse.csr_matrix(stored.toarray())
    np.testing.assert_array_equal(
        metrics.rank_sums(stored, second).p, metrics.rank_sums(again, second).p
    )


def test_a_side_without_cells_is_an_error():
    with pytest.raises(ValueError, match="cells on both sides: got 0 and 3"):
        metrics.rank_sums(cells(0, 0), cells(1, 3))
    with pytest.raises(ValueError, match="cells on both sides: got none to sort"):
        metrics.Sorted.of(cells(0, 0))


@pytest.mark.slow
def test_a_screen_is_tested_in_seconds():
    rng = np.random.default_rng(0)
    draw = lambda number: sparse.csr_matrix(np.maximum(rng.normal(-1, 1, (number, 2000)), 0))
    many, screen = draw(1000), [draw(300) for _ in range(32)]
    begin = time.perf_counter()
    once = metrics.Sorted.of(many)
    for own in screen:
        metrics.rank_sums(own, once)
    assert time.perf_counter() - begin < 20  # 2 s on two busy cores
