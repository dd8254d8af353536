"""Metrics of changed genes, and genetic interactions, against definitions written out."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scbig import metrics
from scbig.metrics import (
    des,
    interaction,
    interaction_scores,
    overlap,
    top_overlap,
    weighted_scores,
)


def draw(seed, number, genes=40):
    return np.random.default_rng(seed).gamma(2, 0.5, (number, genes))


def test_des_is_the_rank_correlation_over_changed_genes():
    predicted, observed, control = draw(0, 3)
    changed = np.arange(40) % 3 == 0
    found = des(predicted, observed, control, changed)
    naive: Any = stats.spearmanr((predicted - control)[changed], (observed - control)[changed])
    assert found == pytest.approx(naive.statistic)
    ratio = des(predicted, observed, control, changed, fold="ratio")
    expected: Any = stats.spearmanr(
        np.log2(predicted / control)[changed], np.log2(observed / control)[changed]
    )
    assert ratio == pytest.approx(expected.statistic, abs=1e-6)
    assert ratio != pytest.approx(found)
    counts = des(predicted, observed, control, changed, fold="counts")
    expected = stats.spearmanr(
        (np.expm1(predicted) / np.expm1(control))[changed],
        (np.expm1(observed) / np.expm1(control))[changed],
    )
    assert counts == pytest.approx(expected.statistic)
    assert counts != pytest.approx(ratio)


def test_des_of_the_truth_of_its_opposite_and_of_nothing():
    observed, control = draw(1, 2)
    changed = np.arange(40) < 12
    assert des(observed, observed, control, changed) == pytest.approx(1)
    assert des(2 * control - observed, observed, control, changed) == pytest.approx(-1)
    assert np.isnan(des(control, observed, control, changed))
    assert np.isnan(des(observed, observed, control, np.arange(40) < 4))


def test_the_overlap_of_changed_genes():
    measured = np.arange(10) < 4
    found = overlap(np.arange(10) < 6, measured)
    assert found == {
        "de_jaccard": 4 / 6, "de_recall": 1.0, "de_precision": 4 / 6,
        "de_predicted": 6.0, "de_measured": 4.0,
    }  # fmt: skip
    none = overlap(np.zeros(10, bool), measured)
    assert none["de_jaccard"] == none["de_recall"] == 0
    assert np.isnan(none["de_precision"])
    assert np.isnan(overlap(np.zeros(10, bool), np.zeros(10, bool))["de_jaccard"])


def test_the_overlap_of_the_most_changed_genes():
    measured, predicted = np.array([4.0, -3, 2, 1, 0]), np.array([1.0, 4, -3, 0, 2])
    called = measured >= -3, np.array([True, True, True, False, False])
    # Ranked: 0 1 2 3 4 and 1 2 0.
    assert top_overlap(predicted, measured, (called[1], called[0])) == 3 / 5
    assert top_overlap(predicted, measured, (called[1], called[0]), of="predicted") == 1
    assert top_overlap(predicted, measured, (called[1], called[0]), top=2) == 1 / 2
    assert top_overlap(predicted, measured, (called[1], called[0]), top=1) == 0
    assert top_overlap(predicted, measured, (called[1], np.zeros(5, bool)), of="predicted") == 0
    assert top_overlap(predicted, measured, (np.zeros(5, bool), called[0])) == 0


def test_weighted_errors_are_those_of_a_loop():
    predicted, observed, control, weights = draw(2, 4)
    found = weighted_scores(predicted, observed, control, weights)
    total = sum(weights)
    error = sum(w * (p - x) ** 2 for w, p, x in zip(weights, predicted, observed, strict=True))
    delta = observed - control
    mean = sum(w * d for w, d in zip(weights, delta, strict=True)) / total
    spread = sum(w * (d - mean) ** 2 for w, d in zip(weights, delta, strict=True))
    assert found["wmse"] == pytest.approx(error / total)
    assert found["r2_delta"] == pytest.approx(1 - error / spread)
    assert weighted_scores(observed, observed, control, weights) == {"wmse": 0, "r2_delta": 1}
    assert np.isnan(weighted_scores(observed, control + 1, control, weights)["r2_delta"])
    # Only the genes with a weight count.
    few = np.where(np.arange(40) < 3, weights, 0)
    changed = np.where(np.arange(40) < 3, observed, 9.0)
    assert weighted_scores(changed, observed, control, few)["wmse"] == 0
    for wrong in (-weights, 0 * weights):
        with pytest.raises(ValueError, match="must not be below zero"):
            weighted_scores(predicted, observed, control, wrong)


def naive_distance_correlation(x, y):
    x, y = (np.asarray(own).reshape(len(own), -1) for own in (x, y))
    number = len(x)

    def centred(points):
        d = np.array([[np.linalg.norm(p - q) for q in points] for p in points])
        whole = d.mean()
        rows = [
            [d[i, j] - d[i].mean() - d[:, j].mean() + whole for j in range(number)]
            for i in range(number)
        ]
        return np.array(rows)

    a, b = centred(x), centred(y)
    return np.sqrt(np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b)))


def test_the_distance_correlation_is_that_of_its_definition():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(15, 2)), rng.normal(size=15)
    y += x[:, 0] ** 2
    found = metrics.distance_correlation(x, y)
    assert found == pytest.approx(naive_distance_correlation(x, y))
    assert metrics.distance_correlation(x, 3 - 2 * x) == pytest.approx(1)
    assert np.isnan(metrics.distance_correlation(x, np.ones(15)))


def test_singles_that_add_up_have_no_interaction():
    first, second = np.random.default_rng(1).normal(size=(2, 200))
    found = interaction(first + second, first, second)
    assert found.magnitude == pytest.approx(np.sqrt(2))
    assert found.dominance == pytest.approx(0, abs=1e-9)
    assert found.fit == pytest.approx(1)
    synergy = interaction(3 * first + 3 * second, first, second)
    assert synergy.magnitude == pytest.approx(3 * np.sqrt(2))
    one = interaction(first + 0.01 * second, first, second)
    assert one.dominance == pytest.approx(2)
    new = interaction(np.random.default_rng(2).normal(size=200), first, second)
    assert new.fit < 0.5 < found.fit
    assert interaction(first, first, 2 * first).redundancy == pytest.approx(1)
    assert found.redundancy < 0.3
    assert np.isnan(interaction(0 * first, first, second).magnitude)


def test_a_prediction_is_judged_by_what_it_knows_beyond_the_sum():
    first, second, more = np.random.default_rng(3).normal(size=(3, 100))
    truth = first + second + more
    perfect = interaction_scores(truth, truth, first, second)
    assert perfect["gi_pearson"] == pytest.approx(1)
    assert perfect["gi_error"] == 0
    assert all(perfect[f"gi_{name}"] == 0 for name in ("magnitude", "dominance", "fit"))
    additive = interaction_scores(first + second, truth, first, second)
    assert np.isnan(additive["gi_pearson"])
    assert additive["gi_error"] == pytest.approx(1)
    rounded = (first.astype(np.float32) + second.astype(np.float32)).astype(np.float64)
    assert np.isnan(interaction_scores(rounded, truth, first, second)["gi_pearson"])
    worst = interaction_scores(first + second - more, truth, first, second)
    assert worst["gi_pearson"] == pytest.approx(-1)
    assert worst["gi_error"] == pytest.approx(4)
    assert np.isnan(interaction_scores(truth, first + second, first, second)["gi_error"])


@pytest.mark.parametrize("correction", ["bh", "bonferroni"])
def test_changed_genes_are_scored_in_the_table_if_asked_for(correction):
    rng = np.random.default_rng(0)
    rates = rng.gamma(2, 1, 30)
    effects = {"control": 0 * rates, "A": rng.normal(0, 1, 30), "B": rng.normal(0, 1, 30)}
    labels = np.repeat([*effects], 30)

    def draw_cells(seed):
        means = np.stack([rates * np.exp(effects[label]) for label in labels])
        values = np.log1p(np.random.default_rng(seed).poisson(means) * 1.3)
        obs = pd.DataFrame({"condition": labels}, pd.Index([f"c{row}" for row in range(90)]))
        return ad.AnnData(
            values, obs=obs, var=pd.DataFrame(index=pd.Index([f"g{g}" for g in range(30)]))
        )

    predicted, observed = draw_cells(1), draw_cells(2)
    table = metrics.evaluate(predicted, observed, changed=correction)
    cells = lambda adata, label: np.asarray(adata.X)[labels == label]
    for name in ("A", "B"):
        p = [
            stats.mannwhitneyu(
                cells(side, name), cells(observed, "control"), method="asymptotic"
            ).pvalue
            for side in (predicted, observed)
        ]
        adjust = stats.false_discovery_control if correction == "bh" else lambda own: own * 30
        guess, truth = (adjust(own) < 0.05 for own in p)
        assert table.loc[name, "de_measured"] == truth.sum()
        assert table.loc[name, "de_jaccard"] == (guess & truth).sum() / (guess | truth).sum()
        means = [cells(*own).mean(axis=0) for own in ((predicted, name), (observed, name))]
        folds: Any = [own - cells(observed, "control").mean(axis=0) for own in means]
        expected: Any = stats.spearmanr(folds[0][truth], folds[1][truth])
        assert table.loc[name, "des"] == pytest.approx(expected.statistic)
    assert "des" not in metrics.evaluate(predicted, observed)
    with pytest.raises(ValueError, match="metrics called 'des'"):
        metrics.evaluate(predicted, observed, metrics={"des": lambda *_: 0.0})
