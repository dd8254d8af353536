"""Intervals of means over conditions, and of differences between predictors."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scbig.baselines import decimals, interval, paired, things_of


def table(rng, *, seeds=2, conditions=12, ahead=0.1):
    """Two predictors under several seeds, of which one is ahead."""
    noise = rng.normal(scale=0.05, size=(seeds, conditions))
    rows = [
        {"seed": s, "predictor": name, "condition": f"c{c}", "pearson_delta": c / 20 + extra[s, c]}
        for s in range(seeds)
        for name, extra in (("one", ahead + noise), ("other", 0 * noise))
        for c in range(conditions)
    ]
    return pd.DataFrame(rows).set_index(["seed", "predictor", "condition"]), noise


def test_an_interval_is_near_that_of_scipys_bootstrap():
    values = np.random.default_rng(1).gamma(2.0, size=40)
    found = interval(values)
    other = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert found.mean == pytest.approx(values.mean())
    assert found.number == 40
    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=0.04)


def test_seeds_are_not_conditions():
    scores, noise = table(np.random.default_rng(0))
    found = paired(scores, "one", "other")
    each = 0.1 + noise.mean(axis=0)
    assert found.number == 12
    assert found.mean == pytest.approx(each.mean())
    test: Any = stats.wilcoxon(each)
    assert found.chance == pytest.approx(test.pvalue)
    assert found.low < found.mean < found.high
    apart = paired(scores, "one", "other", over=("seed", "condition"))
    assert apart.number == 24


def test_equal_predictors_differ_by_chance_alone():
    scores, _ = table(np.random.default_rng(0), ahead=0.0)
    scores.loc[:, "pearson_delta"] = 0.5
    assert paired(scores, "one", "other").chance == 1.0


def test_what_is_undefined_stays_so():
    assert str(interval(np.array([0.1, np.nan]))) == ""
    assert str(interval(np.zeros(0))) == ""
    scores, _ = table(np.random.default_rng(0))
    scores.iloc[0] = np.nan
    found = paired(scores, "one", "other")
    assert found.number == 12  # the other seed has it
    rest = noise_of(scores)
    assert found.mean == pytest.approx(rest)
    assert paired(scores.iloc[:-3], "one", "other").number == 12  # rows that are not there
    with pytest.raises(ValueError, match="No scores of 'third'; the table has one, other"):
        paired(scores, "third", "other")


def noise_of(scores):
    """The mean over conditions of the mean over seeds of what is defined on both sides."""
    wide = scores.pearson_delta.unstack("predictor")
    return (wide["one"] - wide["other"]).groupby("condition").mean().mean()


def test_seeds_of_unlike_difficulty_are_subtracted_one_by_one():
    """Where one predictor is undefined under the harder seed it is not ahead for that."""
    rows = [
        {"seed": s, "predictor": name, "condition": f"c{c}", "pearson_delta": level}
        for s, level in enumerate((0.1, 0.9))
        for name in ("one", "other")
        for c in range(6)
    ]
    scores = pd.DataFrame(rows).set_index(["seed", "predictor", "condition"])
    scores.loc[(0, "one")] = np.nan
    found = paired(scores, "one", "other")
    assert (found.mean, found.chance) == (0.0, 1.0)


def test_what_draws_nothing_is_held_against_every_seed():
    scores, noise = table(np.random.default_rng(0), seeds=3)
    rule = (scores.index.get_level_values("predictor") == "other") & (
        scores.index.get_level_values("seed") > 0
    )
    found = paired(scores.loc[~rule], "one", "other")
    each = 0.1 + noise.mean(axis=0)  # of all three seeds, not of the one that the rule has
    assert found.mean == pytest.approx(each.mean())
    test: Any = stats.wilcoxon(each)
    assert found.chance == pytest.approx(test.pvalue)
    back = paired(scores.loc[~rule], "other", "one")
    assert back.mean == pytest.approx(-each.mean())


def test_contexts_of_a_perturbation_are_drawn_together():
    """Cells of the same perturbation in more contexts are no further perturbations."""
    scores, _ = table(np.random.default_rng(3))
    places = ("x", "y", "z")
    repeated: Any = pd.concat([scores] * 3, keys=places, names=["context"])
    once, many = paired(scores, "one", "other"), paired(repeated, "one", "other")
    assert many.number == 3 * once.number
    assert many.chance == pytest.approx(once.chance)
    np.testing.assert_allclose([many.mean, many.low, many.high], [once.mean, once.low, once.high])


def test_doses_of_a_drug_are_drawn_together():
    scores, _ = table(np.random.default_rng(3))
    at = lambda dose: scores.rename(index=lambda name: f"{name}@{dose}", level="condition")
    repeated: Any = pd.concat([at(1), at(10)])
    once, many = paired(scores, "one", "other"), paired(repeated, "one", "other")
    assert (many.number, many.chance) == (2 * once.number, pytest.approx(once.chance))
    np.testing.assert_allclose([many.low, many.high], [once.low, once.high])
    # A pair and a drug are two things, whatever the doses.
    index = pd.Index(["A@1+B@1", "A@10+B@1", "A@1", "A+B"], name="condition")
    assert len({*things_of(index)}) == 2


def test_unlike_numbers_of_contexts_are_drawn_as_in_a_loop():
    rng = np.random.default_rng(0)
    of = np.array([3, 3, 3, 5, 7, 7, 8])
    values = rng.normal(size=len(of))
    found = interval(values, of=of, seed=4)
    drawn = []
    for row in np.random.default_rng(4).integers(0, 4, (2000, 4)):
        own = [
            value
            for place in row
            for value, name in zip(values, of, strict=True)
            if name == (3, 5, 7, 8)[place]
        ]
        drawn.append(np.mean(own))
    np.testing.assert_allclose([found.low, found.high], np.quantile(drawn, [0.025, 0.975]))
    assert found.mean == pytest.approx(values.mean())


def test_small_scores_have_differences_too():
    scores, _ = table(np.random.default_rng(0))
    found = paired(scores * 1e-6, "one", "other")
    assert found.chance == paired(scores, "one", "other").chance
    assert "0.00000 [" not in str(found)


def test_a_column_has_as_many_decimals_as_most_of_it_needs():
    sizes = (0.004, 0.0042, 0.03, 0.0, np.nan)
    column = [interval(np.array([size, 1.1 * size])) for size in sizes]
    assert decimals(column) == 5
    assert decimals([interval(np.array([0.5])), *column[:1], interval(np.array([0.9]))]) == 3
    assert decimals(column[3:]) == 3
    assert str(column[2]).startswith("0.032 [")
    assert column[2].told(5) == "0.03150 [0.03000, 0.03300]"
    assert column[4].told(5) == ""


def test_a_difference_is_printed_with_its_sign_and_chance():
    scores, _ = table(np.random.default_rng(0))
    told = str(paired(scores, "one", "other"))
    assert told.startswith("+0.")
    assert ", p 0.0005" in told
