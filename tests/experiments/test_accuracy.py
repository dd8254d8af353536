"""Folds of unseen conditions, and the models that have not seen them."""

import json
import runpy
import types

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scbig

from .small import EXPERIMENTS, bare


def one_cell_of_each(labels):
    cells = ad.AnnData(
        np.log1p(np.random.default_rng(0).gamma(2.0, size=(len(labels), 2))).astype(np.float32),
        obs=pd.DataFrame(
            {"condition": labels}, index=pd.Index([f"c{n}" for n in range(len(labels))])
        ),
        var=pd.DataFrame(index=pd.Index(["g", "h"])),
    )
    return scbig.Screen.from_anndata(cells)


def test_a_fold_of_unseen_singles_hides_their_doubles_too(tmp_path):
    script = runpy.run_path(str(EXPERIMENTS / "accuracy.py"))
    labels = ["control", "A", "B", "C", "D", "A+B", "C+D", "E+F"]
    screen = one_cell_of_each(labels)
    nowhere = dict.fromkeys(("data", "embeddings", "interactions", "pathways"), tmp_path)
    make = lambda **options: script["Accuracy"](**nowhere, out=tmp_path, **options)
    singles = script["folds"](make(unseen="singles", held=1), screen, 0)
    assert sorted(fold.test for fold in singles) == [["A"], ["B"], ["C"], ["D"]]
    hidden = {fold.test[0]: {*fold.without} for fold in singles}
    assert hidden["A"] == {"A", "A+B"}
    assert hidden["D"] == {"D", "C+D"}
    doubles = script["folds"](make(held=2), screen, 0)
    assert sorted(name for fold in doubles for name in fold.test) == ["A+B", "C+D", "E+F"]
    assert all(fold.test == fold.without for fold in doubles)
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"7": {"train": ["A", "B", "D+C"], "test": ["B+A", "X+Y"]}}))
    (given,) = script["folds"](make(splits=path, split="7"), screen, 0)
    assert given.test == ["A+B"]
    assert {*given.without} == {"A+B", "C", "D", "E+F"}
    for wrong in ({"train": ["A"], "test": ["A", "A+B"]}, {"train": ["A"], "test": ["X"]}):
        path.write_text(json.dumps({"7": wrong}))
        with pytest.raises(SystemExit, match="Split 7"):
            script["folds"](make(splits=path, split="7"), screen, 0)
    script["claim"](make())
    script["claim"](make(seeds=5))
    with pytest.raises(SystemExit, match="scores of another run"):
        script["claim"](make(unseen="singles"))


def test_a_fold_hides_a_perturbation_at_every_dose(tmp_path):
    script = runpy.run_path(str(EXPERIMENTS / "accuracy.py"))
    screen = types.SimpleNamespace(
        conditions=[scbig.Condition.parse(n) for n in ("control", "A@0.1", "A@1", "B@1", "A@1+B@1")]
    )
    assert script["linked"](screen, ["A@0.1"]) == ["A@0.1", "A@1", "A@1+B@1"]


def test_protocols_train_on_nothing_that_they_set_aside(tmp_path):
    script = runpy.run_path(str(EXPERIMENTS / "accuracy.py"))
    singles = [f"G{n}" for n in range(8)]
    names = ["control", *singles, *(f"G{a}+G{b}" for b in range(8) for a in range(b))]
    screen = one_cell_of_each(names)
    nowhere = dict.fromkeys(("data", "embeddings", "interactions", "pathways"), tmp_path)
    for seed in range(3):
        run = script["Accuracy"](**nowhere, out=tmp_path, unseen="additive")
        (fold,) = script["folds"](run, screen, seed)
        assert len(fold.test) == 7
        assert len(fold.without) == 14
        assert {*fold.test} < {*fold.without} < {*names[9:]}
        run = script["Accuracy"](**nowhere, out=tmp_path, unseen="holdout")
        (fold,) = script["folds"](run, screen, seed)
        (gene,) = (name for name in fold.test if "+" not in name)
        assert {*fold.test} == {*fold.without} == {n for n in names if gene in n.split("+")}


@pytest.mark.slow
def test_unseen_doubles_are_scored_by_models_that_have_not_seen_them(shared_file, tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "accuracy.py"))
    given = {
        "data": shared_file("data/norman19_k562_3375x500.h5ad"),
        "embeddings": shared_file("priors/enformer_tss_19685x32.npz"),
        "interactions": shared_file("priors/string_v12_ge800.tsv.gz"),
        "pathways": shared_file("priors/ReactomePathways.gmt"),
    }
    run = script["Accuracy"](**given, model=bare(), out=tmp_path, seeds=1, held=15)
    averages = script["main"](run)
    assert averages.index[0] == "scBIG"
    assert {"scBIG, as published", "anchor", "additive", "autoencoder ceiling"} <= {*averages.index}
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert (scores.groupby("predictor").size() == 15).all()
    # Of a double that was learned from the anchor would say its own measured mean, shrunk; of one
    # that was not, hardly more than its singles do.
    assert abs(averages.pearson_delta["anchor"] - averages.pearson_delta["additive"]) < 0.1
    again = script["main"](run)
    pd.testing.assert_frame_equal(again, averages, check_exact=False)
