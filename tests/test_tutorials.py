"""The tutorials run as they stand, one after another in one folder."""

import dataclasses
import pathlib
import runpy
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scbig

from .experiments.small import SIMULATION, bare

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
