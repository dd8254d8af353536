"""The tutorials run as they stand, one after another in one folder."""

import dataclasses
import importlib
import pathlib
import runpy
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scbig
from scbig import cli, data, simulate

from .experiments.small import SIMULATION, bare, write_priors

FOLDER = pathlib.Path(__file__).parents[1] / "docs" / "tutorials"


@pytest.mark.slow
def test_the_tutorials_run_in_their_order(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    script = lambda name: runpy.run_path(str(FOLDER / f"{name}.py"))
    first = script("own_cells")
    # The first cells are enough to see that everything has its place.
    simulation = dataclasses.replace(SIMULATION, doubles=8)
    changes: Any = {"simulation": simulation, "model": scbig.anchored(bare())}
    averages = first["main"](first["Tutorial"](out=tmp_path, **changes))
    assert {"scBIG", "control", "perturbed mean", "additive", "split-half"} == {*averages.index}
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert "ahead of additive by" in capsys.readouterr().out

    programs = script("read_programs")
    run = programs["Tutorial"](out=tmp_path, **changes)
    assert {*programs["main"](run)["program"]} == {0, 1, 2, 3}
    made = {path.name for path in (tmp_path / "programs").iterdir()}
    assert {"enrichment.png", "response.png", "attention.png", "ways.png"} <= made

    scores = script("compare_fairly")["main"](run, learned=())
    names = {*scores.index.get_level_values("predictor")}
    assert {"control", "additive", "residual transfer", "mixed effects", "split-half"} <= names
    tested = scores.xs("additive", level="predictor")
    assert tested.index.get_level_values("condition").nunique() == 8
    assert "less additive" in capsys.readouterr().out

    table = script("rank_pairs")["main"](run)
    assert len(table) == 5 * 4 / 2
    assert np.isfinite(table["spread"]).all()
    written = pd.read_csv(tmp_path / "ranks.csv")
    assert [*written["condition"]] == [*table["condition"]]
    assert "that were not trained on" in capsys.readouterr().out


@pytest.fixture
def own_cells(monkeypatch):
    """The first tutorial, imported as the others do: its options can then be parsed."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("own_cells")


def options(folder: pathlib.Path) -> list[str]:
    """What a user would write for a file of singles, whose columns and controls have own names."""
    singles = dataclasses.replace(SIMULATION, perturbations=10, doubles=0)
    truth = simulate.simulate_screen(singles, seed=0)
    cells = truth.counts.copy()
    labels = np.array(cells.obs["condition"], str)
    own = {
        "target": np.where(labels == "control", "safe harbour", labels),
        "batch": np.where(np.arange(cells.n_obs) % 2, "one", "two"),
    }
    cells.obs = pd.DataFrame(own, index=cells.obs_names)
    cells.write_h5ad(folder / "counts.h5ad")
    files = write_priors(folder, truth.genes)
    columns = {"condition-key": "target", "control": "safe harbour", "context-key": "batch"}
    named = {
        "out": folder / "run",
        "counts": folder / "counts.h5ad",
        **columns,
        **{kind: getattr(files, kind) for kind in ("embeddings", "interactions", "pathways")},
        "split": "holdout",
        "min-genes": 1,
        "min-cells": 1,
    }
    return [word for name, value in named.items() for word in (f"--{name}", str(value))]


@pytest.mark.slow
def test_cells_of_ones_own_are_predicted_from_their_file(own_cells, tmp_path, capsys):
    run = cli.parse(own_cells.Tutorial, args=options(tmp_path))
    run = dataclasses.replace(run, model=scbig.anchored(bare()))
    averages = own_cells.main(run)
    assert {"scBIG", "control", "perturbed mean", "additive", "split-half"} == {*averages.index}
    # For a gene that was never perturbed the sum of singles is the mean effect.
    rules = averages.loc[["additive", "perturbed mean"], "pearson_delta"]
    assert rules["additive"] == pytest.approx(rules["perturbed mean"])
    split = scbig.Split.read(run.out / "model" / "split.json")
    predicted = data.read_h5ad(run.out / "predicted.h5ad")
    assert {*predicted.obs["condition"]} == {*split.test}
    assert {*predicted.obs["context"]} == {"one", "two"}
    assert len(split.test) == 2
    assert not {*split.test} & {*split.train}
    assert "controls in each of 2 contexts" in capsys.readouterr().out


def test_tested_cells_have_no_say_in_which_genes_are_kept(own_cells, tmp_path):
    run = cli.parse(own_cells.Tutorial, args=[*options(tmp_path), "--variable-genes", "8"])
    before, _, split = own_cells.prepared(run)
    assert before.num_genes < SIMULATION.genes
    cells = data.read_h5ad(run.counts)
    counts = cells.to_df().to_numpy()
    tested = cells.obs["target"].isin(split.test).to_numpy()
    counts[tested] = counts[tested][:, ::-1]
    cells.X = counts
    cells.write_h5ad(run.counts)
    after, _, again = own_cells.prepared(run)
    assert again == split
    assert after.genes == before.genes
    assert not np.array_equal(after.mean(), before.mean())


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--counts", "absent.h5ad", "There is no file absent.h5ad"),
        ("--condition-key", "guide", "obs has no column 'guide' for the condition"),
        ("--context-key", "line", "obs has no column 'line' for the context"),
        ("--pathways", "absent.gmt", "pathways: no such file: absent.gmt"),
        ("--pathways", None, r"^Cells of your own need --pathways too\.$"),
        ("--counts", None, r"^Cells of your own need --counts too\.$"),
    ],
)
def test_what_a_file_lacks_is_named(own_cells, tmp_path, option, value, said):
    words = options(tmp_path)
    place = words.index(option)
    words[place : place + 2] = [] if value is None else [option, value]
    run = cli.parse(own_cells.Tutorial, args=words)
    with pytest.raises((OSError, ValueError), match=said) as refused:
        own_cells.prepared(run)
    assert "\n" not in str(refused.value)
