"""Energy distance, discrimination and projection, against loops, scipy and scikit-learn."""

import math

import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.decomposition import PCA

from scbig import metrics


def test_energy_distance_equals_a_double_loop():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 3)), rng.normal(1, 2, size=(11, 3))

    def mean(a, b):
        return sum(math.dist(p, q) for p in a for q in b) / (len(a) * len(b))

    expected = 2 * mean(x, y) - mean(x, x) - mean(y, y)
    assert metrics.energy_distance(x, y, unbiased=False) == pytest.approx(expected)


def test_energy_distance_in_one_dimension_is_the_square_of_scipys():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=3000), rng.gamma(2, size=2500)  # more cells than one block of pairs
    expected = stats.energy_distance(x, y) ** 2
    assert metrics.energy_distance(x[:, None], y[:, None], unbiased=False) == pytest.approx(
        expected
    )


def test_energy_distance_sees_dispersion_and_its_squared_norm_variant_does_not():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 5))
    x -= x.mean(axis=0)
    assert metrics.energy_distance(x, 2 * x) > 0.1
    assert metrics.energy_distance(x, 2 * x, squared_norm=True, unbiased=False) == pytest.approx(
        0, abs=1e-9
    )
    shifted = x + 1.5
    expected = 2 * 5 * 1.5**2  # twice the squared distance of the means
    assert metrics.energy_distance(x, shifted, squared_norm=True, unbiased=False) == pytest.approx(
        expected
    )


def test_unbiased_energy_distance_leaves_out_the_pairs_of_a_cell_with_itself():
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(6, 3)), rng.normal(1, 2, size=(9, 3))
    between = np.mean([math.dist(p, q) for p in x for q in y])
    within = lambda z: np.mean([math.dist(z[i], z[j]) for i in range(len(z)) for j in range(i)])
    expected = 2 * between - within(x) - within(y)
    assert metrics.energy_distance(x, y) == pytest.approx(expected)


def test_only_the_unbiased_energy_distance_is_zero_on_average_for_one_population():
    rng = np.random.default_rng(8)
    pairs = rng.normal(size=(200, 2, 10, 4))
    unbiased = np.array([metrics.energy_distance(x, y) for x, y in pairs])
    assert abs(unbiased.mean()) < 3 * unbiased.std() / np.sqrt(200)
    assert unbiased.min() < 0
    assert np.mean([metrics.energy_distance(x, y, unbiased=False) for x, y in pairs]) > 0.3


def test_energy_distance_needs_cells():
    with pytest.raises(ValueError, match="at least 2 cells on both sides: got 1 and 2"):
        metrics.energy_distance(np.zeros((1, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="got 0 and 2"):
        metrics.energy_distance(np.zeros((0, 3)), np.zeros((2, 3)), unbiased=False)


def test_discrimination_ranks_by_l1_distance_to_the_measured_means():
    rng = np.random.default_rng(3)
    observed, predicted = rng.normal(size=(2, 9, 6))
    usual = metrics.discrimination_scores(predicted, observed)
    cell_eval = metrics.discrimination_scores(predicted, observed, denominator="n")
    for scores, total in ((usual, 8), (cell_eval, 9)):
        for p in range(9):
            order = sorted(range(9), key=lambda q: sum(abs(predicted[p] - observed[q])))
            assert scores[p] == pytest.approx(1 - order.index(p) / total)


def test_discrimination_depends_on_the_l1_norm():
    # From the origin the first mean is nearer in L1 (3 < 4), the second in L2 (3 > sqrt(8)).
    observed = np.array([[3.0, 0.0], [2.0, 2.0]])
    assert metrics.discrimination_scores(np.zeros((2, 2)), observed).tolist() == [1, 0]


def test_one_prediction_for_all_scores_a_half_on_average():
    rng = np.random.default_rng(4)
    constant = np.tile(rng.normal(size=6), (9, 1))
    scores = metrics.discrimination_scores(constant, rng.normal(size=(9, 6)))
    assert scores.mean() == pytest.approx(0.5)


def test_ties_get_the_middle_rank():
    observed = np.array([[0.0], [0.0], [0.0], [5.0]])
    scores = metrics.discrimination_scores(np.zeros((4, 1)), observed)
    assert scores == pytest.approx([2 / 3, 2 / 3, 2 / 3, 0])


def test_one_perturbation_cannot_be_told_apart():
    assert np.isnan(metrics.discrimination_scores(np.zeros((1, 4)), np.ones((1, 4)))).all()


@pytest.mark.parametrize("shape", [(40, 12), (12, 40)])
def test_projection_has_the_distances_of_scikit_learns_full_pca(shape):
    rng = np.random.default_rng(5)
    cells = rng.normal(size=shape) * (rng.uniform(size=shape) < 0.4)
    expected = PCA(8, svd_solver="full").fit_transform(cells)
    for stored in (cells, sparse.csr_matrix(cells), cells.astype(np.float32)):
        ours = metrics.fit_projection(stored, 8)(stored)
        signs = np.sign((ours * expected).sum(axis=0))
        np.testing.assert_allclose(ours * signs, expected, atol=1e-5)


def test_projection_has_no_more_components_than_there_are():
    cells = np.random.default_rng(6).normal(size=(5, 9))
    assert metrics.fit_projection(cells).axes.shape == (4, 9)
    assert metrics.fit_projection(cells.T, 50).axes.shape == (5, 5)
    assert np.all(metrics.fit_projection(np.ones((6, 3)))(np.ones((6, 3))) == 0)
    with pytest.raises(ValueError, match="at least 2 cells"):
        metrics.fit_projection(cells[:1])
