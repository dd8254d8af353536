"""The scripts that train once: what they hold a model against, and what they refuse."""

import importlib
import pathlib
import runpy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import scbig

from ..experiments.small import EXPERIMENTS, write_priors
from .test_ranking import untrained


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """`experiments/tools` is `tools` to a script in `experiments`."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))


@pytest.fixture
def options(four_genes, tmp_path, monkeypatch) -> Any:
    """Those of a script on cells of two lines; a training gives an untrained model."""
    cells = four_genes.to_anndata()
    # g2+g3 has cells in line y alone.
    line = np.where(np.arange(len(cells)) % 2, "x", "y")
    line[cells.obs["condition"] == "g2+g3"] = "y"
    cells.obs["line"] = line
    cells.write_h5ad(tmp_path / "cells.h5ad")
    model = untrained(four_genes, 0)
    monkeypatch.setattr(scbig, "fit", lambda *given, **options: SimpleNamespace(model=model))
    files: Any = write_priors(tmp_path, four_genes.genes)

    def made(out: pathlib.Path, **changes: Any) -> dict[str, Any]:
        given: Any = {"split": "contexts", "context_key": "line", "cells": 8, **changes}
        measured = importlib.import_module("tools.measured").Measured(
            data=tmp_path / "cells.h5ad", out=out, files=files, **given
        )
        return {"measured": measured, "preset": "smoke"}

    return made


def script(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXPERIMENTS / f"{name}.py"))


def test_a_model_is_held_against_cells_of_the_contexts_that_are_tested(options, tmp_path):
    bench = importlib.import_module("tools.benchmark").Benchmark(**options(tmp_path / "run"))
    found = importlib.import_module("tools.trained").trained(bench, bench.base, "model")
    # The first fold holds out x.
    assert "g2+g3" not in found.test
    assert len(found.test) == 8
    for side in (found.screen, found.measured, found.decoded, found.predicted):
        assert side.contexts == ("x",)
    assert [len(found.measured.rows(name)) for name in found.test] == [12] * 8
    assert [len(found.predicted.rows(name)) for name in found.test] == [8] * 8
    # Decoded cells are of the same labels, and others.
    np.testing.assert_array_equal(found.decoded.condition_index, found.measured.condition_index)
    np.testing.assert_array_equal(
        found.decoded.dense(), found.model.round_trip(found.measured.dense())
    )
    controls = found.predicted.dense(found.predicted.rows("control"))
    own = found.measured.dense(found.measured.rows("control"))
    np.testing.assert_allclose(controls, found.model.round_trip(own), atol=1e-5)


def test_pairs_of_programs_are_told_in_their_context(options, tmp_path):
    found = script("table5")
    table = found["main"](found["Pairs"](**options(tmp_path / "run"), conditions=2))
    assert {*table["context"]} == {"x"}
    assert len(table) == 2 * 6
    for side in ("predicted", "measured", "decoded"):
        assert table[f"coactivation, {side}"].between(-1, 1).all()
    assert (
        "6 pairs of programs under 2 unseen conditions" in (tmp_path / "run/summary.md").read_text()
    )


def test_shifts_of_attention_are_told_in_each_context(options, tmp_path):
    found = script("figure4")
    given = options(tmp_path / "run", split="additive")
    table = found["main"](found["Attention"](**given, conditions=("g0+g1",)))
    assert len(table) == 2 * 4
    text = (tmp_path / "run" / "summary.md").read_text()
    assert "- g0+g1 in x: most by" in text
    assert "- g0+g1 in y: most by" in text


@pytest.mark.parametrize(
    ("name", "kind"), [("table5", "Pairs"), ("figure4", "Attention"), ("figure7", "Places")]
)
@pytest.mark.parametrize("several", [{"seeds": (0, 3)}, {"split_seeds": (1, 2)}])
def test_several_trainings_are_refused_before_anything_is_written(
    name, kind, several, options, tmp_path
):
    found = script(name)
    ((option, values),) = several.items()
    wanted = f"trains once: give one of --{option.replace('_', '-')}; got {values[0]} {values[1]}"
    with pytest.raises(SystemExit, match=wanted):
        found["main"](found[kind](**options(tmp_path / "run", **several)))
    assert not (tmp_path / "run").exists()


def test_a_training_by_itself_refuses_several(options, tmp_path):
    bench = importlib.import_module("tools.benchmark").Benchmark(
        **options(tmp_path / "run", seeds=(0, 3))
    )
    with pytest.raises(SystemExit, match="trains once: give one of --seeds; got 0 3"):
        importlib.import_module("tools.trained").trained(bench, bench.base, "model")


def test_several_splits_in_files_are_refused_where_they_are_read(options, tmp_path):
    once = importlib.import_module("tools.trained").once
    two = (tmp_path / "a.json", tmp_path / "b.json")
    once(options(tmp_path, split_files=two)["measured"])
    with pytest.raises(SystemExit, match="give one of --split-files; got .*a.json .*b.json"):
        once(options(tmp_path, split="file", split_files=two)["measured"])
