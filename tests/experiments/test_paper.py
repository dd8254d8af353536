"""The scripts of the other tables and figures, at their smallest: what they write and refuse."""

import collections
import dataclasses
import importlib
import pathlib
import runpy
import shlex
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

import scbig
from scbig import baselines, cli, comparison, data, plotting, priors

from .small import EXPERIMENTS, write_priors

RULES = ("perturbed mean", "additive", "Linear")


def script(name: str) -> dict:
    return runpy.run_path(str(EXPERIMENTS / f"{name}.py"))


@pytest.fixture(scope="module")
def cells(four_genes, tmp_path_factory) -> pathlib.Path:
    """A folder with cells and priors, and with what the scripts share."""
    path = tmp_path_factory.mktemp("paper")
    four_genes.to_anndata().write_h5ad(path / "cells.h5ad")
    write_priors(path, four_genes.genes)
    terms = [f"{gene}\t{1 + n % 4};{5 + n % 3};9" for n, gene in enumerate(four_genes.genes)]
    (path / "go.tsv").write_text("\n".join(["gene\tgo", *terms]) + "\n")
    return path


def options(cells: pathlib.Path, out: pathlib.Path, /, **changes: Any) -> dict[str, Any]:
    """Those of every script: the screen of 20 genes at the smallest size."""
    names = {"embeddings": "genes.csv", "interactions": "pairs.csv", "pathways": "sets.gmt"}
    files: Any = {kind: cells / name for kind, name in names.items()}
    measured = importlib.import_module("tools.measured").Measured(
        data=cells / "cells.h5ad", out=out, files=cli.PriorFiles(missing="mean", **files),
        **{"split": "additive", "cells": 8, **changes},
    )  # fmt: skip
    return {"measured": measured, "preset": "smoke", "shared": cells / "shared"}


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "table18"])
def test_methods_stand_side_by_side(name, cells, tmp_path):
    found = script(name)
    bench = found["Benchmark"](**options(cells, tmp_path, folds=2), only=RULES[:2])
    methods = importlib.import_module("tools.methods").methods(bench)
    paper = found["PAPER"] if name == "table2" else {"": found["PAPER"]}
    values = [found["values"](own) for own in paper.values()]
    assert all({*own} <= {*methods} and own["scBIG, as published"] > 0.4 for own in values)
    assert {"GEARS", "CellFlow-like", "scBIG, as published", "scBIG"} <= {*methods}
    scores = found["main"](bench)
    assert {*RULES[:2]} < {*scores.index.get_level_values("predictor")}
    text = (tmp_path / "summary.md").read_text()
    assert ("#### doubles" in text) == (name == "table2")
    assert text.count("In the paper, on its own cells") == (
        2 if name in ("table1", "table2") else 1
    )
    assert ("wasserstein" in text) == (name in ("table1", "table18"))
    assert ("| des |" in text) == (name not in ("table18",))


def test_tables_of_embeddings_differ_in_what_is_known_of_genes(cells, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("gene,a,b\n" + "".join(f"g{n},{n},{-n * n}\n" for n in range(0, 20, 2)))
    given = options(cells, tmp_path / "run", annotations=cells / "go.tsv")
    found = script("table6e")
    given["shared"] = tmp_path / "shared"
    bench = found["WithTables"](**given, tables=(f"mine={other}",), only=("given", "random"))
    tables = importlib.import_module("tools.embeddings").tables(bench)
    assert [*tables] == ["given", "mine", "GO terms", "random"]
    assert len({own.names for own in tables.values()}) == 1
    mine = priors.read_embeddings(other)
    row = dict(zip(tables["mine"].names, tables["mine"].vectors, strict=True))
    np.testing.assert_allclose(row["g1"], mine.vectors.mean(axis=0))
    np.testing.assert_allclose(row["g4"], [4, -16])
    with pytest.raises(SystemExit, match="name=FILE; got 'mine'"):
        found["main"](found["WithTables"](**given, tables=("mine",)))
    other_arms = script("figure5")["arms"](bench)
    for name, arm in other_arms.items():
        assert arm.genes.checksum == tables[name].checksum
        assert arm.perturbations.checksum == tables["given"].checksum
    assert len({arm.recipe.folder for arm in other_arms.values()}) == 4


def test_tables_that_call_a_gene_otherwise_are_read_by_aliases(cells, tmp_path):
    other, aliases = tmp_path / "other.csv", tmp_path / "aliases.csv"
    other.write_text("gene,a,b\ng0,0,1\nlater,4,-16\n")
    aliases.write_text("alias,symbol\ng4,later\n")
    given = options(cells, tmp_path / "run")
    files = dataclasses.replace(given["measured"].files, aliases=aliases)
    given["measured"] = dataclasses.replace(given["measured"], files=files)
    bench = script("table6e")["WithTables"](**given, tables=(f"mine={other}",))
    mine = importlib.import_module("tools.embeddings").tables(bench)["mine"]
    row = dict(zip(mine.names, mine.vectors, strict=True))
    np.testing.assert_allclose(row["g4"], [4, -16])
    np.testing.assert_allclose(row["g1"], [2, -7.5])


def test_a_sweep_is_of_every_pair_of_sizes(cells, tmp_path):
    found = script("figure6")
    bench = found["Sweep"](**options(cells, tmp_path), clusters=(4, 5), points=(4,))
    arms = found["arms"](bench)
    assert {arm.programs.clusters for arm in arms.values()} == {4, 5}
    assert {arm.decoder.mixing.points for arm in arms.values()} == {4}
    assert found["sizes"](found["Sweep"](**options(cells, tmp_path))) == ((2, 4, 16), (2, 4, 8))


def test_rows_that_the_folder_has_stay_and_those_that_fail_are_named(cells, tmp_path):
    benchmark = importlib.import_module("tools.benchmark")
    claim = importlib.import_module("tools.verdicts").Claim("a is ahead", "Linear", "broken")

    def broken(screen, priors):
        raise ValueError("it lacks a prior")

    arms = {"Linear": baselines.Rule(comparison.RULES["Linear"]), "broken": baselines.Rule(broken)}
    paper = pd.DataFrame({"pearson_delta": [0.5]}, index=pd.Index(["Linear"], name="method"))
    more = {"claims": (claim,), "paper": {"Table 0": paper}, "note": "A note."}
    table = benchmark.Table(arms=arms, whole="Linear", **more)
    run = lambda only, **more: benchmark.run(
        benchmark.Benchmark(**options(cells, tmp_path, **more), only=only), table
    )
    run(("Linear",))
    scores = run(("broken",))
    assert "Linear" in scores.index.get_level_values("predictor")
    text = (tmp_path / "summary.md").read_text()
    (row,) = [line for line in text.splitlines() if line.startswith("| Linear | ")][:1]
    assert row.endswith(" | 0.500 |")
    assert text.startswith("A note.\n\n- a is ahead: **not made**, a training of one")
    assert "Not made, additive-1/broken/fold0-seed0: it lacks a prior" in text
    told = (tmp_path / "config.json").read_text()
    with pytest.raises(ValueError, match="made from other cells, priors or settings"):
        run(("Linear",), cells=9)
    assert (tmp_path / "config.json").read_text() == told


def test_without_embeddings_nothing_reads_them(cells, tmp_path):
    arms = script("table6b")["arms"](scbig.cpu())
    assert "genes" in arms["without interactions"].programs.reads
    assert "genes" not in arms["without embeddings"].programs.reads
    assert arms["without embeddings"].encoder.semantics is None


def test_what_interacts_is_varied_and_how_many_do_is_not(cells, tmp_path):
    found = script("sensitivity")
    fewer = tmp_path / "fewer.csv"
    fewer.write_text("gene1,gene2\ng0,g1\ng1,g2\n")
    more = {"weights": (0.5,), "thresholds": (), "others": (f"fewer={fewer}",)}
    arms = found["arms"](found["Sensitivity"](**options(cells, tmp_path), **more))
    assert [*arms] == ["as given", "weight 0.5", "fewer", "half of them", "shuffled"]
    read = arms["fewer"].interactions
    assert {*zip(read.first, read.second, strict=True)} == {("g0", "g1"), ("g1", "g2")}
    assert arms["weight 0.5"].programs.interaction_weight == 0.5
    table = pd.read_csv(cells / "pairs.csv")
    mixed = arms["shuffled"].interactions
    given = {tuple(sorted(row)) for row in table.astype(str).to_numpy().tolist()}
    new = {tuple(sorted(row)) for row in zip(mixed.first, mixed.second, strict=True)}
    assert len(mixed.first) == len(new) == len(given)
    assert not new & given
    ends = lambda pairs: collections.Counter(gene for pair in pairs for gene in pair)
    assert ends(new) == ends(given)
    half = arms["half of them"].interactions
    assert {tuple(sorted(row)) for row in zip(half.first, half.second, strict=True)} < given
    assert 0.25 * len(table) < len(half.first) < 0.75 * len(table)
    with pytest.raises(ValueError, match="no scores|have no score"):
        found["arms"](found["Sensitivity"](**options(cells, tmp_path), thresholds=(800,)))


def test_steps_are_timed_without_the_first_call(cells, tmp_path):
    found = script("table7")
    bench = found["Costs"](**options(cells, tmp_path / "seven"), calls=2)
    arms = found["arms"](bench.aligned)
    weights = {name: [loss.weight for part in arm.terms for loss in part.term.losses]
               for name, arm in arms.items()}  # fmt: skip
    assert weights == {
        "neither": [], "correlation": [0.1, 0.0], "pathways": [0.0, 0.1], "both": [0.1, 0.1],
    }  # fmt: skip
    timing = importlib.import_module("tools.timing")
    history = pd.DataFrame(
        {"stage": ["flow"] * 4 + ["x"], "steps_per_second": [0.1, 100.0, 200.0, 400.0, 1.0]}
    )
    assert timing._milliseconds(history, "flow") == pytest.approx(5.0)
    with pytest.raises(SystemExit, match="at least two calls"):
        timing._milliseconds(history[:1], "flow")
    nine = script("table9")
    # More than the genes that a screen keeps by default.
    screen, _ = nine["simulated"](2100, 4)
    assert screen.num_genes == 2100


@pytest.mark.parametrize("name", ["table5", "table7", "table8", "figure4", "figure7"])
def test_an_arm_that_a_script_does_not_have_is_named(name, cells, tmp_path):
    found = script(name)
    kind = {"table5": "Pairs", "figure4": "Attention", "figure7": "Places"}.get(name, "Costs")
    with pytest.raises(SystemExit, match="No arm 'nothing'; there are"):
        found["main"](found[kind](**options(cells, tmp_path / "run"), only=("nothing",)))
    assert not (tmp_path / "run").exists()


def test_a_spread_is_of_several(cells, tmp_path):
    found = script("table11")
    with pytest.raises(SystemExit, match="at least two --seeds, or two --split-seeds"):
        found["main"](found["Benchmark"](**options(cells, tmp_path / "one")))
    assert not (tmp_path / "one").exists()


@pytest.fixture(scope="module")
def drugs(tmp_path_factory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("drugs")
    found = script("drug_screen")
    sizes = {"drugs": 6, "pairs": 8, "genes": 40, "programs": 4, "cells": 12, "controls": 60}
    found["main"](found["DrugScreen"](out=out, **sizes, test_pairs=2))
    return out


def test_the_drug_screen_has_doses_and_a_split_that_leaks_nothing(drugs):
    screen = data.Screen.from_anndata(data.read_h5ad(drugs / "screen.h5ad"))
    split = importlib.import_module("scbig").Split.read(drugs / "split.json")
    doses = {dose for c in screen.conditions for dose in c.doses}
    assert doses == {0.1, 1.0, 10.0}
    of = lambda names: {p for n in names for p in data.Condition.parse(n).perturbations}
    unseen = of(split.test) - of(split.train)
    assert len(unseen) == 2
    singles = [n for n in split.test if "+" not in n]
    assert of(singles) == unseen
    assert not of([n for n in split.test if "+" in n]) & unseen
    vectors = priors.read_embeddings(drugs / "drugs.npz")
    assert {*vectors.names} == {*screen.perturbations}
    with np.load(drugs / "drugs.npz") as found:
        smiles = dict(zip(found["names"], found["smiles"], strict=True))
        rows = dict(zip(found["names"], found["embeddings"], strict=True))
    legal = script("drug_embeddings")["is_smiles"]
    for name, text in smiles.items():
        assert legal(text)
        assert rows[name].sum() == len(text) - 2


def test_all_of_it_is_one_page_that_names_what_failed(cells, tmp_path):
    command = [
        sys.executable, str(EXPERIMENTS / "all.py"), "--preset", "smoke", "--out", str(tmp_path),
        "--data", str(cells / "cells.h5ad"), "--embeddings", str(cells / "nothing.csv"),
        "--scripts", "table8", "table10",
    ]  # fmt: skip
    # What has ended is not run again.
    (tmp_path / "table10").mkdir(parents=True)
    files = cli.PriorFiles(missing="mean", embeddings=cells / "nothing.csv")
    given = {"preset": "smoke", "out": tmp_path, "data": cells / "cells.h5ad", "files": files}
    found, plans = script("all"), importlib.import_module("tools.plans").PLANS
    (plan,) = [own for own in plans if own.name == "table10"]
    told = found["arguments"](plan, found["All"](**given), given["data"])
    (tmp_path / "table10" / "done").write_text(f"12\n{shlex.join(told)}\n")
    assert found["ended"](tmp_path / "table10", told)
    assert not found["ended"](tmp_path / "table10", [*told, "--cells", "9"])
    (tmp_path / "table10" / "summary.md").write_text("What was found.\n")
    claim = {"claim": "a is ahead", "verdict": "holds", "metric": "mse", "difference": 0.1,
             "low": 0.05, "high": 0.2, "p": 0.01, "conditions": 9, "seeds": 3, "p_seeds": 0.02,
             "part": ""}  # fmt: skip
    broken = {"claim": "b is ahead", "verdict": "not made", "metric": "mse", "part": ""}
    pd.DataFrame([claim, broken]).to_csv(tmp_path / "table10" / "claims.csv", index=False)
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 1, made.stdout + made.stderr
    assert "1 failed: table8" in made.stderr
    text = (tmp_path / "page.md").read_text()
    assert "## Table 8: what programs cost\n\nFailed: `" in text
    assert "nothing.csv" in text
    assert "2 claims, whose p are not corrected for their number: holds 1, not made 1." in text
    assert "preset `smoke`. 240 cells x 20 genes, 10 conditions" in text
    row = "| Table 10: pooling | a is ahead | holds | mse | +0.100 [0.050, 0.200] |"
    assert f"{row} 0.01 | 9 | 3, 0.02 |" in text
    assert "| Table 10: pooling | b is ahead | not made | mse |  |  |  |  |" in text
    times = {"fit_seconds": [3.0, 30.0], "predict_seconds": [1.0, 2.0]}
    pd.DataFrame(times).to_csv(tmp_path / "table10" / "costs.csv", index=False)
    assert script("all")["time_of"](tmp_path / "table10") == "36 s of trainings and predictions"
    pd.DataFrame({"ms a step": [3.0]}).to_csv(tmp_path / "table10" / "costs.csv", index=False)
    assert script("all")["time_of"](tmp_path / "table10") == "12 s"
    other = subprocess.run([*command, "--cells", "9"], capture_output=True, text=True)
    assert other.returncode == 1
    assert "Not run: table6a, table6c, table1," in text
    assert "has the tables of other arguments: choose another folder" in other.stderr
    assert "--only attention mean`, 12 s.\n\nWhat was found." in text


def test_a_folder_is_taken_once_the_input_is_whole(tmp_path):
    found, out = script("all"), tmp_path / "out"
    with pytest.raises(SystemExit, match="Give --data, or --effects"):
        found["main"](found["All"](out=out))
    with pytest.raises(SystemExit, match="--drugs and --drug-vectors are given together"):
        found["main"](found["All"](out=out, data=tmp_path / "c.h5ad", drugs=tmp_path / "d.h5ad"))
    assert not out.exists()
    # A file that one table alone reads may come later; the others may not change.
    found["claim"](found["All"](out=out, data=tmp_path / "c.h5ad"))
    found["claim"](found["All"](out=out, data=tmp_path / "c.h5ad", lines=tmp_path / "l.h5ad"))
    with pytest.raises(SystemExit, match="the tables of other arguments"):
        found["claim"](found["All"](out=out, data=tmp_path / "other.h5ad"))


def test_cells_and_protocols_of_a_plan_are_those_that_were_given(cells, tmp_path):
    found, plans = script("all"), importlib.import_module("tools.plans")
    plan = {own.name: own for own in plans.PLANS}
    few = found["All"](out=tmp_path, combinations="doubles", line_key="line", epochs=100)
    lines = found["All"](out=tmp_path, lines=tmp_path / "lines.h5ad", line_key="line")
    told = lambda name, run: found["arguments"](plan[name], run, tmp_path / "cells.h5ad")
    after = lambda given, option: given[given.index(option) + 1]
    assert after(told("table6a", few), "--split") == "doubles"
    assert after(told("table6a", lines), "--split") == "additive"
    assert after(told("table2", few), "--split") == "holdout"
    rows = told("table1", few)
    assert "additive" in rows[rows.index("--only") :]
    many = found["All"](
        out=tmp_path, singles=tmp_path / "s.h5ad", drugs=tmp_path / "d.h5ad",
        drug_vectors=tmp_path / "v.npz", data=tmp_path / "cells.h5ad",
    )  # fmt: skip
    assert after(told("table3", many), "--data") == str(tmp_path / "s.h5ad")
    assert after(told("table3", few), "--data") == str(tmp_path / "cells.h5ad")
    assert after(told("table4", many), "--data") == str(tmp_path / "d.h5ad")
    assert after(told("table4", many), "--perturbations") == str(tmp_path / "v.npz")
    assert after(told("table4", many), "--split") == "combosciplex"
    last = lambda given: given[len(given) - given[::-1].index("--epochs")]
    assert (last(told("table2", few)), last(told("table2", lines))) == ("100", "20")
    assert "--epochs" not in told("table18", few)
    assert after(told("table6a", lines), "--data") == str(tmp_path / "cells.h5ad")
    assert after(told("table18", lines), "--data") == str(tmp_path / "lines.h5ad")
    assert after(told("table18", lines), "--context-key") == "line"
    assert after(told("table18", lines), "--split") == "contexts"
    made = found["page"](dataclasses.replace(lines, data=cells / "cells.h5ad"),
                         cells / "cells.h5ad", [plan["table18"]], [])  # fmt: skip
    assert "Table 18: another cell line is of lines.h5ad." in made
    with pytest.raises(SystemExit, match="table18 needs --lines"):
        found["main"](found["All"](out=tmp_path / "new", scripts=("table18",)))
    assert not (tmp_path / "new").exists()


def test_every_plan_is_of_a_script_that_is_there():
    plans = importlib.import_module("tools.plans")
    assert len({plan.name for plan in plans.PLANS}) == len(plans.PLANS)
    for plan in plans.PLANS:
        assert (EXPERIMENTS / f"{plan.script}.py").exists()
    scripts = {
        path.stem for pattern in ("table*", "figure*") for path in EXPERIMENTS.glob(f"{pattern}.py")
    }
    assert scripts <= {plan.script for plan in plans.PLANS}
    # Each is to be read in one look: what they share is in `tools`.
    texts = {plan.script: (EXPERIMENTS / f"{plan.script}.py").read_text() for plan in plans.PLANS}
    assert [name for name, text in texts.items() if len(text.splitlines()) >= 100] == []
    assert plotting


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("norman_additive", "table1_norman_additive"),
        ("norman_additive_distances", "table13_norman_additive_distribution"),
        ("norman_holdout_doubles", "table2_norman_holdout_double"),
        ("norman_holdout_singles", "table2_norman_holdout_single"),
        ("replogle_rpe1", "table3_replogle_rpe1"),
        ("combosciplex", "table4_combosciplex"),
        ("k562_to_rpe1", "table18_k562_to_rpe1"),
    ],
)
def test_the_papers_values_are_those_of_the_paper(name, file, shared_file):
    own = importlib.import_module("tools.methods").published(name)
    given = pd.read_csv(shared_file(f"paper/tables/{file}.csv"), index_col="method")
    own = own.rename(index={"scBIG, as published": "scBIG"})
    pd.testing.assert_frame_equal(own, given)
