"""Every script runs from end to end, small, and says what it promises to say."""

import dataclasses
import pathlib
import runpy
import subprocess
import sys

import pandas as pd
import pytest

from scbig import config as C
from scbig.simulate import SimulationConfig

EXPERIMENTS = pathlib.Path(__file__).parents[1] / "experiments"
PRESET = C.cpu()
SCRIPTS = sorted(EXPERIMENTS.glob("*.py"))


def smoke() -> C.ScBIGConfig:
    """The scripts' own preset, with just enough steps to see numbers move."""
    base = PRESET
    return dataclasses.replace(
        base,
        programs=dataclasses.replace(base.programs, clusters=4, starts=1),
        autoencoder=dataclasses.replace(base.autoencoder, width=8, latent=4, mlp_width=8),
        condition=dataclasses.replace(base.condition, hidden=8, width=8),
        velocity=dataclasses.replace(base.velocity, hidden=8, depth=1),
        alignment=dataclasses.replace(base.alignment, cells=8, iterations=10),
        stage1=dataclasses.replace(base.stage1, epochs=2),
        stage2=dataclasses.replace(
            base.stage2, groups=2, cells=8, steps=4, steps_per_call=4, validation_cells=8
        ),
    )


def check(averages: pd.DataFrame, out: pathlib.Path) -> None:
    expected = ["scBIG", "control", "perturbed mean", "linear", "additive", "split-half"]
    assert list(averages.index) == expected
    assert not averages.drop(index="control").isna().to_numpy().any()
    files = {path.name for path in out.iterdir()}
    promised = {"scores.csv", "averages.csv", "comparison.png", "training.png", "metrics.jsonl"}
    assert promised | {"model.scbig", "config.json"} <= files
    written = pd.read_csv(out / "averages.csv", index_col=0)
    pd.testing.assert_frame_equal(written, averages, check_dtype=False)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_explains_itself(script):
    shown = subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, check=True
    )
    assert "--out" in shown.stdout


def test_the_quick_start_has_a_pulse(tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "quickstart.py"))
    simulation = SimulationConfig(
        genes=40, programs=4, perturbations=5, doubles=6, control_cells=60, cells_per_condition=12
    )
    run = script["Quickstart"](
        simulation=simulation, model=smoke(), test=3, validation=2, out=tmp_path
    )
    check(script["main"](run), tmp_path)
    said = capsys.readouterr().out
    assert "adjusted Rand index" in said
    assert "scBIG ahead by" in said


def test_the_norman_script_has_a_pulse_on_real_cells(shared_file, tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "norman_subset.py"))
    run = script["NormanSubset"](
        data=shared_file("data/norman19_k562_3375x500.h5ad"),
        embeddings=shared_file("priors/enformer_tss_19685x32.npz"),
        interactions=shared_file("priors/string_v12_ge800.tsv.gz"),
        pathways=shared_file("priors/ReactomePathways.gmt"),
        model=smoke(),
        out=tmp_path,
    )
    averages = script["main"](run)
    check(averages, tmp_path)
    scores = pd.read_csv(tmp_path / "scores.csv")
    doubles = {
        "KLF1+MAP2K6",
        "KLF1+TGFBR2",
        "MAPK1+TGFBR2",
        "MAP2K3+MAP2K6",
        "MAP2K3+SLC38A2",
    }
    assert set(scores["condition"]) == doubles
    # Measured on the raw means with NumPy alone.
    additive = scores[(scores["predictor"] == "additive") & (scores["condition"] == "KLF1+MAP2K6")]
    assert abs(additive["pearson_delta"].item() - 0.981) < 0.005
    assert "445 of 500 genes" in capsys.readouterr().out
