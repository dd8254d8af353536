"""What a table says of a claim, on scores whose answer is known."""

import importlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp, wilcoxon

LEVELS = ["evaluation", "predictor", "seed", "context", "condition"]


@pytest.fixture
def v() -> Any:
    """The module, as scripts import it."""
    return importlib.import_module("tools.verdicts")


def scores(ahead: float, number: int = 12, metric: str = "pearson_delta") -> pd.DataFrame:
    """One row is ahead of the other by so much, give or take a little."""
    rng, rows = np.random.default_rng(0), {}
    base, apart = rng.uniform(0.2, 0.8, number), rng.normal(0, 0.02, number)
    for name, more in {"one": ahead + apart - apart.mean(), "other": 0 * apart}.items():
        for place in range(number):
            rows["e", name, 0, "", f"g{place}"] = {metric: base[place] + more[place]}
    found = pd.DataFrame.from_dict(rows, orient="index")
    found.index = pd.MultiIndex.from_tuples(found.index, names=LEVELS)
    return found.assign(**{name: found[metric] for name in ("mse",) if name != metric})


@pytest.mark.parametrize(
    ("ahead", "metric", "verdict"),
    [
        (0.1, "pearson_delta", "holds, of one training"),
        (-0.1, "pearson_delta", "contradicted, of one training"),
        (0.0, "pearson_delta", "not seen"),
        (0.1, "mse", "contradicted, of one training"),
        (-0.1, "mse", "holds, of one training"),
    ],
)
def test_a_claim_holds_if_the_interval_is_on_its_side(v, ahead, metric, verdict):
    table = scores(ahead, metric=metric)
    found = v.judged(table, [v.Claim("one is ahead", "one", "other", metric)])
    (row,) = found.to_dict("records")
    assert row["verdict"] == verdict
    assert row["difference"] == pytest.approx(ahead, abs=1e-9)
    assert (row["conditions"], row["seeds"]) == (12, 1)
    wide = table[metric].unstack("predictor")
    test: Any = wilcoxon(wide["one"], wide["other"])
    assert row["p"] == pytest.approx(test.pvalue)
    said = v.sentences(found)
    assert said.startswith(f"- one is ahead: **{verdict}** ({metric} {ahead:+.3f} [")
    assert "12 conditions, 1 seed).\n" in said
    assert said.endswith("the p of seeds is over trainings.")


def over_seeds(ahead: list[float]) -> pd.DataFrame:
    """One row is ahead by so much under each seed; the other draws nothing."""
    parts = [scores(size).rename(index={0: seed}, level="seed") for seed, size in enumerate(ahead)]
    kept = [part.xs("one", level="predictor", drop_level=False) for part in parts]
    return pd.concat([*kept, parts[0].xs("other", level="predictor", drop_level=False)])


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [
        ([0.1, 0.11, 0.09], "holds"),
        ([-0.1, -0.11, -0.09], "contradicted"),
        # Sure over conditions, and as likely the other way in another training.
        ([0.4, -0.1, 0.05], "not seen over seeds"),
    ],
)
def test_a_claim_holds_in_other_trainings_too(v, ahead, verdict):
    claims = [v.Claim("one is ahead", "one", "other")]
    (row,) = v.judged(over_seeds(ahead), claims, still=("other",)).to_dict("records")
    assert row["verdict"] == verdict
    assert row["seeds"] == 3
    test: Any = ttest_1samp(np.array(ahead), 0.0)
    assert row["p_seeds"] == pytest.approx(test.pvalue)
    assert row["low"] * row["high"] > 0
    found = pd.DataFrame([row])
    assert f"12 conditions; 3 seeds, p {v.probability(row['p_seeds'])})" in v.sentences(found)


def test_a_chance_near_the_level_is_told_with_the_side_that_it_is_on(v):
    near = (0.0476, 0.0512, 0.0496, 0.0504, 0.05, 0.04996)
    assert [v.probability(p) for p in near] == [
        "0.048",
        "0.051",
        "0.0496",
        "0.05",
        "0.05",
        "0.04996",
    ]
    assert [v.probability(p) for p in (0.3141, 0.00123)] == ["0.3", "0.001"]
    for p in np.random.default_rng(0).uniform(0.02, 0.12, 200):
        assert (float(v.probability(p)) < v.LEVEL) == (p < v.LEVEL)


def test_trainings_that_are_not_there_are_not_made_up(v):
    parts = [scores(size).rename(index={0: seed}, level="seed") for seed, size in enumerate([1, 1])]
    table, claims = pd.concat(parts), [v.Claim("one is ahead", "one", "other")]
    of = table.index.get_level_values
    lost = table[(of("predictor") != "other") | (of("seed") != 1)]
    (row,) = v.judged(lost, claims).to_dict("records")
    assert row["seeds"] == 1
    assert row["verdict"] == "holds, of one training"
    found = v.judged(lost, claims, broken=("other",))
    assert [row["verdict"] for row in found.to_dict("records")] == ["not made"]
    assert "- one is ahead: **not made**, a training of one of the two failed." in v.sentences(
        found
    )
    gone = v.judged(table[of("predictor") != "other"], claims, broken=("other",))
    assert gone["verdict"].tolist() == ["not made"]


def test_metrics_of_fewer_conditions_say_so(v):
    table = scores(0.1)
    table = table.assign(acc=np.where(np.arange(len(table)) == 0, np.nan, 0.5))
    text = v.apart(table, ["one"], "other", ["pearson_delta", "acc"])
    (line,) = [line for line in text.splitlines() if line.startswith("| one ")]
    assert line.startswith("| one | 12 | ")
    assert line.endswith(", n 11 |")


def test_seeds_that_agree_exactly_are_sure_unless_nothing_is_apart(v):
    assert v.chance(np.array([0.1, 0.1])) == 0.0
    assert v.chance(np.zeros(3)) == 1.0
    assert np.isnan(v.chance(np.array([0.1])))


def test_a_mean_that_a_few_conditions_make_is_not_seen(v):
    table = scores(0.0)
    rows = table.index.get_level_values("predictor") == "one"
    far = np.zeros(len(table))
    far[np.flatnonzero(rows)[:5]] = 1.0
    # Five conditions far ahead, seven a little behind: the interval is above zero.
    changed = table["pearson_delta"] + np.where(rows, far - 0.05 * (far == 0), 0.0)
    (row,) = v.judged(
        table.assign(pearson_delta=changed), [v.Claim("one is ahead", "one", "other")]
    ).to_dict("records")
    assert row["low"] > 0
    assert row["p"] > 0.05
    assert row["verdict"] == "not seen"


def test_few_conditions_say_nothing_and_rows_that_are_not_there_are_left_out(v):
    claims = [v.Claim("a", "one", "other"), v.Claim("b", "one", "none")]
    (row,) = v.judged(scores(0.3, number=5), claims).to_dict("records")
    assert row["verdict"] == "too few conditions"
    doses = scores(0.3, number=6).rename(lambda name: f"drug@{name[1:]}.5", level="condition")
    (row,) = v.judged(doses, claims[:1]).to_dict("records")
    assert (row["conditions"], row["verdict"]) == (6, "too few perturbations")
    assert v.judged(scores(0.3), claims[1:]).empty


def test_the_papers_value_stands_beside_each_row(v):
    text = v.means(scores(0.1), ["pearson_delta"], {"one": 0.5})
    head, _, one, other = text.splitlines()
    assert head == "| row | pearson_delta | paper: pearson_delta |"
    assert one.startswith("| one | ")
    assert one.endswith("] | 0.500 |")
    assert other.endswith("] |  |")


def test_the_spread_is_over_seeds_and_over_splits(v):
    rng, rows = np.random.default_rng(1), {}
    for name, seeds in {"drawn": 4, "fixed": 1}.items():
        for split in "ef":
            for seed in range(seeds):
                for place in range(5):
                    value = {"pearson_delta": rng.normal(), "mse": rng.normal()}
                    rows[split, name, seed, "", f"g{place}"] = value
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.index = pd.MultiIndex.from_tuples(table.index, names=LEVELS)
    table = table.sort_index()
    found = v.spread(table, ["pearson_delta", "mse"])
    assert {*found.index} == {("drawn", "seeds"), ("drawn", "splits"), ("fixed", "splits")}
    means = {
        split: [table.loc[split, "drawn", seed]["mse"].mean() for seed in range(4)]
        for split in "ef"
    }
    of_seeds = np.mean([np.std(own, ddof=1) for own in means.values()])
    assert found.loc[("drawn", "seeds"), "mse"] == pytest.approx(of_seeds)
    of_splits = np.std([np.mean(own) for own in means.values()], ddof=1)
    assert found.loc[("drawn", "splits"), "mse"] == pytest.approx(of_splits)
    one = v.spread(table.loc[["e"]], ["mse"])
    assert [*one.index] == [("drawn", "seeds")]
