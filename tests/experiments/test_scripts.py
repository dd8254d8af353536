"""Every script explains itself; the two runs of the README have a pulse."""

import pathlib
import runpy

import pandas as pd
import pytest

from .small import EXPERIMENTS, SIMULATION, bare

SCRIPTS = sorted(EXPERIMENTS.glob("*.py"))


def check(averages: pd.DataFrame, out: pathlib.Path) -> None:
    expected = [
        "scBIG",
        "scBIG, as published",
        "control",
        "perturbed mean",
        "linear",
        "additive",
        "additive x slope",
        "residual transfer",
        "mixed effects",
        "anchor",
        "autoencoder ceiling",
        "split-half",
    ]
    assert list(averages.index) == expected
    assert not averages.drop(index="control").isna().to_numpy().any()
    files = {path.name for path in out.iterdir()}
    promised = {"scores.csv", "averages.csv", "comparison.png", "training.png", "metrics.jsonl"}
    assert promised | {"model.scbig", "config.json"} <= files
    written = pd.read_csv(out / "averages.csv", index_col=0)
    pd.testing.assert_frame_equal(written, averages, check_dtype=False)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_explains_itself(script, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [str(script), "--help"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(script), run_name="__main__")
    assert not left.value.code
    assert "--out" in capsys.readouterr().out


@pytest.mark.slow
def test_the_quick_start_has_a_pulse(tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "quickstart.py"))
    run = script["Quickstart"](
        simulation=SIMULATION, model=bare(), test=3, validation=2, out=tmp_path
    )
    check(script["main"](run), tmp_path)
    said = capsys.readouterr().out
    assert "adjusted Rand index" in said
    assert "scBIG ahead by" in said


@pytest.mark.slow
def test_the_norman_script_has_a_pulse_on_real_cells(shared_file, tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "norman_subset.py"))
    run = script["NormanSubset"](
        data=shared_file("data/norman19_k562_3375x500.h5ad"),
        embeddings=shared_file("priors/enformer_tss_19685x32.npz"),
        interactions=shared_file("priors/string_v12_ge800.tsv.gz"),
        pathways=shared_file("priors/ReactomePathways.gmt"),
        model=bare(),
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
