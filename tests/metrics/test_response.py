"""Metrics on mean profiles, against scipy, scikit-learn and cases worked by hand."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, mean_squared_error
from sklearn.metrics.pairwise import cosine_similarity

from scbig import metrics


@pytest.fixture
def means():
    rng = np.random.default_rng(0)
    return rng.uniform(0.1, 3, (3, 60))  # predicted, observed, control


def test_all_scores_agree_with_other_libraries(means):
    predicted, observed, control = means
    scores = metrics.response_scores(predicted, observed, control)
    guess, truth = predicted - control, observed - control
    strongest = sorted(range(60), key=lambda g: -abs(truth[g]))[:20]
    assert scores["pearson_delta"] == pytest.approx(stats.pearsonr(guess, truth)[0])
    assert scores["pearson_delta_deg20"] == pytest.approx(
        stats.pearsonr(guess[strongest], truth[strongest])[0]
    )
    assert scores["acc"] == sum((g > 0) == (t > 0) for g, t in zip(guess, truth, strict=True)) / 60
    assert scores["acc_deg20"] == sum((guess[i] > 0) == (truth[i] > 0) for i in strongest) / 20
    assert scores["mse"] == pytest.approx(mean_squared_error(observed, predicted))
    assert scores["mae"] == pytest.approx(mean_absolute_error(observed, predicted))
    assert scores["l2"] == pytest.approx(math.dist(observed, predicted))
    assert scores["discr_cos"] == pytest.approx(cosine_similarity([guess], [truth])[0, 0])


def test_the_control_as_prediction_has_no_correlation_and_no_direction(means):
    _, observed, control = means
    scores = metrics.response_scores(control, observed, control)
    assert math.isnan(scores["pearson_delta"])
    assert math.isnan(scores["pearson_delta_deg20"])
    assert math.isnan(scores["discr_cos"])
    # No change counts as down, on both sides.
    assert scores["acc"] == np.mean(observed <= control)


def test_rounding_of_the_control_is_not_a_response(means):
    _, observed, control = means
    rounded = control.astype(np.float32)
    assert np.any(rounded != control)
    assert math.isnan(metrics.response_scores(rounded, observed, control)["pearson_delta"])


def test_a_constant_response_has_no_correlation(means):
    _, observed, control = means
    assert math.isnan(metrics.pearson(np.full(60, 0.1), observed - control))


def test_strongest_genes_are_those_of_the_truth():
    truth = np.array([0.1, -3.0, 0.0, 2.0, -2.0])
    assert metrics.top_genes(truth, 3).tolist() == [1, 3, 4]  # a tie goes to the lower index
    assert sorted(metrics.top_genes(truth, 20)) == [0, 1, 2, 3, 4]


def test_tiny_and_huge_responses_neither_vanish_nor_overflow():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 30))
    for scale in (1e-200, 1e200):
        assert metrics.pearson(scale * x, y) == pytest.approx(stats.pearsonr(x, y)[0])
        assert metrics.cosine(scale * x, y) == pytest.approx(metrics.cosine(x, y))
