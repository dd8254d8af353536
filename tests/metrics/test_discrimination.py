"""PDS by every distance, with and without the perturbed genes, against naive loops."""

import numpy as np
import pytest
from scipy.spatial.distance import cosine as cosine_distance

from scbig import metrics

DISTANCES = {
    "l1": lambda x, y: np.abs(x - y).sum(),
    "l2": lambda x, y: np.sqrt(((x - y) ** 2).sum()),
    "cosine": cosine_distance,
}


def naive(predicted, observed, distance, left_out):
    scores = []
    for own, kept, place in zip(predicted, ~left_out, range(len(predicted)), strict=True):
        found = [DISTANCES[distance](own[kept], other[kept]) for other in observed]
        closer = sum(one < found[place] for one in found)
        tied = sum(one == found[place] for one in found) - 1
        scores.append(1 - (closer + tied / 2) / (len(found) - 1))
    return scores


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_scores_are_those_of_a_loop(distance, share):
    rng = np.random.default_rng(0)
    predicted, observed = rng.normal(size=(2, 9, 12))
    predicted[:5] += 2 * observed[:5]
    left_out = rng.random((9, 12)) < share
    found = metrics.discrimination_scores(predicted, observed, distance=distance, left_out=left_out)
    np.testing.assert_allclose(found, naive(predicted, observed, distance, left_out))
    if not share:
        plain = metrics.discrimination_scores(predicted, observed, distance=distance)
        np.testing.assert_array_equal(found, plain)


def test_a_response_of_zero_points_nowhere():
    observed = np.eye(4)
    found = metrics.discrimination_scores(np.zeros((4, 4)), observed, distance="cosine")
    np.testing.assert_array_equal(found, 0.5)
    one_without = np.array([[1.0, 0.0], [0.0, 0.0]])
    near = metrics.discrimination_scores(one_without + 0.1, one_without, distance="cosine")
    assert near.tolist() == [1, 0]  # the second is at 1 from its own, and nearer to the first
    doubled = metrics.discrimination_scores(3 * observed, observed, distance="cosine")
    np.testing.assert_array_equal(doubled, 1.0)
    assert metrics.discrimination_scores(-observed, observed, distance="cosine").tolist() == [0] * 4


def test_leaving_genes_out_tells_equal_predictions_apart():
    """Why it is no default: one prediction for all has other scores than chance."""
    observed = np.diag([4.0, 3.0, 2.0, 1.0])
    same = np.zeros((4, 4))
    genes = ("A", "B", "C", "D")
    left_out = metrics.perturbed_genes([(name,) for name in genes], genes)
    np.testing.assert_array_equal(left_out, np.eye(4, dtype=bool))
    found = metrics.discrimination_scores(same, observed, left_out=left_out)
    np.testing.assert_array_equal(found, 1.0)
    assert metrics.discrimination_scores(same, observed).mean() == 0.5


def test_the_genes_of_combinations_and_of_drugs():
    found = metrics.perturbed_genes([("A", "C"), ("drug",), ()], ("A", "B", "C"))
    assert found.tolist() == [[True, False, True], [False] * 3, [False] * 3]
