"""`scbig inspect`, and messages in the words of the command line."""

import re
import warnings
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import tyro

from scbig.cli import Evaluate, Fit, Inspect, Predict, Prepare, main
from scbig.cli._words import _OPTIONS, spoken
from scbig.data import Screen
from scbig.splits import Split

LABELS = ["control"] * 12 + ["A"] * 11 + ["B"] * 10 + ["A+B"] * 10
GENES = ("A", "B", "C", "D", "E", "F")


@pytest.fixture
def files(tmp_path):
    """Counts, cells, and priors of which the interactions are of other genes."""
    counts = np.random.default_rng(0).poisson(2.0, (len(LABELS), 6)).astype(np.float32)
    obs = pd.DataFrame({"condition": LABELS}, pd.Index([f"c{i}" for i in range(len(LABELS))]))
    adata: Any = ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))
    adata.write_h5ad(tmp_path / "counts.h5ad")
    adata.X = np.log1p(1.7 * counts)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    table = pd.DataFrame(np.random.default_rng(1).normal(size=(5, 3)), pd.Index(GENES[1:]))
    table.to_csv(tmp_path / "genes.csv")
    (tmp_path / "pairs.tsv").write_text("one\ttwo\nA\tX\nB\tY\n")
    (tmp_path / "sets.gmt").write_text("set\t\tA\tB\tC\n")
    return tmp_path


def run(capsys, *words: object) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_file_is_described_and_nothing_is_written(files, capsys):
    before = sorted(path.name for path in files.iterdir())
    code, said, _ = run(capsys, "inspect", files / "cells.h5ad")
    assert code == 0
    assert said == f"{Screen.open(files / 'cells.h5ad').report()}\n"
    code, said, _ = run(capsys, "inspect", files / "counts.h5ad", "--pathways", files / "sets.gmt")
    assert code == 0
    assert "scale: raw counts" in said
    assert "pathways: 1 sets with 3 of 6 genes (50.0%), 2 of 2 perturbations (100.0%)" in said
    assert sorted(path.name for path in files.iterdir()) == before


def test_every_problem_of_the_priors_is_told_at_once(files, capsys):
    given = ("--embeddings", files / "genes.csv", "--interactions", files / "pairs.tsv")
    code, said, errors = run(capsys, "inspect", files / "cells.h5ad", *given)
    assert code == 1
    assert (
        "gene embeddings: 5 of 6 genes (83.3%), 1 of 2 perturbations (50.0%); without 'A'" in said
    )
    lines = [line for line in said.splitlines() if line.startswith("cannot train: ")]
    assert [line.split(":")[1].split(" ")[1] for line in lines] == ["gene", "No", "interactions"]
    assert "--missing mean" in errors
    code, said, _ = run(capsys, "inspect", files / "cells.h5ad", *given, "--missing", "mean")
    assert code == 1
    assert said.count("cannot train: ") == 2


def test_fit_prints_the_report_and_stops_before_it_makes_anything(files, capsys):
    given = ("--embeddings", files / "genes.csv", "--missing", "mean")
    more = ("--interactions", files / "pairs.tsv", "--pathways", files / "sets.gmt")
    out = files / "run"
    words = ("fit", "--data", files / "cells.h5ad", *given, *more, "--out", out)
    code, said, errors = run(capsys, *words)
    assert code == 1
    assert "43 cells x 6 genes" in said
    assert "cannot train: No embedding for 1 perturbation(s): 'A'" in said
    assert "no two of them have one between them" in errors
    assert "give --aliases, or --perturbations" in errors
    assert not out.exists()


def test_fit_can_leave_small_conditions_out(files, capsys):
    given = ("--embeddings", files / "genes.csv", "--out", files / "run", "--preset", "cpu")
    words = ("fit", "--data", files / "cells.h5ad", *given, "--min-condition-cells")
    assert "43 cells x 6 genes: 3 conditions" in run(capsys, *words, "10")[1]
    assert "23 cells x 6 genes: 1 conditions (1 single" in run(capsys, *words, "11")[1]
    assert "No condition has 12 cells in a context" in run(capsys, *words, "12")[2]


def test_a_split_does_without_the_small_conditions(files, capsys, monkeypatch):
    split = Split.of(name="mine", train=["A", "A+B"], test=["B"], validation=[])
    split.save(files / "split.json")
    given = ("--embeddings", files / "genes.csv", "--missing", "mean", "--anyway")
    words = ("fit", "--data", files / "cells.h5ad", *given, "--split", files / "split.json")
    words = (*words, "--out", files / "run", "--min-condition-cells")
    (files / "run").mkdir()
    monkeypatch.setattr("scbig.train.fit", lambda screen, *_, **__: print(screen.conditions))
    code, _, errors = run(capsys, *words, "11")
    assert code == 1
    assert "No perturbation is left in `test`" in errors
    left = ["control"] * 12 + ["A"] * 11 + ["B"] * 11 + ["A+B"] * 9
    adata: Any = ad.read_h5ad(files / "cells.h5ad")
    adata.obs["condition"] = left
    adata.write_h5ad(files / "cells.h5ad")
    assert run(capsys, *words, "11")[0] == 0
    found = Split.read(files / "run" / "split.json")
    assert found == split.without(["A+B"])
    assert (found.train, found.dropped) == (("A", "control"), ("A+B",))


def test_what_looks_strange_is_said_once_and_by_options(files, capsys):
    for name in ("cells", "counts"):
        adata: Any = ad.read_h5ad(files / f"{name}.h5ad")
        adata.obs["condition"] = ["scrambled" if label == "B" else label for label in LABELS]
        adata.write_h5ad(files / f"{name}.h5ad")
    few = ("--min-genes", 0, "--min-cells", 0)
    given = ("--embeddings", files / "genes.csv")
    fit = ("fit", "--data", files / "cells.h5ad", "--preset", "cpu", "--out", files / "run", *given)
    for words in (
        ("inspect", files / "cells.h5ad", *given),
        fit,
        (*fit, "--missing", "mean", "--anyway"),
        ("prepare", "--counts", files / "counts.h5ad", "--out", files / "o.h5ad", *few),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            _, said, errors = run(capsys, *words)
        assert (said + errors).count("read like controls: 'scrambled'") == 1, words
        assert "pass all names of controls as --control" in said
        assert "missing=" not in said
        assert "a table of aliases" not in said


def test_scores_of_interactions_may_have_any_column(files, capsys):
    (files / "scored.tsv").write_text("one\ttwo\tstrength\nA\tB\t0.9\nA\tC\t0.2\n")
    words = ("inspect", files / "cells.h5ad", "--interactions", files / "scored.tsv")
    code, _, errors = run(capsys, *words, "--threshold", "500")
    assert code == 1
    assert "say which one it is (--interaction-score), or leave --threshold out" in errors
    code, said, _ = run(capsys, *words, "--threshold", "500", "--interaction-score", "strength")
    assert code == 0
    assert "1 edges between genes, 2 genes with one" in said
    code, _, errors = run(capsys, *words[:2], "--interaction-score", "strength")
    assert code == 1
    assert "say how --interactions FILE is read" in errors


def test_a_missing_file_is_one_sentence(tmp_path, capsys):
    code, _, errors = run(capsys, "inspect", tmp_path / "nothing.h5ad")
    assert code == 1
    should = "it should be cells, an h5ad file or a zarr folder"
    assert errors == f"scbig: There is no file {tmp_path / 'nothing.h5ad'}: {should}.\n"


MESSAGES = [
    ("Pass the control's name as `control`.", "Pass the control's name as --control."),
    ("and pass it as `separator`; rename", "and pass it as --separator; rename"),
    ("pass `guide`, the pattern of", "pass --guide-pattern, the pattern of"),
    ("obs has no column 'x' for the condition; it has", "for the condition (--condition-key); it"),
    ("obs has no column 'x' for the doses; it has", "for the doses (--dose-key); it has"),
    ("name it: Columns(condition='perturbation'); if", "name it: --condition-key perturbation; if"),
    ("has min_genes=1000 detected. Lower min_genes:", "--min-genes 1000 detected. Lower --min-g"),
    ("expressed in min_cells=50 of the", "expressed in --min-cells 50 of the"),
    ("variable_genes must be", "--variable-genes must be"),
    ('choose missing="zero" (a vector) or missing="mean" (the', "--missing zero (a vector)"),
    ("use scbig.preprocess.preprocess, or scanpy.pp.normalize_total and then scanpy.pp.log1p.",
     "use 'scbig prepare'."),
    ("Name them: columns=.", "Name them: --interaction-columns."),
    ("give Priors interactions=, or choose", "give --interactions, or choose"),
    ("Train with a larger `config.max_tokens`.", "with --set max_tokens=NUMBER, a larger one."),
    ("threshold=1200", "--threshold 1200"),
    ("pass columns=Columns(context=...), the column", "give --context-key, the column"),
    ("Drop them with `screen.at_least(2)`.", "Drop them with --min-condition-cells 2."),
]  # fmt: skip


@pytest.mark.parametrize(("message", "expected"), MESSAGES)
def test_messages_name_options(message, expected):
    assert expected in spoken(message)


def test_options_that_messages_name_exist(capsys):
    """Every word with two hyphens among the replacements is an option of some command."""
    known = set()
    for command in (Prepare, Fit, Predict, Evaluate, Inspect):
        with pytest.raises(SystemExit):
            tyro.cli(command, args=["--help"])
        known |= set(re.findall(r"--[a-z][a-z-]*[a-z]", capsys.readouterr().out))
    options = {word for _, words in _OPTIONS for word in re.findall(r"--[a-z][a-z-]*[a-z]", words)}
    assert options - known == set()
    assert "--min-condition-cells" in known


def test_messages_without_an_argument_stay():
    for text in ("No gene is left.", "obs['condition'] is missing in 3 cells.", "context X=3"):
        assert spoken(text) == text


def test_names_and_files_of_the_user_stay_what_they_are():
    for text in (
        "There is no file /data/min_genes/min_cells.h5ad.",
        "min_cells.csv.gz: no rows; target_sum.zarr is there",
        "obs has no column 'min_cells'; it has 'target_sum', 'for the genes;', \"min_genes's\".",
        "runs/give a/threshold=3/model.scbig belongs to another run",
    ):
        assert spoken(text) == text
    told = "The gene's name is 'min_genes', and the others' names: lower min_genes."
    assert spoken(told) == told.replace("lower min_genes", "lower --min-genes")
    counts = 'Put the counts in X, for instance adata.X = adata.layers["counts"]. No controls.'
    assert spoken(counts) == "Name the layer with the counts: --layer. No controls."


def test_a_warning_is_a_line_of_its_own(files, capsys):
    adata: Any = ad.read_h5ad(files / "cells.h5ad")
    adata.obs["condition"] = ["scrambled" if label == "B" else label for label in LABELS]
    adata.write_h5ad(files / "odd.h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        _, _, errors = run(
            capsys, "evaluate", "--predicted", files / "odd.h5ad", "--data", files / "odd.h5ad",
            "--out", files / "scores.csv", "--no-ceiling",
        )  # fmt: skip
    assert "scbig: 1 perturbations read like controls: 'scrambled'. If they are, pass all" in errors
    assert "as --control." in errors
    assert "UserWarning" not in errors


def test_the_report_names_options(files, capsys):
    adata: Any = ad.read_h5ad(files / "cells.h5ad")
    adata.obs["condition"] = [{"B": "scrambled"}.get(label, label) for label in LABELS]
    adata.write_h5ad(files / "odd.h5ad")
    _, said, _ = run(capsys, "inspect", files / "odd.h5ad", "--guide-pattern", "usual")
    assert "pass all names of controls as --control." in said
    assert "fits the pattern of a guide's name, --guide-pattern '" in said


def test_arrays_of_other_names_are_no_dead_end(files, capsys):
    np.savez(files / "genes.npz", genes=np.array(GENES), X=np.eye(6))
    _, _, errors = run(capsys, "inspect", files / "cells.h5ad", "--embeddings", files / "genes.npz")
    assert "Save it with the names as 'names' and the vectors as 'embeddings'" in errors
