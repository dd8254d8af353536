"""Doses, several context columns, and labels that are joined in two ways."""

import re
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbig.data import GUIDE, Columns, Screen


def make_adata(labels, **columns) -> Any:
    rng = np.random.default_rng(0)
    x = np.log1p(rng.poisson(2.0, (len(labels), 3)) * rng.uniform(0.5, 1.5, (len(labels), 3)))
    index = pd.Index([f"cell{i}" for i in range(len(labels))])
    obs = pd.DataFrame({"condition": labels, **columns}, index=index)
    return ad.AnnData(x.astype(np.float32), obs=obs)


def read(adata, **columns):
    return Screen.from_anndata(adata, Columns(**columns))


def names_of(screen):
    return [screen.conditions[i].name for i in screen.condition_index]


LABELS = ["ctrl", "B+A", "A", "A", "A+ctrl", "A+B", "B", "ctrl"]
DOSES = ["nan", "0.1+10", "1", "10.0", "1+0", "10+0.10", "1", "0"]
EXPECTED = ["control", "A@10+B@0.1", "A@1", "A@10", "A@1", "A@10+B@0.1", "B@1", "control"]


@pytest.mark.parametrize("kind", ["object", "category"])
def test_a_column_of_doses_goes_with_the_labels_own_order(kind):
    adata = make_adata(LABELS, dose=pd.Series(DOSES, dtype=object).astype(kind).to_numpy())
    screen = read(adata, dose="dose")
    assert names_of(screen) == EXPECTED
    assert screen.perturbations == ("A", "B")
    np.testing.assert_array_equal(screen.rows("B@0.10+A@10"), [1, 5])
    again = read(screen.to_anndata())
    assert names_of(again) == EXPECTED
    assert [c.name for c in again.conditions] == sorted(set(EXPECTED))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_numbers_are_doses_of_single_drugs_and_controls_may_lack_them(dtype):
    values = np.array([np.nan, 0.1, 10, 0.1], dtype)
    screen = read(make_adata(["ctrl", "A", "A", "B"], dose=values), dose="dose")
    assert names_of(screen) == ["control", "A@0.1", "A@10", "B@0.1"]


def test_labels_can_carry_their_doses():
    screen = read(make_adata(["control", "A@0.10", "A@.1", "B@1+A"]))
    assert names_of(screen) == ["control", "A@0.1", "A@0.1", "A+B@1"]


@pytest.mark.parametrize("dtype", [int, float, np.float32, str, "category"])
def test_whole_numbers_are_labels_however_they_are_stored(dtype):
    labels = pd.Series([0, 0, 7, 12]).astype(dtype).to_numpy()
    assert names_of(read(make_adata(labels), control="0")) == ["control", "control", "7", "12"]


def test_labels_that_do_not_go_with_their_doses_are_named_together():
    adata = make_adata(["ctrl", "A+B", "A", "B", "A"], dose=["0", "1", "0", "2", "3"])
    message = r"2 condition labels .*obs\['dose'\]: 'A\+B with 1', 'A with 0'\. .*0\.1\+10"
    with pytest.raises(ValueError, match=message):
        read(adata, dose="dose")
    with pytest.raises(ValueError, match=r"1 condition labels .*'A with nan'"):
        read(make_adata(["ctrl", "A"], dose=[1.0, np.nan]), dose="dose")
    with pytest.raises(ValueError, match=r"no column 'dosis' for the doses; it has .*'dose'"):
        read(adata, dose="dosis")


def test_a_bad_label_is_not_blamed_on_its_dose():
    with pytest.raises(ValueError, match=r"^The condition 'A\+A' names one perturbation twice\.$"):
        read(make_adata(["ctrl", "A+A"], dose=["0", "1+1"]), dose="dose")


def test_a_context_can_be_made_of_several_columns():
    lines, drugs = ["x", "y", "x", "x"], ["-", "-", "I", "-"]
    adata = make_adata(["ctrl", "ctrl", "ctrl", "A"], line=lines, stimulus=drugs)
    screen = read(adata, context=["line", "stimulus"])
    assert screen.contexts == ("x|-", "x|I", "y|-")
    assert [screen.contexts[i] for i in screen.context_index] == ["x|-", "y|-", "x|I", "x|-"]
    turned = read(adata, context=["stimulus", "line"])
    assert turned.contexts == ("-|x", "-|y", "I|x")
    single = read(adata, context=["line"])
    assert single.contexts == read(adata, context="line").contexts == ("x", "y")


def test_whole_numbers_are_one_context_however_they_were_written():
    labels = ["ctrl", "A"] * 3
    batches: Any = [[1, 1, 2, 2, 10, 10], [1.0, 1.0, 2.0, 2.0, 10.0, 10.0]]
    batches.append(["1.0", "1", "2", "2.00", "10", " 10.0"])
    for batch in batches:
        screen = read(make_adata(labels, batch=batch), context="batch")
        assert screen.contexts == ("1", "10", "2")
        found = [screen.contexts[i] for i in screen.context_index]
        assert found == ["1", "1", "2", "2", "10", "10"]
    versions = read(
        make_adata(labels, batch=["v1.0", "v1.0", "1.5", "1.5", "-", "-"]), context="batch"
    )
    assert versions.contexts == ("-", "1.5", "v1.0")


@pytest.mark.parametrize("text", ["nan", "NaN", "", " ", "<NA>", "n/a"])
def test_the_text_of_a_missing_value_is_no_context(text):
    adata = make_adata(["ctrl", "A"] * 2, line=["a", "a", text, text])
    with pytest.raises(ValueError, match=r"obs\['line'\], the context, is '.*' in 2 of 4 cells"):
        read(adata, context="line")
    none = make_adata(["ctrl", "A"] * 2, stimulus=["none", "none", "IL6", "IL6"])
    assert read(none, context="stimulus").contexts == ("IL6", "none")


def test_contexts_of_several_columns_are_checked():
    adata = make_adata(["ctrl", "ctrl"], first=["a|b", "a"], second=["c", "b|c"])
    with pytest.raises(ValueError, match=r"1 names stand for two contexts.*: 'a\|b\|c'\. Rename"):
        read(adata, context=("first", "second"))
    with pytest.raises(ValueError, match="no column 'third'"):
        read(adata, context=("first", "third"))
    with pytest.raises(ValueError, match="names no column"):
        read(adata, context=())
    adata.obs["second"] = ["c", None]
    with pytest.raises(ValueError, match=r"'second'\], the context, is missing in 1"):
        read(adata, context=("first", "second"))
    lacking = make_adata(["ctrl", "A"], first=["a", "a"], second=["c", "d"])
    with pytest.raises(ValueError, match=r"1 contexts have no control cells: 'a\|d'"):
        read(lacking, context=("first", "second"))


@pytest.mark.parametrize(
    ("labels", "culprits"),
    [
        (["ctrl", "A", "B", "A+B", "B_A"], "1 of 5 .* by '_' and not by '\\+': 'B_A'"),
        (["ctrl", "A", "B+C", "B_A", "A|C"], "2 of 5 .* by '_', '\\|' and"),
        (["control", "A", "A_ctrl"], "'A_ctrl'"),
        (["ctrl", "A", "B", "C", "A+B_C"], "'A\\+B_C'"),
        (["ctrl", "A@1", "B@2", "A@2_B@1"], "'A@2_B@1'"),
        (["ctrl", "A", "B", "A, B"], "by ','"),
    ],
)
def test_two_separators_in_one_column_are_an_error(labels, culprits):
    with pytest.raises(ValueError, match=culprits):
        read(make_adata(labels))


def test_a_separator_other_than_the_one_given_is_an_error():
    adata = make_adata(["NT", "A", "B", "A_B", "A+B"])
    with pytest.raises(ValueError, match=r"1 of 5 .* by '\+' and not by '_': 'A\+B'\. Join all"):
        read(adata, separator="_", control="NT")


def test_names_that_only_look_joined_are_left_alone():
    labels = ["non-targeting", "HLA-A", "HLA-B", "AHR_1", "AHR_2", "KLF1_1", "Valproic acid"]
    with pytest.warns(UserWarning, match=r"guides of 1 genes: 'AHR: AHR_1, AHR_2'\. If they are"):
        screen = read(make_adata([*labels, "acid", "A@1e-05", "1"]), control="non-targeting")
    assert len(screen.conditions) == len(labels) + 3


MISNAMED = ["", "nan", "NaN", "None", "NA", "N/A", "unassigned", "Unknown", "multiplet"]
MISNAMED += ["#N/A", "N.A.", "?", "-", "none assigned", "un-identified", "missing", "not available"]


@pytest.mark.parametrize("name", MISNAMED)
def test_words_for_no_label_are_no_perturbation(name):
    adata = make_adata(["ctrl", "A", "A", name])
    with pytest.raises(
        ValueError, match=rf"1 of 3 condition labels say .* none: '{re.escape(name)}'\. Drop"
    ):
        read(adata)
    if name:
        adata.obs["condition"] = ["A", "A", "A", name]
        assert len(read(adata, control=name).conditions) == 2


@pytest.mark.parametrize("joint", [*"_-| :~>.*\u2022", "__", "--", "->", " & ", " and ", " x "])
def test_a_control_or_two_genes_in_a_label_prove_a_joint(joint):
    for culprit in (f"X{joint}ctrl", f"NTC{joint}X", f"KLF1{joint}GATA1"):
        adata = make_adata(["ctrl", "A", culprit])
        adata.var_names = ["KLF1", "GATA1", *adata.var_names[2:]]
        with pytest.raises(ValueError, match=rf"1 of 3 .* not by '\+': '{re.escape(culprit)}'"):
            read(adata)
    # A gene that is measured under the whole name is one gene.
    adata = make_adata(["ctrl", "A", f"KLF1{joint}GATA1"])
    adata.var_names = ["KLF1", "GATA1", f"KLF1{joint}GATA1", *adata.var_names[3:]]
    assert len(read(adata).conditions) == 3


@pytest.mark.parametrize(
    ("names", "doubt"),
    [
        (["Ctrl", "scramble", "B"], r"2 perturbations read like controls: 'Ctrl', 'scramble'"),
        (["neg_control_7", "AAVS1", "wt"], r"3 perturbations read like controls"),
        (["B-sg1", "B-sg2", "C-sg1", "C-sg2"], r"4 .* guides of 2 genes: 'B: B-sg1, B-sg2', 'C:"),
        (
            ["B@10nM", "B@0,5", "C@1 mg/ml", "IGH@"],
            r"3 .* doses with a unit or a comma: 'B@0,5', 'B@",
        ),
        (["no sgRNA", "negative", "untransduced"], r"3 perturbations read like controls"),
        (["Klf1", "KLF1"], r"1 perturbations are spelt in two ways: 'KLF1 and Klf1'"),
    ],
)
def test_strange_labels_are_said(names, doubt):
    with pytest.warns(UserWarning, match=doubt):
        read(make_adata(["ctrl", "A", *names]))


def test_guides_are_read_as_their_genes():
    adata = make_adata(["non-targeting_1", "B_1", "B_2", "C_1+B_2", "ctrl"])
    screen = read(adata, guide=GUIDE)
    assert [condition.name for condition in screen.conditions] == ["B", "B+C", "control"]
    for wrong, message in (("(", "no regular expression"), ("x", "no group in brackets")):
        with pytest.raises(ValueError, match=message):
            Columns(guide=wrong)
