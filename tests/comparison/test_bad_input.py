"""Predictions and screens that are not as they should be: a clear error, or a known value."""

import dataclasses
import re
from typing import Any

import jax.random as jr
import numpy as np
import pytest
from scipy import sparse

import scbig
from scbig import baselines, comparison, metrics
from scbig.baselines import Rule
from scbig.priors import EmbeddingTable

NAMES = ["g0+g1", "g0+g2", "g0+g3", "g1+g3", "g2+g3"]
PRIORS = scbig.Priors(genes=EmbeddingTable(("g0", "g1"), np.eye(2, dtype=np.float32)))
SPLIT = scbig.Split.of(name="s", train=["g0", "g1", "g2", "g3", *NAMES[2:]], test=NAMES[:2])
quiet: Any = {"progress": False, "say": lambda _: None}


def predicted(screen):
    return baselines.Additive.fit(screen).predict(screen.controls, NAMES, key=jr.key(0))


def plan_of(screen, out, recipes=None, split=SPLIT, **more):
    rules = {name: Rule(comparison.RULES[name]) for name in ("perturbed mean", "additive")}
    return comparison.Comparison(
        screen=screen,
        priors=PRIORS,
        evaluations=(comparison.Evaluation("one", (split,)),),
        recipes=rules if recipes is None else recipes,
        out=out,
        **more,
    )


def scored(cells, screen, tmp_path):
    """Scores of stored cells, or why there are none."""
    path = tmp_path / "peer.h5ad"
    tmp_path.mkdir(exist_ok=True)
    cells.write_h5ad(path)
    plan = plan_of(screen, tmp_path / "run", {"peer": comparison.StoredPredictions(str(path))})
    failed = comparison.predict_all(plan, **quiet)
    scores = comparison.score_all(plan, max_cells=20)
    return scores, " ".join(failed.values())


def renamed(cells):
    cells.var_names = [f"x{name}" for name in cells.var_names]
    return cells


def with_value(value):
    def change(cells):
        cells.X = np.asarray(cells.X, np.float32)
        cells.X[0, 0] = value
        return cells

    return change


def shifted(cells):
    cells.X = np.asarray(cells.X, np.float32) - 3.0
    return cells


def counted(cells):
    cells.X = np.rint(np.expm1(np.asarray(cells.X)))
    return cells


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (renamed, "do not have the genes of the observed cells"),
        (lambda cells: cells[:, :-1].copy(), "they lack 1"),
        (lambda cells: cells[cells.obs["condition"] != "g0+g1"].copy(), "lacks 1 .*g0.g1"),
        (with_value(np.nan), "NaN"),
        (with_value(np.inf), "infinite"),
        (shifted, "below zero"),
        (counted, "raw counts"),
    ],
)
def test_wrong_cells_are_a_row_that_says_why(four_genes, tmp_path, change, message):
    scores, why = scored(change(predicted(four_genes)), four_genes, tmp_path)
    assert re.search(message, why), why
    assert {*scores.index.get_level_values("predictor")} == {"split-half"}


def test_order_does_not_count(four_genes, tmp_path):
    cells = predicted(four_genes)
    scores, why = scored(cells, four_genes, tmp_path / "a")
    rng = np.random.default_rng(0)
    genes = rng.permutation(cells.n_vars)
    # Labels apart, and the order of genes; that of cells within a condition decides who is drawn.
    order = np.argsort(-np.unique(cells.obs["condition"], return_inverse=True)[1], kind="stable")
    other, also = scored(cells[order][:, genes].copy(), four_genes, tmp_path / "b")
    assert why == also == ""
    np.testing.assert_allclose(scores, other, rtol=1e-5, atol=1e-7)


def test_a_little_below_zero_is_scored(four_genes, tmp_path):
    scores, why = scored(with_value(-0.01)(predicted(four_genes)), four_genes, tmp_path)
    assert why == ""
    own = scores.xs("peer", level="predictor")
    assert np.isfinite(own["pearson_delta"].to_numpy()).all()


def test_one_predicted_cell_has_no_energy_distance(four_genes, tmp_path):
    cells = predicted(four_genes)
    first = [int(np.flatnonzero(cells.obs["condition"] == name)[0]) for name in NAMES]
    scores, why = scored(cells[first].copy(), four_genes, tmp_path)
    own = scores.xs("peer", level="predictor")
    assert why == ""
    assert np.isnan(own["e_distance"].to_numpy()).all()
    assert np.isfinite(own["pearson_delta"].to_numpy()).all()


def thinned(screen, sizes):
    """The screen with so many cells of some conditions."""
    label = np.array([c.name for c in screen.conditions])[screen.condition_index]
    kept = np.ones(len(label), bool)
    for name, size in sizes.items():
        kept[np.flatnonzero(label == name)[size:]] = False
    return screen.take(np.flatnonzero(kept))


@pytest.mark.parametrize("size", [1, 3])
def test_a_condition_of_few_cells_is_scored_and_has_no_halves(four_genes, tmp_path, size):
    screen = thinned(four_genes, {"g0+g1": size})
    plan = plan_of(screen, tmp_path)
    assert comparison.predict_all(plan, **quiet) == {}
    scores = comparison.score_all(plan, max_cells=20)
    assert len(scores.xs("additive", level="predictor")) == 2
    halved = scores.xs("split-half", level="predictor")
    assert [*halved.index.get_level_values("condition")] == ["g0+g2"]
    found = comparison.summary(scores)
    assert found["split-half"]["mse"].number == 1
    assert np.isfinite(found["split-half"]["mse"].mean)
    support = metrics.support(screen).assign(effect=baselines.effect_norms(screen))
    text = comparison.page(scores, comparison.costs(plan), support)
    assert "1 condition(s) have fewer than 4 cells" in text
    rows = [line for line in text.splitlines() if line.startswith("| split-half | 1 | 24 | 24 |")]
    assert len(rows) == 1


def test_without_halves_there_is_a_page_all_the_same(four_genes, tmp_path):
    screen = thinned(four_genes, {"g0+g1": 2, "g0+g2": 2})
    plan = plan_of(screen, tmp_path)
    comparison.predict_all(plan, **quiet)
    scores = comparison.score_all(plan, max_cells=20)
    support = metrics.support(screen).assign(effect=baselines.effect_norms(screen))
    text = comparison.page(scores, comparison.costs(plan), support)
    assert "| additive | 2 | 4 | 24 |" in text
    assert "scaled" not in text.split("2 condition(s)")[1].split("are of the others")[1]


def test_a_condition_without_a_measured_cell_is_told(four_genes, tmp_path):
    split = scbig.Split.of(name="s", train=["g0", "g1"], test=["g8+g9"])
    plan = plan_of(four_genes, tmp_path, split=split)
    failed = comparison.predict_all(plan, **quiet)
    assert all("g8+g9" in why for why in failed.values())
    assert failed
    with pytest.raises(ValueError, match="No test condition of 'one' has a measured cell"):
        comparison.score_all(plan)


def two_lines(screen):
    """Each condition in both lines, but g0+g1, which was measured on the left alone."""
    place = (np.arange(screen.num_cells) % 2).astype(np.int32)
    label = np.array([c.name for c in screen.conditions])[screen.condition_index]
    place[label == "g0+g1"] = 0
    return dataclasses.replace(screen, contexts=("left", "right"), context_index=place)


def test_what_was_measured_in_one_line_is_scored_there_alone(four_genes, tmp_path):
    screen = two_lines(four_genes)
    plan = plan_of(screen, tmp_path)
    assert comparison.predict_all(plan, **quiet) == {}
    rows = comparison.score_all(plan, max_cells=20).xs("additive", level="predictor")
    pairs = {(c, n) for _, _, c, n in rows.index}
    assert pairs == {("left", "g0+g1"), ("left", "g0+g2"), ("right", "g0+g2")}


def test_stored_cells_that_lack_a_line_are_named(four_genes, tmp_path):
    screen = two_lines(four_genes)
    cells = predicted(four_genes)
    cells.obs["context"] = "left"
    _, why = scored(cells, screen, tmp_path)
    assert "lacks 1 conditions: 'g0+g2 in right'" in why


def test_a_page_of_one_predictor_needs_no_anchors(four_genes, tmp_path):
    plan = plan_of(four_genes, tmp_path, {"additive": Rule(comparison.RULES["additive"])})
    comparison.predict_all(plan, **quiet)
    scores = comparison.score_all(plan, max_cells=20)
    support = metrics.support(four_genes).assign(effect=baselines.effect_norms(four_genes))
    text = comparison.page(scores, comparison.costs(plan), support)
    assert "| additive | 2 | 48 | 24 |" in text


def test_a_sparse_prediction_is_read_as_a_dense_one(four_genes, tmp_path):
    cells = predicted(four_genes)
    scores, _ = scored(cells, four_genes, tmp_path / "a")
    cells.X = sparse.csr_matrix(np.asarray(cells.X))
    other, _ = scored(cells, four_genes, tmp_path / "b")
    np.testing.assert_allclose(scores, other, rtol=1e-6)


def test_where_all_is_tested_components_are_of_the_tested_cells(four_genes, tmp_path):
    # Of controls alone they would not see what perturbed cells do.
    label = np.array([c.name for c in four_genes.conditions])[four_genes.condition_index]
    screen = four_genes.take(np.flatnonzero(np.char.find(label, "+") < 0))
    folds = scbig.splits.kfold(screen, folds=2, seed=0, of="singles", validation=0.0)
    plan = dataclasses.replace(
        plan_of(screen, tmp_path, {"additive": Rule(comparison.RULES["additive"])}),
        evaluations=(comparison.Evaluation("all", tuple(folds)),),
    )
    assert comparison.predict_all(plan, **quiet) == {}
    scores = comparison.score_all(plan, max_cells=None, components=3)
    paths = sorted((tmp_path / "all" / "additive").glob("*.h5ad"))
    parts = [comparison.read_prediction(path)[0] for path in paths]
    own = scores.xs("additive", level="predictor").droplevel(["evaluation", "seed"])
    options: Any = {"max_cells": None, "components": 3}
    for part in parts:
        table = scbig.evaluate(part, screen, reference=screen, **options)
        np.testing.assert_allclose(
            own.loc[table.index, "e_distance"], table["e_distance"], rtol=1e-5
        )
