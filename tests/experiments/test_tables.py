"""The scripts of the paper's tables: arms that differ, on shared autoencoders, in one folder."""

import json
import runpy

import pandas as pd
import pytest

from scbig import method as m

from .small import EXPERIMENTS, write_priors

TABLES = ("table6a", "table6b", "table6c", "table10")


def script(name: str) -> dict:
    return runpy.run_path(str(EXPERIMENTS / f"{name}.py"))


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("base", [m.cpu(), m.wide(), m.paper()])
def test_every_arm_is_another_run_and_the_papers_rows_are_among_them(name, base):
    table = script(name)
    arms = table["arms"](base)
    assert len({m.fingerprint(arm) for arm in arms.values()}) == len(arms)
    assert {*table["PAPER"]} <= {*arms}
    assert base in arms.values()


@pytest.mark.slow
def test_a_table_is_made_once_and_its_folder_says_how(four_genes, tmp_path, capsys):
    only = ("no alignment", "both")
    four_genes.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    table = script("table6c")
    given = runpy.run_path(str(EXPERIMENTS / "compare.py"))["Measured"](
        data=tmp_path / "cells.h5ad",
        out=tmp_path / "run",
        files=write_priors(tmp_path, four_genes.genes),
        split="additive",
    )
    bench = table["Benchmark"](measured=given, preset="smoke", only=only)
    scores = table["main"](bench)
    arms = {name: arm for name, arm in table["arms"](bench.aligned).items() if name in only}
    rows = {*scores.index.get_level_values("predictor")}
    assert {*arms, "perturbed mean", "additive", "split-half"} == rows
    files = {path.name for path in given.out.iterdir()}
    assert {"scores.csv", "costs.csv", "config.json", "table.md", "comparison.png"} <= files
    assert {"summary.md", "claims.csv"} <= files
    claims = pd.read_csv(given.out / "claims.csv")
    assert [*claims["claim"]] == ["both together are ahead of none"]
    assert [*claims["verdict"]] == ["too few conditions"]
    # Its arms differ in the flow alone.
    assert len([*(given.out / "autoencoders").iterdir()]) == 1
    told = json.loads((given.out / "config.json").read_text())
    assert {n: m.ScBIGConfig.from_dict(own) for n, own in told.items()} == arms
    page = (given.out / "table.md").read_text()
    # The first row is of the means, the second of the differences to the whole.
    row = [line for line in page.splitlines() if line.startswith(f"| {only[0]} |")][1]
    mean = scores.groupby("predictor")["pearson_delta"].mean()
    _, _, number, apart, *_ = row.split("|")
    assert number.strip() == "1"
    assert float(apart.split()[0]) == pytest.approx(mean[only[0]] - mean[only[1]], abs=6e-4)
    capsys.readouterr()
    pd.testing.assert_frame_equal(table["main"](bench), scores)
    assert "fold 0" not in capsys.readouterr().out


def test_an_arm_that_is_not_there_is_named(tmp_path):
    table = script("table10")
    given = runpy.run_path(str(EXPERIMENTS / "compare.py"))["Measured"](data=tmp_path, out=tmp_path)
    with pytest.raises(SystemExit, match="No arm 'nothing'; there are Set Transformer"):
        table["main"](table["Benchmark"](measured=given, only=("nothing",)))
