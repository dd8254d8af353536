"""One command from predictors to a page."""

import dataclasses
import importlib
import pathlib
import runpy

import numpy as np
import pandas as pd
import pytest

import scbig
from scbig import comparison, metrics

from .small import EXPERIMENTS, write_priors


def test_any_predictors_are_compared_and_stand_in_the_page(four_genes, tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "compare.py"))
    four_genes.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    files = write_priors(tmp_path, four_genes.genes)
    published = tmp_path / "published.csv"
    published.write_text("method,pearson_delta\nadditive,0.123\nother,\n")
    given = script["Measured"](
        data=tmp_path / "cells.h5ad", out=tmp_path / "run", folds=2, files=files
    )
    names = ("control", "perturbed mean", "additive", "Linear, gene vectors")
    run = script["Compare"](measured=given, predictors=names, published=published)
    scores = script["main"](run)
    tested = scores.xs("additive", level="predictor").index.get_level_values("condition")
    assert sorted(tested) == ["g0+g1", "g0+g2", "g0+g3", "g1+g3", "g2+g3"]
    assert {"comparison.md", "comparison.png", "scores.csv", "costs.csv"} <= {
        path.name for path in given.out.iterdir()
    }
    said = capsys.readouterr().out
    assert "published (their own split)" in said
    assert "0.123" in said
    again = script["main"](run)
    pd.testing.assert_frame_equal(scores, again)
    assert "fold 0" not in capsys.readouterr().out

    more = dataclasses.replace(run, predictors=(*run.predictors, "residual transfer"), fit=False)
    found = script["main"](more).index.get_level_values("predictor")
    assert "residual transfer" not in found
    assert "residual-transfer/fold0-seed0, " in (given.out / "comparison.md").read_text()

    apart = dataclasses.replace(given, out=tmp_path / "apart")
    names = ("control", "additive")
    script["main"](script["Compare"](measured=apart, predictors=names, hold_controls=True))
    assert "against 12 to 12 controls" in (apart.out / "comparison.md").read_text()

    page = tmp_path / "page.md"
    page.write_text("Before.\n\n<!-- compare: small -->\nold\n<!-- end -->\n\nAfter.\n")
    results = runpy.run_path(str(EXPERIMENTS / "results.py"))
    text = results["main"](results["Results"](runs=(f"small={given.out}",), out=page))
    assert text.startswith("Before.\n\n<!-- compare: small -->\n5 tested conditions")
    assert text.endswith("<!-- end -->\n\nAfter.\n")
    assert "\nold\n" not in text
    # An empty place is filled, and what follows it stays.
    page.write_text("<!-- compare: small -->\n<!-- end -->\n\nKept.\n" + text.replace("small", "b"))
    again = results["main"](results["Results"](runs=(f"small={given.out}",), out=page))
    assert again.endswith("\n<!-- end -->\n\nKept.\n" + text.replace("small", "b"))
    with pytest.raises(SystemExit, match="one place <!-- compare: other -->"):
        results["main"](results["Results"](runs=(f"other={given.out}",), out=page))


def test_scores_are_those_that_are_asked_for(four_genes, tmp_path):
    """Of one split, so that the same cells can be scored by `evaluate` itself."""
    script = runpy.run_path(str(EXPERIMENTS / "compare.py"))
    four_genes.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    files = write_priors(tmp_path, four_genes.genes)
    given = script["Measured"](
        data=tmp_path / "cells.h5ad", out=tmp_path / "run", split="additive", files=files
    )
    asked = {"changed": "bonferroni", "weighted": "rest", "wasserstein": True, "equal_cells": True}
    asked |= {"pds_distance": "cosine", "pds_leave_out": True, "pds_denominator": "n"}
    more = script["Scores"](**asked, gi=True, origin="mean of singles")
    run = script["Compare"](measured=given, predictors=("additive", "perturbed mean"), asked=more)
    scores = script["main"](run).xs("perturbed mean", level="predictor")
    text = (given.out / "comparison.md").read_text()
    for name in ("wmse", "r2_delta", "e_distance_floor", "wasserstein", "gi_pearson"):
        assert f" {name} |" in text
    path = given.out / "additive-1" / "perturbed-mean" / "fold0-seed0.h5ad"
    cells, _ = comparison.read_prediction(path)
    tested = sorted(scores.index.get_level_values("condition"))
    training = four_genes.without(tested)
    found = scbig.evaluate(
        cells,
        four_genes,
        reference=training,
        singles=metrics.single_profiles(training),
        origin=metrics.mean_of_conditions(training, singles=True),
        **asked,
    )
    own = scores.droplevel(["evaluation", "seed"]).loc[found.index]
    pd.testing.assert_frame_equal(own[found.columns], found, check_exact=False, rtol=1e-5)
    # An origin other than the controls is not what it is by default.
    usual = scbig.evaluate(cells, four_genes, reference=training)
    assert not np.allclose(usual["pearson_delta"], found["pearson_delta"])

    # Folds of singles leave none to take a mean of: told before anything is trained.
    folds = dataclasses.replace(given, split="singles", folds=2, out=tmp_path / "folds")
    alone = four_genes.select(["g0", "g1", "g2", "g3"])
    alone.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(ValueError, match="that no split tests"):
        script["main"](dataclasses.replace(run, measured=folds))
    assert not (tmp_path / "folds").exists()


@pytest.mark.parametrize("protocol", ["additive", "singles", "contexts"])
def test_protocols_of_the_comparison_test_every_condition_once(four_genes, protocol):
    script = runpy.run_path(str(EXPERIMENTS / "compare.py"))
    place = (np.arange(four_genes.num_cells) % 2).astype(np.int32)
    screen = four_genes
    if protocol == "contexts":
        screen = dataclasses.replace(screen, contexts=("a", "b"), context_index=place)
    files = dict.fromkeys(("data", "out"), pathlib.Path("nowhere"))
    given = script["Measured"](**files, split=protocol, folds=2, split_seeds=(1, 2))
    found = list(script["evaluations"](given, screen))
    assert [own.name for own in found] == [f"{protocol}-1", f"{protocol}-2"]
    sizes = {"additive": 1, "singles": 4, "contexts": 18}
    for own in found:
        assert sum(len(split.test) for split in own.splits) == sizes[protocol]


def test_contexts_of_ones_choice_are_held_out(four_genes):
    script = runpy.run_path(str(EXPERIMENTS / "compare.py"))
    place = (np.arange(four_genes.num_cells) % 2).astype(np.int32)
    screen = dataclasses.replace(four_genes, contexts=("a", "b"), context_index=place)
    files = dict.fromkeys(("data", "out"), pathlib.Path("nowhere"))
    found = lambda *held: list(
        script["evaluations"](script["Measured"](**files, split="contexts", held=held), screen)
    )
    (one,) = found("b")
    assert [(s.train_contexts, s.test_contexts) for s in one.splits] == [(("a",), ("b",))]
    with pytest.raises(SystemExit, match="No context 'c' to hold out; there are a, b"):
        found("c")


def test_a_table_of_a_gene_model_makes_rows(four_genes, tmp_path):
    script = runpy.run_path(str(EXPERIMENTS / "compare.py"))
    files = write_priors(tmp_path, four_genes.genes)
    given = script["Measured"](data=tmp_path, out=tmp_path)
    made = lambda *tables: script["chosen"](script["Compare"](measured=given, tables=tables))
    rows = made(f"scFoundation={files.embeddings}")
    assert {"Linear + scFoundation", "GEARS + scFoundation"} == {*rows} - {*made()}
    with pytest.raises(SystemExit, match="--tables takes name=FILE; got 'scFoundation'"):
        made("scFoundation")


def test_names_of_another_age_are_found_by_aliases(four_genes, tmp_path):
    script = runpy.run_path(str(EXPERIMENTS / "compare.py"))
    four_genes.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    renamed = tuple(f"new{name}" for name in four_genes.genes)
    files = write_priors(tmp_path, renamed)
    aliases = tmp_path / "aliases.csv"
    pairs = zip(four_genes.genes, renamed, strict=True)
    aliases.write_text("alias,symbol\n" + "".join(f"{old},{new}\n" for old, new in pairs))
    given = script["Measured"](
        data=tmp_path / "cells.h5ad", out=tmp_path / "run", folds=2,
        files=dataclasses.replace(files, aliases=aliases),
    )  # fmt: skip
    names = ("ridge on vectors", "Linear, gene vectors")
    scored = lambda own: script["main"](script["Compare"](measured=own, predictors=names))
    found = scored(given).pearson_delta
    assert found.notna().all()
    # As the files by their own names, aliases or not.
    same = dataclasses.replace(
        given, out=tmp_path / "same", files=write_priors(tmp_path, four_genes.genes)
    )
    pd.testing.assert_series_equal(scored(same).pearson_delta, found, rtol=1e-4)


def test_annotations_are_found_by_aliases_too(four_genes, tmp_path, capsys):
    measured = importlib.import_module("tools.measured")
    files = write_priors(tmp_path, four_genes.genes)
    terms = [f"{gene}\t{1 + n % 4}" for n, gene in enumerate(four_genes.genes)]
    (tmp_path / "go.tsv").write_text("\n".join(["gene\tgo", *terms]) + "\n")
    later = [terms[0].replace("g0", "later"), *terms[1:]]
    (tmp_path / "later.tsv").write_text("\n".join(["gene\tgo", *later]) + "\n")
    (tmp_path / "aliases.csv").write_text("alias,symbol\ng0,later\n")

    def edges(table, aliases):
        given = measured.Measured(
            data=tmp_path, out=tmp_path, annotations=tmp_path / table,
            files=dataclasses.replace(files, aliases=aliases and tmp_path / aliases),
        )  # fmt: skip
        graph = measured.priors_of(given, four_genes).perturbation_graph
        return {frozenset(pair) for pair in zip(graph.first, graph.second, strict=True)}

    assert any("g0" in pair for pair in edges("go.tsv", None))
    assert edges("later.tsv", "aliases.csv") == edges("go.tsv", None)
    assert not any("g0" in pair for pair in edges("later.tsv", None))
    assert "annotations: " in capsys.readouterr().out


def test_a_predictor_that_is_not_there_is_named(tmp_path):
    script = runpy.run_path(str(EXPERIMENTS / "compare.py"))
    given = script["Measured"](data=tmp_path, out=tmp_path)
    with pytest.raises(SystemExit, match="No predictor 'magic'"):
        script["chosen"](script["Compare"](measured=given, predictors=("magic",)))
