"""Where scores stand: between anchors, against the best simple rule, by strata."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import wilcoxon

from scbig import baselines
from scbig.baselines import by_condition
from scbig.data import Condition, Screen

CONDITIONS = [f"c{n}" for n in range(12)]


def scores(**values: np.ndarray) -> pd.DataFrame:
    parts = {
        name: pd.DataFrame(
            {"pearson_delta": own, "mse": 1 - own}, index=pd.Index(CONDITIONS, name="condition")
        )
        for name, own in values.items()
    }
    return pd.concat(parts, names=["predictor"])


RNG = np.random.default_rng(0)
TABLE = scores(
    **{
        "perturbed mean": RNG.uniform(0.0, 0.3, 12),
        "additive": RNG.uniform(0.4, 0.8, 12),
        "model": RNG.uniform(0.5, 0.9, 12),
        "split-half": RNG.uniform(0.8, 0.95, 12),
    }
)


def test_two_halves_say_what_two_measurements_would():
    # A response of 4,000 genes, measured four times with the noise of half of the cells.
    rng = np.random.default_rng(1)
    truth = rng.normal(size=4000)
    a, b, c, d = (truth + 1.2 * rng.normal(size=4000) for _ in range(4))
    half = np.corrcoef(a, b)[0, 1]
    whole = np.corrcoef((a + b) / 2, (c + d) / 2)[0, 1]
    own = scores(**{"split-half": np.full(12, half)})
    found: Any = baselines.with_replicate(own).xs("replicate", level="predictor")
    assert found["pearson_delta"].iloc[0] == pytest.approx(whole, abs=0.02)
    assert whole > half + 0.1
    assert found["mse"].isna().all()


def test_genes_chosen_by_one_half_have_no_replicate():
    # Forty genes alike, measured with noise: the strongest 20 of a half are those of its noise.
    rng = np.random.default_rng(1)
    found: dict[str, list[float]] = {"halves": [], "wholes": []}
    for _ in range(100):
        truth = np.where(np.arange(2000) < 40, 1 + 0.2 * rng.normal(size=2000), 0.0)
        a, b, c, d = (truth + 0.4 * rng.normal(size=2000) for _ in range(4))
        for name, one, other in (("halves", a, b), ("wholes", (a + b) / 2, (c + d) / 2)):
            top = np.argsort(-np.abs(other))[:20]
            found[name].append(np.corrcoef(one[top], other[top])[0, 1])
    half, whole = np.mean(found["halves"]), np.mean(found["wholes"])
    assert whole < half  # where the formula would have it larger
    own = scores(**{"split-half": np.full(12, half)}).rename(
        columns={"pearson_delta": "pearson_delta_deg20"}
    )
    told: Any = baselines.with_replicate(own).xs("replicate", level="predictor")
    assert told["pearson_delta_deg20"].isna().all()


def test_a_negative_correlation_of_halves_stays_one():
    own = scores(**{"split-half": np.full(12, -0.2)})
    found = baselines.with_replicate(own).xs("replicate", level="predictor")
    np.testing.assert_allclose(found["pearson_delta"], -0.2)


@pytest.mark.parametrize("metric", ["pearson_delta", "mse"])
def test_scaled_scores_lie_between_the_anchors(metric):
    found = baselines.scaled(TABLE, metric)
    means = TABLE[metric].groupby("predictor").mean()
    assert found["perturbed mean"].mean == pytest.approx(0.0, abs=1e-12)
    assert found["split-half"].mean == pytest.approx(1.0)
    for name in ("additive", "model"):
        low, high = means["perturbed mean"], means["split-half"]
        assert found[name].mean == pytest.approx((means[name] - low) / (high - low))
        assert found[name].low < found[name].mean < found[name].high
    assert found["model"].number == 12


def test_the_interval_of_a_ratio_is_that_of_conditions_drawn_together():
    found = baselines.scaled(TABLE, "pearson_delta")["model"]
    wide = TABLE["pearson_delta"].unstack("predictor")
    rng = np.random.default_rng(5)
    draws = []
    for _ in range(4000):
        own = wide.iloc[rng.integers(0, 12, 12)].mean()
        draws.append(
            (own["model"] - own["perturbed mean"]) / (own["split-half"] - own["perturbed mean"])
        )
    assert (found.low, found.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.02)


@pytest.mark.parametrize("metric", ["pearson_delta", "mse"])
def test_between_anchors_that_do_not_differ_there_is_no_scale(metric):
    other = np.random.default_rng(3).uniform(0.0, 0.3, 12)
    like = scores(**{"perturbed mean": np.full(12, 0.15), "split-half": other, "model": other + 1})
    worse = scores(**{"perturbed mean": other + 0.5, "split-half": other, "model": other})
    for table in (like, worse):
        found = baselines.scaled(table, metric)
        assert all(np.isnan(own.mean) and str(own) == "" for own in found.values())
    reached = scores(**{"perturbed mean": other, "split-half": other + 0.5, "model": other + 0.5})
    assert baselines.scaled(reached, metric)["model"].mean == pytest.approx(1.0)


def test_without_an_anchor_nothing_is_scaled():
    with pytest.raises(ValueError, match="No scores of 'nothing'"):
        baselines.scaled(TABLE, "mse", low="nothing")


@pytest.mark.parametrize(("metric", "sign"), [("pearson_delta", 1), ("mse", -1)])
def test_the_best_rule_is_paid_for(metric, sign):
    best, found = baselines.against_best(
        TABLE, "model", ["perturbed mean", "additive", "unknown"], metric
    )
    wide = TABLE[metric].unstack("predictor").loc[CONDITIONS]
    apart = sign * (wide["model"] - wide["additive"]).to_numpy()
    assert best == "additive"
    assert found.mean == pytest.approx(apart.mean())
    assert found.low < found.mean < found.high
    test: Any = wilcoxon(apart)
    assert found.chance == pytest.approx(min(1.0, 2 * test.pvalue))


def test_a_predictor_is_not_held_against_itself():
    best, found = baselines.against_best(TABLE, "additive", ["additive", "perturbed mean"])
    assert best == "perturbed mean"
    assert found.number == 12
    with pytest.raises(ValueError, match="to compare 'additive' with"):
        baselines.against_best(TABLE, "additive", ["additive"])


def test_thirds_of_the_conditions():
    numbers = pd.Series(np.arange(12.0)[::-1], index=CONDITIONS, name="effect")
    found = baselines.strata(TABLE, {"effect": numbers})
    own = TABLE.xs("model", level="predictor")["pearson_delta"]
    assert found.loc["model", ("effect", "high")] == pytest.approx(own.iloc[:4].mean())
    assert found.loc["model", ("effect", "low")] == pytest.approx(own.iloc[-4:].mean())
    assert found.loc["conditions"].tolist() == [4, 4, 4]


def test_conditions_without_a_number_are_in_no_third():
    numbers = pd.Series([1.0, 2.0, np.nan], index=CONDITIONS[:3])
    found = baselines.strata(TABLE, {"x": numbers})
    assert found.loc["conditions"].sum() == 2


def test_conditions_of_one_number_are_in_one_third():
    numbers = pd.Series([0.0] * 8 + [1.0, 2.0, 3.0, 4.0], index=CONDITIONS)
    found = baselines.strata(TABLE, {"effect": numbers})
    assert sorted(found.loc["conditions"]) == [0, 4, 8]
    back = baselines.strata(TABLE.iloc[::-1], {"effect": numbers.iloc[::-1]})
    pd.testing.assert_frame_equal(found, back.loc[found.index])


def test_what_is_undefined_for_a_condition_is_undefined_in_its_third():
    own = TABLE.copy()
    own.loc[("model", "c0"), "pearson_delta"] = np.nan
    numbers = pd.Series(np.arange(12.0), index=CONDITIONS)
    found = baselines.strata(own, {"effect": numbers}).loc["model"]
    assert np.isnan(found["effect", "low"])
    assert np.isfinite(found["effect", "high"])


def test_what_is_undefined_under_one_seed_is_undefined():
    seeds: Any = pd.concat([TABLE, TABLE], keys=["0", "1"], names=["seed"])
    seeds.loc[("1", "model", "c0"), "pearson_delta"] = np.nan
    wide = by_condition(seeds, "pearson_delta", ("condition",))
    assert np.isnan(wide.loc["c0", "model"])
    assert np.isfinite(wide["model"].to_numpy()).sum() == 11
    assert np.isfinite(wide["additive"].to_numpy()).all()


def test_a_condition_that_defines_a_metric_for_nobody_is_left_out_for_all():
    own = pd.concat([TABLE, TABLE.loc[["model"]].rename({"model": "split-half"})])
    everyone = {*TABLE.index.get_level_values("predictor")}
    own = own.sort_index()
    for name in everyone:
        own.loc[(name, "c3"), "pearson_delta"] = np.nan
    wide = by_condition(own, "pearson_delta", ("condition",))
    assert "c3" not in wide.index
    assert len(wide) == 11
    averages = baselines.averages(own)
    rest = [name for name in CONDITIONS if name != "c3"]
    for name in everyone:
        values = [own.loc[(name, c), "pearson_delta"] for c in rest]
        assert averages.loc[name, "pearson_delta"] == pytest.approx(np.mean(values))
    # Seeds, under a further level, weigh the same.
    seeds = baselines.averages(pd.concat([own, own], keys=[0, 1], names=["seed"]))
    pd.testing.assert_frame_equal(seeds, averages)
    # One that another row has is a hole of this row, whose mean would be of fewer conditions.
    own.loc[("model", "c4"), "pearson_delta"] = np.nan
    averages = baselines.averages(own)
    assert np.isnan(averages.loc["model", "pearson_delta"])
    assert np.isfinite(averages.loc["additive", "pearson_delta"])


def test_effects_are_told_from_the_noise_of_few_cells():
    rng = np.random.default_rng(2)
    sizes = {"": 30, "A": 50, "B": 8}
    cells = {n: rng.normal(5.0, 1.0, (size, 300)) for n, size in sizes.items()}
    cells["A"][:, :100] += 1.5
    screen = Screen(
        expression=sparse.csr_matrix(np.concatenate(list(cells.values())).astype(np.float32)),
        genes=tuple(f"g{n}" for n in range(300)),
        cells=tuple(map(str, range(88))),
        conditions=tuple(sorted([Condition(()), Condition(("A",)), Condition(("B",))],
                                key=lambda c: c.name)),
        condition_index=np.repeat([2, 0, 1], list(sizes.values())).astype(np.int32),
        context_index=np.zeros(88, np.int32),
    )  # fmt: skip
    found = baselines.effect_norms(screen)
    # Without the noise of few cells B has no effect, and A the one it was given.
    measured = np.linalg.norm(cells["B"].mean(axis=0) - cells[""].mean(axis=0))
    assert found["A"] == pytest.approx(15.0, rel=0.03)
    assert found["B"] < 0.6 * measured
