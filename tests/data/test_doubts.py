"""Public files' own ways to name guides, doses, controls and genes: taken rightly, or said."""

import re
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbig.data import GUIDE, Columns, Condition, Screen, inspect_file
from scbig.splits import Split

GENES = ("KLF1", "CEBPA", "FOXA1", "HLA-A", "TP53", "MYC")
DOLCETTO = ["KLF1_+_12885043.23-P1", "KLF1_-_12885021.23-P1", "CEBPA_-_33793310.23-P1P2"]
REPLOGLE = ["50_KLF1_P1P2_ENSG00000105610", "12_CEBPA_P1_ENSG00000245848"]
REPLOGLE += ["107_non-targeting_non-targeting_non-targeting"]


def make(labels, genes=GENES, times=12, **columns) -> Any:
    """Cells on the scale of log1p, of each label as many."""
    counts = np.random.default_rng(0).poisson(2.0, (len(labels) * times, len(genes))) + 1.0
    index = pd.Index([f"cell{i}" for i in range(len(counts))])
    repeated = {name: list(values) * times for name, values in columns.items()}
    obs = pd.DataFrame({"condition": list(labels) * times, **repeated}, index=index)
    var = pd.DataFrame(index=pd.Index(genes))
    return ad.AnnData(np.log1p(counts * 1.37).astype(np.float32), obs=obs, var=var)


def report(adata, tmp_path, **columns):
    adata.write_h5ad(tmp_path / "cells.h5ad")
    return inspect_file(tmp_path / "cells.h5ad", Columns(**columns))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["KLF1_P1P2", "CEBPA_P1"], "2 perturbations hold .*: 'CEBPA_P1 \\(CEBPA\\)', 'KLF1_P1P2"),
        (["sgKLF1", "HLA-A_pDS12"], "2 perturbations hold .*HLA-A_pDS12 \\(HLA-A\\)', 'sgKLF1"),
        (["KLF1-1", "Lib_TP53_x"], "2 perturbations hold .*'KLF1-1 \\(KLF1\\)', 'Lib_TP53_x"),
        (["Klf1", "CEBPA"], "1 perturbations are measured genes but for .*'Klf1 \\(KLF1\\)'"),
        (["JQ1 10 nM", "JQ1_100uM", "X 5 mg/mL"], "3 perturbations read like doses with a unit"),
        (["JQ1_10", "JQ1_100"], "read like guides .*If the numbers are doses, .* behind '@'"),
        (["control_0.0", "KLF1"], "1 perturbations read like controls: 'control_0.0'"),
    ],
)
def test_names_that_are_not_quite_genes_are_said(labels, said, tmp_path):
    adata = make(["control", *labels])
    assert re.search(said, str(report(adata, tmp_path)))
    with pytest.warns(UserWarning, match=said):
        Screen.from_anndata(adata)


@pytest.mark.parametrize("label", ["KLF1_1", "KLF1_2"])
def test_numbers_of_guides_are_not_taken_for_doses(label, tmp_path):
    (doubt,) = report(make(["control", label, "CEBPA"]), tmp_path).doubts
    assert "read like guides" in doubt
    assert "doses" not in doubt


@pytest.mark.parametrize("labels", [["KLF1", "HLA-A"], ["JQ1", "NKX2-1"], ["T+A", "IL6"]])
def test_nothing_is_said_of_genes_and_drugs(labels, tmp_path):
    assert report(make(["control", *labels], (*GENES[:-2], "T", "A")), tmp_path).doubts == ()


IDENTIFIERS = tuple(f"ENSG{place:011d}.{place}" for place in range(1, 7))


@pytest.mark.parametrize(
    ("genes", "label", "said"),
    [
        (IDENTIFIERS, "KLF1", "genes are Ensembl identifiers, and 1 perturbations are not: 'KLF1'"),
        (tuple("012345"), "KLF1", "names of the genes are numbers, and 1 perturbations are not"),
        (GENES, "ENSG00000105610", "1 perturbations are Ensembl identifiers, and no gene's name"),
        (IDENTIFIERS, "ENSG00000000002", "case or a version: 'ENSG00000000002 \\(ENSG0.*2.2"),
        ((*GENES[1:], "1-Mar"), "KLF1", "1 names are dates, .*: '1-Mar'"),
    ],
)
def test_names_of_another_kind_are_said(genes, label, said, tmp_path):
    (doubt,) = report(make(["control", label], genes), tmp_path).doubts
    assert re.search(said, doubt)


def test_a_guide_with_a_strand_is_not_cut_at_its_sign():
    cells = make([*DOLCETTO, "non-targeting_00123"])
    message = r"1 of 4 condition labels have '\+' beside an underscore, .*'KLF1_\+_12885043.23-P1'"
    for guide in (None, r"(.+?)_[+-]_.*"):
        with pytest.raises(ValueError, match=message):
            Screen.from_anndata(cells, Columns(guide=guide))
    screen = Screen.from_anndata(cells, Columns(separator="|", guide=r"(.+?)_[+-]_.*"))
    assert screen.perturbations == ("CEBPA", "KLF1")


def test_a_pattern_of_guides_reads_controls_with_more_around_them():
    pattern = r"\d+_(.+?)_.*"
    screen = Screen.from_anndata(make(REPLOGLE), Columns(guide=pattern))
    assert [c.name for c in screen.conditions] == ["CEBPA", "KLF1", "control"]
    split = Split.of(name="", guide=pattern, train=REPLOGLE[1:], test=REPLOGLE[:1])
    assert split.test == ("KLF1",)
    with pytest.raises(ValueError, match=r"by '_' and not by .*the pattern of their names"):
        Screen.from_anndata(make(REPLOGLE))


def test_usual_guides_may_begin_with_sg():
    for label in ("sgKLF1_2", "sgKLF1-sg2", "sgKLF1g2"):
        assert Condition.parse(label, guide=GUIDE).name == "KLF1"
    assert Condition.parse("sgs1_2", guide=GUIDE).name == "sgs1"


@pytest.mark.parametrize(
    ("labels", "joint"),
    [(["NT-1_KLF1-1", "NT-1", "KLF1-1"], "_"), (["NT-1|NT-2", "NT-1", "NT-2"], r"\|")],
)
def test_the_joint_that_explains_all_of_a_label_is_named(labels, joint):
    with pytest.raises(ValueError, match=f"by '{joint}' and not by"):
        Screen.from_anndata(make(labels))


@pytest.mark.parametrize("label", ["*", "/", "\u2026"])
def test_a_sign_alone_is_no_label(label):
    with pytest.raises(ValueError, match="1 of 3 condition labels say that a cell has none"):
        Screen.from_anndata(make(["control", "KLF1", label]))


@pytest.mark.parametrize(
    "name",
    [
        "NTg1",
        "CTRL00698",
        "control_0.0",
        "('DMSO_TF', 0.0, 'uM')",
        "scramble",
        "Untreated",
        "neg-3",
    ],
)
def test_labels_that_read_like_controls_are_named_where_none_is_one(name):
    cells = make([name, "KLF1", "NTRK1", "NEGR1", "SCNN1A"])
    with pytest.raises(ValueError, match="no control cells") as error:
        Screen.from_anndata(cells)
    hint = re.search(r"These read like controls: (.*?)\. Pass", str(error.value))
    assert hint is not None
    assert hint[1] == repr(name)


@pytest.mark.parametrize("flags", [[True, False], [1, 0], ["True", "False"], [1.0, np.nan]])
def test_a_column_that_marks_the_controls_tells_their_label(flags):
    said = r"obs\['is_control'\] marks the cells of 'none at all'"
    with pytest.raises(ValueError, match=said):
        Screen.from_anndata(make(["none at all", "KLF1"], is_control=flags))
    with pytest.raises(ValueError, match=r"no control cells") as error:
        Screen.from_anndata(make(["none at all", "KLF1"], control_plate=["p1", "p2"], batch=flags))
    assert "marks" not in str(error.value)


def test_a_missing_label_may_be_a_controls_and_cells_may_lie_in_columns():
    with pytest.raises(ValueError, match="fill the column, with control where nothing was"):
        Screen.from_anndata(make([None, "KLF1"]))
    with pytest.raises(ValueError, match=r"it has none\. var has it: .*transpose"):
        Screen.from_anndata(make(["control", "KLF1"]).T)


@pytest.mark.parametrize("guide", [r"(\w+)_P1P2", GUIDE])
def test_a_pattern_that_fits_no_label_is_said(guide, tmp_path):
    cells = make(["non-targeting_001", "KLF1", "CEBPA"])
    said = "No label but a control's fits the pattern of a guide's name"
    assert any(said in doubt for doubt in report(cells, tmp_path, guide=guide).doubts)
    with pytest.warns(UserWarning, match=said):
        Screen.from_anndata(cells, Columns(guide=guide))
    cells = make(["non-targeting_001", "KLF1_P1P2_1", "CEBPA_P1P2"])
    assert report(cells, tmp_path, guide=r"(\w+?)_P1P2.*").doubts == ()


def test_a_perturbed_gene_of_a_shared_name_is_said(tmp_path):
    cells = make(["control", "KLF1", "CEBPA"], IDENTIFIERS)
    cells.var["symbol"] = [*GENES[:5], "KLF1"]
    (doubt,) = report(cells, tmp_path, gene="symbol").doubts[-1:]
    assert re.search(r"1 perturbations .* share in var\['symbol'\].*: 'KLF1'", doubt)


def test_contexts_need_controls_and_better_many(tmp_path):
    labels = ["control", "KLF1", "KLF1", "KLF1"]
    found = report(make(labels, line=["x", "y", "x", "y"]), tmp_path, context="line")
    assert found.problems == (
        "1 contexts have no control cells: 'y'. Drop those contexts, or merge each with one that "
        "has controls.",
    )
    few = make(["control", *["KLF1"] * 10], times=3)
    (doubt,) = report(few, tmp_path).doubts
    assert doubt.startswith("1 contexts have fewer than 10 controls")
    assert doubt.endswith("'3'.")


def test_no_counts_are_told_of_an_unknown_scale_and_rounded_values_are_said(tmp_path):
    cells = make(["control", "KLF1"])
    cells.X = np.expm1(cells.X) * 100
    assert "add up to" not in str(report(cells, tmp_path).scale)
    cells.X = np.rint(np.random.default_rng(1).uniform(3, 9, cells.shape))
    assert any("rounded from another scale" in doubt for doubt in report(cells, tmp_path).doubts)
