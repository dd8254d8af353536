"""Which conditions are scored, which are not and why, and what stands beside the scores."""

import dataclasses
import html
import pathlib
from typing import Any

import anndata as ad
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
import pytest

from scbig.anchor import nonnegative
from scbig.data import Columns, Screen
from scbig.model import Changed
from scbig.programs import ProgramTable
from scbig.report import Run, _page
from scbig.report._judged import Asked, _said, judged
from scbig.splits import Split

from ..analysis.test_ranking import untrained
from ..analysis.test_trajectories import Raised

SINGLES = ["g0", "g1", "g2", "g3"]
SPLIT = Split.of(name="mine", train=SINGLES, test=["g0+g1", "g0+g2", "g2+g3", "g1+g2"])


def in_lines(four_genes: Screen) -> Screen:
    """Two lines, of which y lacks g2+g3."""
    cells = four_genes.to_anndata()
    line = np.where(np.arange(len(cells)) % 2, "x", "y")
    line[cells.obs["condition"] == "g2+g3"] = "x"
    cells.obs["line"] = line
    return Screen.from_anndata(cells, Columns(context="line"))


def run_of(four_genes: Screen, split: Split, **changes: Any) -> Run:
    model = untrained(four_genes, 0, **changes)
    return Run(
        folder=pathlib.Path("none"), model=model, config={}, history=pd.DataFrame(), split=split,
        programs=ProgramTable.of(four_genes.genes, model.pure.partition), version="0",
    )  # fmt: skip


def test_what_is_left_out_is_named_with_the_reason(four_genes):
    found = Asked.of(SPLIT, four_genes)
    assert found.tested == ("g0+g1", "g0+g2", "g2+g3")
    assert found.left_out == (
        "Left out: 1 of the test's 4 conditions. Without measured cells: 'g1+g2'."
    )
    found = Asked.of(SPLIT, in_lines(four_genes))
    assert found.tested == ("g0+g1", "g0+g2")
    assert found.left_out == (
        "Left out: 2 of the test's 4 conditions. Without measured cells in the tested contexts: "
        "'g1+g2'. Measured in some, but not in each of the 2 tested contexts: 'g2+g3'."
    )
    one = Split.of(name="x", train=SINGLES, test=["g2+g3"], test_contexts=["x"])
    found = Asked.of(one, in_lines(four_genes))
    assert (found.tested, found.left_out) == (("g2+g3",), "")
    assert found.measured.contexts == ("x",)


def test_the_page_tells_what_is_left_out_beside_the_scores_or_in_their_place(four_genes):
    run, lines = run_of(four_genes, SPLIT), in_lines(four_genes)
    scored = judged(run, lines, cells=6, key=jr.key(0))
    assert scored is not None
    text = html.unescape(_page._scores(scored, run, lines))
    assert f"<p>{Asked.of(SPLIT, lines).left_out}</p>" in text
    alone = Split.of(name="one", train=SINGLES, test=["g2+g3"])
    none = dataclasses.replace(run, split=alone)
    assert judged(none, lines, cells=6, key=jr.key(0)) is None
    text = _page._scores(None, none, lines)
    assert "not scored: no condition of its test has cells in each of the tested contexts." in text
    whole = judged(none, four_genes, cells=6, key=jr.key(0))
    assert whole is not None
    assert "Left out" not in _page._scores(whole, none, four_genes)


def test_predicted_changes_are_from_the_controls_as_the_model_has_them(four_genes):
    run = run_of(four_genes, SPLIT)
    scored = judged(run, four_genes, cells=6, key=jr.key(0))
    assert scored is not None
    change = _page._changes(scored.predicted)["", "g2+g3"]
    guess: Any = run.model.predict(four_genes, ["g2+g3"], cells=6, key=jr.key(0)).X
    cells = jnp.asarray(four_genes.dense(four_genes.rows("control")))
    pure = run.model.pure
    still = np.asarray(nonnegative(pure.decode_cells(pure.encode_cells(cells)))).mean(axis=0)
    np.testing.assert_allclose(change, guess.mean(axis=0) - still, atol=2e-5)
    # Scores are from measured controls.
    response = guess.mean(axis=0) - np.asarray(cells).mean(axis=0)
    measured = _page._changes(scored.measured)["", "g2+g3"]
    r = np.corrcoef(response, measured)[0, 1]
    own: Any = scored.scores.xs("scBIG", level="predictor").xs("g2+g3", level="condition")
    assert own["pearson_delta"].iloc[0] == pytest.approx(r, abs=1e-4)


class Sure(Raised):
    """An anchor that says how sure it is of each gene."""

    def deviations(self, conditions: Any, contexts: Any) -> np.ndarray:
        known = {"": 0.0, "x": 1.0, "y": 2.0}
        rows = [known[context] + len(own.perturbations) for own, context in
                zip(conditions, contexts, strict=True)]  # fmt: skip
        return np.array(rows)[:, None] + np.arange(20) / 100


def test_how_sure_a_prediction_says_it_is_is_kept_by_its_place(four_genes):
    split = Split.of(name="mine", train=["g0", "g1", "g0+g2"], test=["g2", "g2+g3"])
    run = run_of(four_genes, split, emission=Changed())
    run = dataclasses.replace(run, model=dataclasses.replace(run.model, anchor=Sure()))
    scored = judged(run, in_lines(four_genes), cells=6, key=jr.key(0))
    assert scored is not None
    assert {*scored.said} == {("x", "g2"), ("y", "g2")}
    np.testing.assert_allclose(scored.said["y", "g2"], 3 + np.arange(20) / 100, rtol=1e-5)
    np.testing.assert_allclose(scored.said["x", "g2"], 2 + np.arange(20) / 100, rtol=1e-5)
    assert _said(ad.AnnData(np.zeros((1, 1), np.float32))) == {}


def test_the_ranks_and_the_strongest_are_of_places(four_genes):
    lines = in_lines(four_genes)
    scored = judged(run_of(four_genes, SPLIT), lines, cells=6, key=jr.key(0))
    assert scored is not None
    table = scored.by_condition
    assert scored.ranked == [*zip(table["context"], table["condition"], strict=True)]
    assert len(scored.ranked) == 4
    changes = _page._changes(lines)
    places = [(line, name) for line in "xy" for name in scored.tested]
    wanted = sorted(places, key=lambda place: -np.linalg.norm(changes[place]))
    assert scored.strongest(3) == wanted[:3]
