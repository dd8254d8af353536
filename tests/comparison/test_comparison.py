"""From predictors, splits and seeds to one table."""

import dataclasses
import json
import pathlib
from typing import Any, ClassVar

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest

import scbig
from scbig import baselines, comparison, metrics, plotting
from scbig.baselines import AbstractRecipe, Rule
from scbig.data import Columns, Screen, control_cells
from scbig.priors import EmbeddingTable

TRAIN = ["g0", "g1", "g2", "g3"]
PRIORS = scbig.Priors(genes=EmbeddingTable(("g0", "g1"), np.eye(2, dtype=np.float32)))


def fold(*test: str) -> scbig.Split:
    others = {"g0+g1", "g0+g2", "g0+g3", "g1+g3", "g2+g3"} - {*test}
    return scbig.Split.of(name=f"without {test[0]}", train=[*TRAIN, *others], test=test)


FOLDS = comparison.Evaluation("folds", (fold("g0+g1", "g0+g2"), fold("g0+g3", "g1+g3", "g2+g3")))
RULES = ("control", "perturbed mean", "additive", "residual transfer")


class Noisy(AbstractRecipe):
    """Additive with noise of its own, for a predictor that draws."""

    size: float = 0.3
    draws: ClassVar[bool] = True

    def fit(self, screen: Screen, split: scbig.Split, priors: Any, *, progress=True, key) -> Any:
        known = baselines.Additive.fit(baselines.known_cells(screen, split))
        noise = self.size * np.asarray(jr.normal(key, known.deltas.shape))
        return dataclasses.replace(known, deltas=known.deltas + noise)


@pytest.fixture
def plan(four_genes: Screen, tmp_path: pathlib.Path) -> comparison.Comparison:
    recipes = {name: Rule(comparison.RULES[name]) for name in RULES}
    return comparison.Comparison(
        screen=four_genes,
        priors=PRIORS,
        evaluations=(FOLDS,),
        recipes={**recipes, "noisy": Noisy()},
        seeds=(0, 1),
        out=tmp_path / "run",
    )


def supported(screen: Screen) -> pd.DataFrame:
    return metrics.support(screen).assign(effect=baselines.effect_norms(screen))


def run(plan: comparison.Comparison) -> pd.DataFrame:
    assert comparison.predict_all(plan, progress=False, say=lambda _: None) == {}
    return comparison.score_all(plan, max_cells=20)


def test_every_predictor_is_scored_on_every_condition(plan):
    scores = run(plan)
    sizes = scores.groupby(["predictor", "seed"]).size()
    assert sizes.to_dict() == {
        **{(name, 0): 5 for name in (*RULES, "noisy", "split-half")},
        ("noisy", 1): 5,
    }
    means = scores["mse"].groupby("predictor").mean()
    assert means["split-half"] < means["additive"] < means["perturbed mean"]


def test_the_scores_are_those_of_compare(plan, four_genes):
    # With everything in one fold, `compare` is the same judgement by another way.
    one = dataclasses.replace(
        plan, evaluations=(comparison.Evaluation("one", (fold("g0+g1", "g0+g2"),)),)
    )
    scores = run(one).xs("additive", level="predictor").droplevel(["evaluation", "seed"])
    training = four_genes.without(["g0+g1", "g0+g2"])
    table = baselines.compare(
        {"additive": baselines.Additive.fit(training)},
        four_genes, four_genes, ["g0+g1", "g0+g2"],
        key=jr.key(0), reference=training, max_cells=20,
    )  # fmt: skip
    other = table.xs("additive", level="predictor")
    columns = ["pearson_delta", "mse", "pds", "acc"]
    np.testing.assert_allclose(scores[columns], other[columns], rtol=1e-4, atol=1e-6)


def test_what_was_made_is_not_made_again(plan):
    told: list[str] = []
    comparison.predict_all(plan, progress=False, say=told.append)
    assert len(told) == 2 * (len(RULES) + 2)
    before = run(plan)
    lost = next((plan.out / "folds" / "noisy").glob("fold1-seed1.json"))
    lost.unlink()
    told.clear()
    comparison.predict_all(plan, progress=False, say=told.append)
    assert told == ["folds, fold 1, seed 1: noisy"]
    pd.testing.assert_frame_equal(before, comparison.score_all(plan, max_cells=20))


def test_a_table_may_be_of_what_is_there(plan):
    first = dataclasses.replace(plan, seeds=plan.seeds[:1])
    comparison.predict_all(first, progress=False, say=lambda _: None)
    lacking = comparison.missing(plan)
    drawn = [name for name in lacking if name.endswith(f"seed{plan.seeds[1]}")]
    assert lacking
    assert drawn == [*lacking]
    assert {*lacking.values()} == {"not made"}
    assert comparison.missing(first) == {}
    scores = comparison.score_all(plan, max_cells=20)
    pd.testing.assert_frame_equal(scores, comparison.score_all(first, max_cells=20))


def test_what_could_not_be_made_is_missing_for_a_reason(plan):
    lacking = {"ridge on vectors": Rule(comparison.RULES["ridge on vectors"])}
    plan = dataclasses.replace(plan, recipes=lacking)
    failed = comparison.predict_all(plan, progress=False, say=lambda _: None)
    assert failed
    assert comparison.missing(plan) == failed


def test_a_folder_of_other_settings_is_refused(plan):
    comparison.predict_all(plan, progress=False, say=lambda _: None)
    other = dataclasses.replace(plan, recipes={**plan.recipes, "noisy": Noisy(0.2)})
    with pytest.raises(ValueError, match="noisy.*made from other cells, priors or settings"):
        comparison.predict_all(other, progress=False, say=lambda _: None)


def test_what_cannot_be_made_is_told_and_the_others_go_on(plan):
    lacking = {**plan.recipes, "ridge on vectors": Rule(comparison.RULES["ridge on vectors"])}
    plan = dataclasses.replace(plan, recipes=lacking)
    told: list[str] = []
    failed = comparison.predict_all(plan, progress=False, say=told.append)
    assert [path for path in failed if "ridge" in path] == list(failed)
    assert all("have no embedding: 'g2', 'g3'" in why for why in failed.values())
    assert any("have no embedding" in line for line in told)
    scores = comparison.score_all(plan, max_cells=20)
    assert "ridge on vectors" not in scores.index.get_level_values("predictor")
    text = comparison.page(scores, comparison.costs(plan), supported(plan.screen), failed=failed)
    # Of all folds and seeds, one reason.
    assert text.count("have no embedding: 'g2', 'g3'") == len({*failed.values()})
    mean = dataclasses.replace(plan, priors=dataclasses.replace(plan.priors, missing="mean"))
    mean = dataclasses.replace(mean, out=plan.out / "mean")
    assert comparison.predict_all(mean, progress=False, say=told.append) == {}


def test_predicted_cells_say_what_they_rest_on(plan, four_genes):
    comparison.predict_all(plan, progress=False, say=lambda _: None)
    path = plan.out / "folds" / "noisy" / "fold0-seed1.h5ad"
    cells, facts = comparison.read_prediction(path)
    assert facts["split_hash"] == FOLDS.splits[0].hash
    assert (facts["scale"], facts["seed"], facts["predictor"]) == ("log1p", 1, "noisy")
    assert tuple(facts["genes"]) == four_genes.genes
    assert set(cells.obs["condition"]) == {"g0+g1", "g0+g2"}
    both = ad.read_h5ad(path)
    assert tuple(both.var_names) == four_genes.genes
    assert (both.obs["condition"] == "control").sum() == 24
    four_genes.to_anndata().write_h5ad(plan.out / "other.h5ad")
    with pytest.raises(ValueError, match="is no prediction of a comparison"):
        comparison.read_prediction(plan.out / "other.h5ad")


def test_the_page_has_a_row_for_each_and_says_what_it_rests_on(plan, tmp_path):
    scores = run(plan)
    text = comparison.page(
        scores, comparison.costs(plan), supported(plan.screen),
        published={"noisy": 0.5}, published_split="a split of theirs",
    )  # fmt: skip
    assert "5 tested conditions, of 24 to 24 cells" in text
    assert "against 24 to 24 controls" in text
    assert "published (a split of theirs)" in text
    rows = [line for line in text.splitlines() if line.startswith("| noisy |")]
    assert len(rows) == 4  # scores, standing, strata, costs
    mean = scores["pearson_delta"].groupby("predictor").mean()["noisy"]
    assert f"{mean:.3f} [" in rows[0]
    figure = plotting.standing(comparison.summary(scores))
    plotting.save(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_the_costs_are_measured(plan):
    comparison.predict_all(plan, progress=False, say=lambda _: None)
    costs = comparison.costs(plan)
    assert len(costs) == 2 * (len(RULES) + 2)
    assert (costs[["fit_seconds", "predict_seconds"]] > 0).all(axis=None)
    record = json.loads((plan.out / "folds" / "control" / "fold0-seed0.json").read_text())
    assert record["cost"]["megabytes"] > 50


def test_cells_from_elsewhere_are_a_predictor(plan, four_genes, tmp_path):
    path = tmp_path / "peer.h5ad"
    names = ["g0+g1", "g0+g2", "g0+g3", "g1+g3", "g2+g3"]
    made = baselines.Additive.fit(four_genes).predict(four_genes.controls, names, key=jr.key(0))
    told = {"seconds": {"train": 123.4, "predict": 5.6}, "peak_memory_gb": 2.0}
    made.uns["peer"] = json.dumps(told)
    made[:, ::-1].copy().write_h5ad(path)
    known = dataclasses.replace(
        plan, recipes={"peer": comparison.StoredPredictions(str(path)), **plan.recipes}
    )
    scores = run(known)
    means = scores["mse"].groupby("predictor").mean()
    assert means["peer"] == pytest.approx(means["additive"], rel=1e-4)
    # What it cost where it was made, not what it costs to read the file.
    support = supported(plan.screen)
    spent = comparison.costs(known)
    text = comparison.page(scores, spent, support)
    assert "| peer | 123.4 | 5.6 | 2048 | 2 |" in text
    for odd in (None, "not JSON", "[1]", json.dumps({"seconds": 3, "peak_memory_gb": 1})):
        made.uns = {} if odd is None else {"peer": odd}
        made.write_h5ad(tmp_path / "odd.h5ad")
        cost = comparison.StoredPredictions(str(tmp_path / "odd.h5ad")).cost(fold("g0+g1"))
        assert np.isnan([*cost.values()]).all()
    unknown = spent.assign(fit_seconds=np.nan, predict_seconds=np.nan)
    text = comparison.page(scores, unknown.assign(megabytes=np.nan), support)
    assert "| peer |  |  |  | 2 |" in text
    stored = comparison.StoredPredictions(str(path)).fit(
        four_genes, fold("g0+g1"), PRIORS, key=jr.key(0)
    )
    controls, _ = control_cells(four_genes)
    few = stored.predict(controls, ["g0+g1"], cells=5, key=jr.key(0))
    own = made[made.obs["condition"] == "g0+g1"].to_df()[few.var_names].to_numpy()
    # Spread over the file, which may be in some order.
    np.testing.assert_array_equal(few.X, own[np.arange(5) * len(own) // 5])
    lacking = comparison.StoredPredictions(str(path))
    other = scbig.Split.of(name="x", train=["g0"], test=["g9"])
    with pytest.raises(ValueError, match="lacks 1 conditions: 'g9'"):
        lacking.fit(four_genes, other, PRIORS, key=jr.key(0))


def test_contexts_are_predicted_each_from_its_own_controls(four_genes, tmp_path):
    place = (np.arange(four_genes.num_cells) % 2).astype(np.int32)
    screen = dataclasses.replace(four_genes, contexts=("left", "right"), context_index=place)
    split = scbig.splits.cross_context(screen, train="left", test="right", seed=0, validation=0.0)
    plan = comparison.Comparison(
        screen=screen,
        priors=PRIORS,
        evaluations=(comparison.Evaluation("lines", (split,)),),
        recipes={"additive": Rule(comparison.RULES["additive"])},
        out=tmp_path,
    )
    scores = run(plan)
    assert set(scores.index.get_level_values("context")) == {"right"}
    assert len(scores.xs("additive", level="predictor")) == 9
    cells, _ = comparison.read_prediction(tmp_path / "lines" / "additive" / "fold0-seed0.h5ad")
    assert set(cells.obs["context"]) == {"right"}
    table = scbig.evaluate(cells, screen.to_anndata(), Columns(context="context"), max_cells=20)
    own = scores.xs("additive", level="predictor")["mse"].to_numpy()
    np.testing.assert_allclose(np.sort(table["mse"]), np.sort(own), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": ()}, "Seeds must be distinct"),
        ({"seeds": (1, 1)}, "Seeds must be distinct"),
        ({"recipes": {}}, "predictors need names of their own"),
        ({"recipes": {"a b": Noisy(), "a-b": Noisy()}}, "predictors need names of their own"),
        ({"evaluations": (FOLDS, FOLDS)}, "evaluations need names of their own"),
    ],
)
def test_a_plan_that_cannot_be_told_apart_is_refused(plan, change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(plan, **change)


def test_a_condition_is_tested_once_in_an_evaluation():
    with pytest.raises(ValueError, match=r"test 'g0\+g1'"):
        comparison.Evaluation("twice", (fold("g0+g1"), fold("g0+g1", "g2+g3")))
    with pytest.raises(ValueError, match="has no split"):
        comparison.Evaluation("none", ())


def test_responses_may_be_measured_from_controls_that_nobody_saw(plan, four_genes, tmp_path):
    kept, held = metrics.hold_controls(four_genes)
    blind = dataclasses.replace(plan, screen=kept, held=held, out=tmp_path / "held")
    scores = run(blind).xs("additive", level="predictor").droplevel(["evaluation", "seed"])
    predicted = [
        comparison.read_prediction(blind.out / "folds" / "additive" / f"fold{n}-seed0.h5ad")[0]
        for n in (0, 1)
    ]
    both: Any = ad.concat(predicted, index_unique="-")
    table = scbig.evaluate(both, kept, held_controls=held, max_cells=20)
    columns = ["pearson_delta", "mse", "pds"]
    np.testing.assert_allclose(scores.loc[table.index, columns], table[columns], rtol=1e-5)
    shared = scbig.evaluate(both, kept, max_cells=20)
    assert not np.allclose(shared["pearson_delta"], table["pearson_delta"], rtol=1e-3)
    text = comparison.page(run(blind), comparison.costs(blind), supported(kept))
    assert "against 12 to 12 controls" in text
    assert "fewer than 300 controls" in text
