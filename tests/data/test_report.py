"""The report before training: what a screen holds, told apart from what looks strange."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbig.data import GUIDE, Columns, Covered, Report, Screen, inspect_file
from scbig.splits import Split

LABELS = ["control"] * 12 + ["A"] * 11 + ["B"] * 10 + ["A+B"] * 3
GENES = ("A", "C", "NKX2-1", "D", "E", "F", "G", "H")


def make(labels=LABELS, genes=GENES, **columns) -> Any:
    """Raw counts with a column of labels."""
    counts = np.random.default_rng(0).poisson(1.5, (len(labels), len(genes))).astype(np.float32)
    counts[:, 0] += 1
    obs = pd.DataFrame({"condition": labels, **columns})
    obs.index = pd.Index([f"cell{i}" for i in range(len(labels))])
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=pd.Index(genes)))


def logged(adata) -> Any:
    new = adata.copy()
    new.X = np.log1p(adata.X / adata.X.sum(axis=1, keepdims=True) * 1e3)
    return new


def test_a_report_counts_what_there_is():
    adata = make(line=["x", "y"] * 18)
    report = Screen.from_anndata(logged(adata), Columns(context="line")).report()
    assert (report.num_cells, report.num_genes) == (36, 8)
    assert [c.name for c in report.conditions] == ["A", "A+B", "B"]
    assert report.controls == {"x": 6, "y": 6}
    by_hand = pd.Series(adata.obs["condition"] + " in " + adata.obs["line"]).value_counts()
    assert report.populations == {k: v for k, v in by_hand.items() if "control" not in str(k)}
    assert report.not_measured == ("B",)
    assert report.problems == ()
    text = str(report)
    for line in (
        "36 cells x 8 genes: 3 conditions (2 single, 1 combined) of 2 perturbations",
        "controls in each of 2 contexts: 'x: 6', 'y: 6'",
        "cells of a condition in a context: 1 (A+B in x) to 6 (A in x), median 5",
        "perturbations that are measured genes: 1 of 2; not: 'B'",
    ):
        assert line in text.splitlines()
    assert any("6 conditions have fewer than 10 cells" in doubt for doubt in report.doubts)
    alone = str(Screen.from_anndata(logged(adata)).report())
    assert "controls: 12" in alone.splitlines()
    assert "cells of a condition: 3 (A+B) to 11 (A), median 10" in alone.splitlines()
    assert "look at: 1 conditions have fewer than 10 cells: 'A+B: 3'." in alone.splitlines()


def test_the_scale_is_told_of_counts_and_of_their_logarithms(tmp_path):
    adata = make()
    totals = np.percentile(adata.X.sum(axis=1), [5, 50, 95])
    adata.write_h5ad(tmp_path / "counts.h5ad")
    raw = inspect_file(tmp_path / "counts.h5ad").scale
    assert raw.kind == "raw counts"
    assert raw.largest == adata.X.max()
    assert raw.zeros == pytest.approx(np.mean(adata.X == 0))
    np.testing.assert_allclose(raw.totals, totals)
    logged(adata).write_h5ad(tmp_path / "log.h5ad")
    found = inspect_file(tmp_path / "log.h5ad").scale
    assert found.kind == "log1p of normalised counts"
    np.testing.assert_allclose(found.totals, 1e3, rtol=1e-4)
    assert found.whole > 0.95
    assert raw.whole > 0.95
    assert found.zeros == raw.zeros


def test_counts_in_a_layer_and_cells_in_x(tmp_path):
    adata = logged(make())
    adata.layers["counts"] = make().X
    adata.write_h5ad(tmp_path / "both.h5ad")
    assert inspect_file(tmp_path / "both.h5ad", layer="counts").scale.kind == "raw counts"
    assert inspect_file(tmp_path / "both.h5ad").scale.kind == "log1p of normalised counts"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda x: np.log2(1 + x / x.sum(axis=1, keepdims=True) * 1e3), "logarithms to base 2"),
        (lambda x: x - x.mean(axis=0), "negative"),
        (lambda x: 0 * x, "zero"),
        (lambda x: np.where(x > 3, np.nan, x), "NaN"),
    ],
)
def test_a_scale_that_is_neither_is_a_problem_and_not_a_crash(tmp_path, change, problem):
    adata = make(["control"] * 60 + ["A"] * 60)
    adata.X = change(adata.X).astype(np.float32)
    adata.write_h5ad(tmp_path / "odd.h5ad")
    report = inspect_file(tmp_path / "odd.h5ad")
    assert len(report.problems) == 1
    assert problem in report.problems[0]
    assert report.scale.kind == "neither counts nor log1p of normalised counts"
    assert f"cannot train: {report.problems[0]}" in str(report)
    with pytest.raises(ValueError, match=problem):
        report.check()


def test_a_base_that_is_noted_is_a_problem(tmp_path):
    adata = logged(make())
    adata.uns["log1p"] = {"base": 2.0}
    adata.write_h5ad(tmp_path / "base.h5ad")
    assert "to base 2" in inspect_file(tmp_path / "base.h5ad").problems[0]


def test_smoothed_values_are_a_doubt():
    adata = logged(make(["control"] * 60 + ["A"] * 60))
    adata.X = (adata.X @ np.random.default_rng(1).dirichlet(np.ones(8), 8)).astype(np.float32)
    report = Screen.from_anndata(adata).report()
    assert report.scale.whole < 0.4
    assert any("No counts stand behind the values" in doubt for doubt in report.doubts)
    assert not any("No counts" in d for d in Screen.from_anndata(logged(make())).report().doubts)


def test_values_that_are_too_few_to_tell_are_no_doubt():
    adata = logged(make(["control"] * 6 + ["A"] * 5, genes=("A", "C")))
    report = Screen.from_anndata(adata).report()
    assert report.scale.whole == 0
    assert not any("No counts" in doubt for doubt in report.doubts)


def test_the_note_of_a_base_is_of_x_and_of_no_layer(tmp_path):
    adata = logged(make())
    adata.layers["counts"] = make().X
    adata.uns["log1p"] = {"base": 2.0}
    adata.write_h5ad(tmp_path / "base.h5ad")
    assert inspect_file(tmp_path / "base.h5ad", layer="counts").problems == ()


def test_counts_are_looked_at_in_every_cell(tmp_path, monkeypatch):
    monkeypatch.setattr("scbig.data._describe._CELLS", 5)
    adata = make()
    adata.X[7, 2] = 0.5
    adata.write_h5ad(tmp_path / "odd.h5ad")
    report = inspect_file(tmp_path / "odd.h5ad")
    assert "not whole numbers, in the genes 'NKX2-1'" in report.problems[0]
    assert report.scale.looked == 5


def test_cells_that_are_too_large_for_an_exponential_have_no_total(tmp_path):
    adata = logged(make())
    adata.X[:4, 1] = 1000.0
    adata.write_h5ad(tmp_path / "large.h5ad")
    scale = inspect_file(tmp_path / "large.h5ad").scale
    np.testing.assert_allclose(scale.totals, 1e3, rtol=1e-4)
    assert scale.largest == 1000


def test_controls_alone_are_a_problem():
    report = Screen.from_anndata(logged(make(["control"] * 30))).report()
    assert report.problems == ("There are no perturbed cells, only controls.",)
    assert "cells of a condition" not in str(report)


@pytest.mark.parametrize("lacking", ["x", "y", "z"])
def test_contexts_without_controls_are_named(tmp_path, lacking):
    labels = ["control" if n % 4 == 0 else "A" for n in range(48)]
    lines = ["xyz"[n % 3] for n in range(48)]
    kept = [
        not (at == lacking and label == "control") for at, label in zip(lines, labels, strict=True)
    ]
    make(labels, line=lines)[np.array(kept)].copy().write_h5ad(tmp_path / "c.h5ad")
    report = inspect_file(tmp_path / "c.h5ad", Columns(context="line"))
    assert report.controls == {"x": 4, "y": 4, "z": 4} | {lacking: 0}
    (problem,) = report.problems
    assert problem.startswith(f"1 contexts have no control cells: '{lacking}'.")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("labels", "columns", "doubt"),
    [
        (["D_1", "D_2"], {}, "guides of 1 genes: 'D: D_1, D_2'"),
        (["scrambled", "D"], {}, "1 perturbations read like controls: 'scrambled'"),
        (["D", "d"], {}, "spelt in two ways: 'D and d'"),
        (["D_1", "E"], {}, "1 perturbations read like guides of 1 genes: 'D: D_1'"),
        (["H-E-F", "D"], {"separator": "-"}, "halves of one measured gene: 'E+F+H (H-E-F)'"),
        (["NKX2-1", "D"], {"separator": "-"}, "halves of one measured gene: '1+NKX2 (NKX2-1)'"),
    ],
)
def test_labels_are_not_taken_at_their_word(labels, columns, doubt):
    adata = logged(make(["control"] * 12 + [labels[0]] * 12 + [labels[1]] * 12))
    adata.var_names = [*GENES[:-1], "H-E-F"]
    report = Screen.from_anndata(adata, Columns(**columns)).report()
    assert any(doubt in own for own in report.doubts), report.doubts
    assert f"look at: {report.doubts[0]}" in str(report)


def test_what_priors_know_is_asked_by_genes_and_by_perturbations():
    asked = []

    class Known:
        def covers(self, genes, perturbations):
            asked.append((tuple(genes), tuple(perturbations)))
            return Covered(line="names: all"), Covered(line="rest", doubts=("d",), problems=("p",))

    report = Screen.from_anndata(logged(make())).report(Known())
    assert asked == [(GENES, ("A", "B"))]
    assert report.problems == ("p",)
    assert "d" in report.doubts
    assert {"names: all", "rest", "look at: d", "cannot train: p"} <= {*str(report).splitlines()}


def test_cells_keep_their_guides():
    labels = ["NTC_1"] * 12 + ["D_1", "D_2"] * 6 + ["E_1+D_2"] * 12
    columns = Columns(guide=GUIDE, control=["NTC", "NTC_1"])
    spelt = ["D_1 " if place == 14 else label for place, label in enumerate(labels)]
    screen: Any = Screen.from_anndata(logged(make(spelt)), columns)
    assert [c.name for c in screen.conditions] == ["D", "D+E", "control"]
    assert [screen.guides[i] for i in screen.guide_index] == labels
    rows = np.array([35, 0, 12, 13])
    some = screen.take(rows)
    assert [some.guides[i] for i in some.guide_index] == [labels[i] for i in rows]
    assert list(some.to_anndata().obs["guide"]) == [labels[i] for i in rows]
    assert some.guides == ("D_1", "D_2", "E_1+D_2", "NTC_1")
    # Guides that no cell has any more go, as conditions do.
    parts = (screen.select(["D"]), screen.without(["D+E"]), screen.take(np.arange(24)))
    split = Split.of(name="", train=["D"], test=["D+E"]).cells(screen, "train")
    part: Any
    for part in (*parts, split, parts[0].in_memory()):
        assert part.guides == ("D_1", "D_2", "NTC_1")
        assert [part.guides[i] for i in part.guide_index] == labels[:24]
    assert screen.at_least(12).guides == ("D_1", "D_2", "E_1+D_2", "NTC_1")
    with pytest.raises(ValueError, match="names of their own; got 'guide', 'guide'"):
        screen.to_anndata("guide")
    plain = Screen.from_anndata(logged(make()))
    assert plain.guides == ()
    assert "guide" not in plain.to_anndata().obs


def test_conditions_of_few_cells_can_be_left_out_by_context():
    screen = Screen.from_anndata(logged(make(line=["x"] * 30 + ["y"] * 6)[6:]))
    assert [c.name for c in screen.at_least(4).conditions] == ["A", "B", "control"]
    labels = ["control", "A", "A", "control", "A", "B", "B"] * 3
    lines = ["x", "x", "x", "y", "y", "y", "x"] * 3
    both = Screen.from_anndata(logged(make(labels, line=lines)), Columns(context="line"))
    left = both.at_least(4)
    kept = {(left.conditions[c].name, left.contexts[w]) for c, w in zip(
        left.condition_index, left.context_index, strict=True)}  # fmt: skip
    assert kept == {("control", "x"), ("control", "y"), ("A", "x")}
    assert left.is_control.sum() == 6  # three in each, though they are fewer than four
    with pytest.raises(ValueError, match="No condition has 7 cells in a context"):
        both.at_least(7)


@pytest.mark.parametrize(
    ("name", "columns", "lines"),
    [
        (
            "norman19_k562_3375x500",
            Columns(),
            (
                "3375 cells x 500 genes: 33 conditions (18 single, 15 combined) of 31 perturb",
                "controls: 100",
                "cells of a condition: 80 (FOXL2+HOXB9) to 100 (BPGM+SAMD1), median 100",
                "scale: log1p of normalised counts",
                "perturbations that are measured genes: 1 of 31",
            ),
        ),
        (
            "mcfaline23_glioma_2586x500",
            Columns(context="cell_type"),
            (
                "controls in each of 3 contexts: 'A172: 100', 'T98G: 100', 'U87MG: 100'",
                "cells of a condition in a context: 46 (PLK4 in A172) to 100 (MAP2K3 in A172)",
                "scale: log1p of normalised counts",
            ),
        ),
        (
            "papalexi21_thp1_20729x299",
            Columns(condition="target", context="batch"),
            (
                "20729 cells x 299 genes: 25 conditions (25 single, 0 combined) of 25 perturb",
                "scale: raw counts; of 2000 cells the largest value is 162",
                "look at: 1 conditions have fewer than 10 cells: 'SPI1 in rep_2: 7'.",
            ),
        ),
    ],
)
def test_reports_of_real_screens(shared_file, name, columns, lines):
    report = inspect_file(shared_file(f"data/{name}.h5ad"), columns)
    assert isinstance(report, Report)
    assert report.problems == ()
    text = str(report).splitlines()
    for line in lines:
        assert any(own.startswith(line) for own in text), line
    assert len(report.doubts) == sum(own.startswith("look at") for own in text)
