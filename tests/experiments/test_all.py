"""Every script at its smallest, by the command lines of `all.py`, on one small screen."""

import contextlib
import importlib
import json
import pathlib
import re
import runpy
import sys
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scbig
from scbig import Split, data, method as m
from scbig.preprocess import PreprocessConfig, preprocess
from scbig.simulate import SimulationConfig, simulate_screen

from .small import EXPERIMENTS, write_priors

SIZES = SimulationConfig(
    genes=40, programs=4, perturbations=6, doubles=10, control_cells=48, cells_per_condition=12
)
EVERY = PreprocessConfig(min_genes=1, min_cells=0, variable_genes=40)


def inside(name: str, given: list[str], path: pathlib.Path) -> int:
    """Runs a script as its command line would, in this process, which has compiled it before."""
    script, kept = str(EXPERIMENTS / f"{name}.py"), sys.argv
    sys.argv = [script, *given]
    (path.parent / "command.json").write_text(json.dumps(given))
    try:
        with path.open("w") as log, contextlib.redirect_stdout(log):
            runpy.run_path(script, run_name="__main__")
    finally:
        sys.argv = kept
    return 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """What all scripts write under `--preset smoke`."""
    path = tmp_path_factory.mktemp("all")
    cells = preprocess(simulate_screen(SIZES, seed=0).counts, EVERY)
    cells.write_h5ad(path / "cells.h5ad")
    few = cells[[("+" not in name) for name in cells.obs["condition"]]]
    lines = [few.copy(), few.copy()]
    for place, own in enumerate(lines):
        own.obs["line"] = f"line {place}"
    ad.concat(lines, index_unique="-").write_h5ad(path / "lines.h5ad")
    files = write_priors(path, tuple(cells.var_names))
    terms = [f"{gene}\t{1 + n % 4};{5 + n % 3};9" for n, gene in enumerate(cells.var_names)]
    (path / "go.tsv").write_text("\n".join(["gene\tgo", *terms]) + "\n")
    np.savez(
        path / "effects.npz",
        genes=cells.var_names.to_numpy(str), single_conditions=["g0"], double_conditions=["g0+g1"],
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXPERIMENTS))
        found = runpy.run_path(str(EXPERIMENTS / "all.py"))
        patch.setitem(found["main"].__globals__, "run_script", inside)
        found["main"](
            found["All"](
                preset="smoke", out=path / "out", data=path / "cells.h5ad", files=files,
                annotations=path / "go.tsv", effects=path / "effects.npz",
                lines=path / "lines.h5ad", line_key="line",
            )
        )  # fmt: skip
    return path / "out"


def script(name: str) -> dict:
    return runpy.run_path(str(EXPERIMENTS / f"{name}.py"))


def again(folder: pathlib.Path, plan: str) -> str:
    """Runs a script as it was run, into the folder that it has filled; returns what it prints."""
    inside(plan, json.loads((folder / plan / "command.json").read_text()), folder / "again.txt")
    return (folder / "again.txt").read_text()


def test_every_table_and_figure_is_in_the_page(folder):
    page = (folder / "page.md").read_text()
    assert "Failed" not in page
    assert "Not run" not in page
    for plan in script("all")["PLANS"]:
        files = {path.suffix for path in (folder / plan.name).iterdir()}
        assert {".csv", ".json", ".png", ".md"} <= files, plan.name
        assert f"## {plan.title}\n\n`{plan.script}.py" in page
    shown = re.findall(r"!\[.+\]\((.+)\)", page)
    assert {*shown} == {str(path.relative_to(folder)) for path in folder.glob("*/*.png")}
    claims = pd.concat(pd.read_csv(path) for path in folder.glob("*/claims.csv"))
    assert f"{len(claims)} claims, whose p are not corrected for their number" in page


def test_a_table_is_made_once_and_its_folder_says_how(folder, capsys):
    own, only = folder / "table6c", ("no alignment", "both")
    scores = pd.read_csv(own / "scores.csv")
    assert {*only, "perturbed mean", "additive", "split-half"} == {*scores["predictor"]}
    files = {path.name for path in own.iterdir()}
    assert {"scores.csv", "costs.csv", "config.json", "table.md", "comparison.png"} <= files
    assert {"summary.md", "claims.csv"} <= files
    claims = pd.read_csv(own / "claims.csv")
    assert [*claims["claim"]] == ["both together are ahead of none"]
    assert [*claims["verdict"]] == ["too few conditions"]
    told = json.loads((own / "config.json").read_text())
    arms = {name: m.ScBIGConfig.from_dict(arm) for name, arm in told["arms"].items()}
    benchmark = importlib.import_module("tools.benchmark")
    table = script("table6c")
    aligned = scbig.but(benchmark.base_of("smoke"), terms=benchmark._LOSSES)
    made = table["arms"](aligned)
    assert arms == {name: made[name] for name in only}
    assert told["run"]["measured"]["split"] == "additive"
    assert told["run"]["measured"]["cells"] == 8
    assert told["made with"]["scbig"]
    page = (own / "table.md").read_text()
    # The first row is of the means, the second of the differences to the whole.
    row = [line for line in page.splitlines() if line.startswith(f"| {only[0]} |")][1]
    mean = scores.groupby("predictor")["pearson_delta"].mean()
    _, _, number, apart, *_ = row.split("|")
    assert number.strip() == str(scores["condition"].nunique())
    assert float(apart.split()[0]) == pytest.approx(mean[only[0]] - mean[only[1]], abs=6e-4)
    assert "fold 0" not in again(folder, "table6c")
    pd.testing.assert_frame_equal(pd.read_csv(own / "scores.csv"), scores)


def test_scripts_share_autoencoders_and_models(folder):
    assert {path.name for path in (folder / "shared" / "models").iterdir()} == {"model", "cellflow"}
    told = json.loads((folder / "table6c" / "config.json").read_text())["arms"]
    # Neither trained an autoencoder of its own: Table 6a had made the one of its last arm.
    first = {json.dumps([own[part] for part in ("programs", "encoder")]) for own in told.values()}
    assert len(first) == 1
    assert not (folder / "table6c" / "autoencoders").exists()


@pytest.mark.parametrize(
    ("plan", "arm"),
    [
        ("table6a", "none, Normal"), ("table6b", "without any prior"), ("table10", "attention"),
        ("table2", "CellFlow-like"), ("table1", "scBIG, as published"), ("figure5", "random"),
        ("sensitivity", "weight 0.1"), ("table18", "CellFlow-like"), ("table12", "CellFlow-like"),
    ],
)  # fmt: skip
def test_what_a_plan_trains_is_scored(folder, plan, arm):
    scores = pd.read_csv(folder / plan / "scores.csv")
    own = scores[scores["predictor"] == arm]
    assert len(own)
    assert np.isfinite(own["mse"]).all()
    assert arm in json.loads((folder / plan / "config.json").read_text())["arms"]


def test_what_a_model_learned_is_held_against_what_was_measured(folder):
    found = pd.read_csv(folder / "figure7" / "places.csv")
    assert {*found["population"]} == {"control", "measured", "scBIG, as published", "CellFlow-like"}
    # As many cells of each population as were predicted, and no controls among them.
    sizes = found[found["population"] != "control"].groupby(["condition", "population"]).size()
    assert {*sizes} == {8}
    rows = pd.read_csv(folder / "table5" / "coactivation.csv")
    assert len(rows) == 6 * rows["condition"].nunique()
    for side in ("predicted", "measured", "decoded"):
        assert rows[f"coactivation, {side}"].between(-1, 1).all()
    # Cells through the autoencoder have less of what single cells do alone.
    assert not np.allclose(rows["coactivation, measured"], rows["coactivation, decoded"])
    said = (folder / "table5" / "summary.md").read_text()
    assert said.count("| M") == min(10, len(rows))
    for side in ("predicted", "measured", "decoded"):
        assert f"- {side}: median {rows['coactivation, ' + side].median():.2f} (quartiles" in said
    shifts = pd.read_csv(folder / "figure4" / "predicted.csv")
    assert {*shifts["program"]} == {0, 1, 2, 3}
    assert (folder / "figure4" / "measured.png").exists()


def test_steps_are_timed(folder):
    seven = pd.read_csv(folder / "table7" / "costs.csv")
    assert [*seven["losses"]] == ["neither", "both"]
    assert seven["times the first"].iloc[0] == 1
    assert (pd.read_csv(folder / "table8" / "costs.csv")["ms a step"] > 0).all()
    nine = pd.read_csv(folder / "table9" / "costs.csv")
    assert (nine["stage 2, ms"] > 0).all()
    assert [*nine["genes"]] == [2051 // 64]


def test_a_sweep_is_drawn_over_its_sizes(folder):
    assert (folder / "figure6" / "sweep.png").stat().st_size > 5000
    told = json.loads((folder / "figure6" / "config.json").read_text())["arms"]
    assert {arm["programs"]["clusters"] for arm in told.values()} == {4}
    assert {arm["decoder"]["mixing"]["points"] for arm in told.values()} == {2}


def test_seeds_and_splits_have_a_spread(folder):
    own, row = folder / "table11", "CellFlow-like"
    found = pd.read_csv(own / "seeds.csv").set_index(["predictor", "over"])
    assert found.loc[(row, "seeds"), "mse"] > 0
    assert found.loc[(row, "seeds"), "paper"] == 0.0035
    twelve = pd.read_csv(folder / "table12" / "seeds.csv").set_index(["predictor", "over"])
    assert twelve.loc[(row, "seeds"), "paper"] == 0.0026
    splits = pd.read_csv(folder / "table11-splits" / "seeds.csv")
    assert {*splits["over"]} == {"splits"}
    assert {"perturbed mean", "additive", row} <= {*splits["predictor"]}
    scores = pd.read_csv(folder / "table11-splits" / "scores.csv")
    means = scores[scores["predictor"] == row].groupby("evaluation")["mse"].mean()
    drawn = splits.set_index("predictor")["mse"][row]
    assert drawn == pytest.approx(np.std(means, ddof=1))
    assert "| splits |" in (folder / "page.md").read_text()
    assert not (folder / "table11-splits" / "calibration.csv").exists()


def test_what_seeds_disagree_on_is_held_against_their_error(folder):
    own = folder / "table11"
    assert (own / "calibration.png").stat().st_size > 5000
    told = pd.read_csv(own / "calibration.csv", index_col=0).loc["CellFlow-like"]
    assert "Whether seeds that disagree are wrong" in (own / "summary.md").read_text()
    screen = data.Screen.from_anndata(data.read_h5ad(folder.parent / "cells.h5ad"))
    files = sorted(own.glob("*/CellFlow-like/fold0-seed*.h5ad"))
    assert len(files) == 2
    cells = [data.read_h5ad(path) for path in files]
    seeds = [own.to_df().groupby(own.obs["condition"].astype(str)).mean() for own in cells]
    squares, deviations = [], []
    for name in {*seeds[0].index} - {"control"}:
        measured = screen.dense(screen.rows(str(name)))
        means = np.array([own.loc[name] for own in seeds])
        noise = measured.var(axis=0, ddof=1) / len(measured)
        squares += [*((means.mean(axis=0) - measured.mean(axis=0)) ** 2 - noise)]
        deviations += [*means.std(axis=0, ddof=1)]
    size = np.sqrt(max(np.mean(squares), 0.0))
    np.testing.assert_allclose(told["root mean square error"], size, rtol=1e-4)
    np.testing.assert_allclose(
        told["root mean square sd"], np.sqrt(np.mean(np.square(deviations))), rtol=1e-4
    )


def test_drugs_with_doses_are_predicted_end_to_end(folder):
    screen = data.Screen.from_anndata(data.read_h5ad(folder / "drugs" / "screen.h5ad"))
    split = Split.read(folder / "drugs" / "split.json")
    assert {dose for c in screen.conditions for dose in c.doses} == {0.1, 1.0, 10.0}
    scores = pd.read_csv(folder / "table4" / "scores.csv")
    own = scores[scores["predictor"] == "scBIG, as published"]
    assert {*own["condition"]} == {*split.test}
    assert np.isfinite(own["mse"]).all()
    told = json.loads((folder / "table4" / "config.json").read_text())["arms"]
    config: Any = m.ScBIGConfig.from_dict(told["scBIG, as published"])
    assert config.encoder.width == 8
