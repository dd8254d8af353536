"""Each kind of unusable data is refused, with the culprits and the repair in the message."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbig.data import Columns, Condition, Screen, expression_of
from scbig.preprocess import PreprocessConfig, preprocess


def make_adata() -> Any:
    rng = np.random.default_rng(0)
    x = np.log1p(rng.poisson(2.0, (8, 4)) * rng.uniform(0.5, 1.5, (8, 4))).astype(np.float32)
    obs = pd.DataFrame(
        {"condition": ["control", "A"] * 4, "line": ["x"] * 4 + ["y"] * 4},
        index=pd.Index([f"cell{i}" for i in range(8)]),
    )
    return ad.AnnData(x, obs=obs, var=pd.DataFrame(index=pd.Index(["A", "B", "C", "D"])))


def set_value(row, col, value):
    def edit(adata):
        adata.X[row, col] = value
        return adata

    return edit


def set_all(function):
    def edit(adata):
        adata.X = function(np.asarray(adata.X)).astype(np.float32)
        return adata

    return edit


def relabel(key, *values):
    def edit(adata):
        adata.obs[key] = list(values)
        return adata

    return edit


def drop(key):
    def edit(adata):
        del adata.obs[key]
        return adata

    return edit


def rename(**names):
    def edit(adata):
        for axis, values in names.items():
            setattr(adata, axis, values)
        return adata

    return edit


def whole_totals(x):
    """Counts normalised to 10 a cell, without the logarithm."""
    return 10 * np.expm1(x) / np.expm1(x).sum(axis=1, keepdims=True)


BAD = {
    "nan": (set_value(3, 2, np.nan), r"1 expression values are NaN.*'C'.*Remove"),
    "infinite": (set_value(3, 1, np.inf), r"NaN or infinite.*'B'"),
    "negative": (set_value(0, 3, -0.5), r"1 expression values are negative.*-0\.5.*'D'.*log1p"),
    "counts": (set_all(lambda x: np.rint(np.expm1(x))), r"raw counts.*largest \d+\..*preprocess"),
    "ones": (set_all(lambda x: x > 0), r"raw counts.*largest 1\."),
    "not log": (set_all(whole_totals), r"total of every cell.*first 10\).*log1p"),
    "too large": (set_value(0, 0, 15.5), r"largest value is 15\.5.*not log-normalised.*log1p"),
    "zeros": (set_all(lambda x: 0 * x), r"Every expression value is zero"),
    "no column": (drop("condition"), r"no column 'condition'.*'line'"),
    "no label": (
        relabel("condition", "A", None, *["control"] * 6),
        r"the condition, is missing in 1 of 8 cells: 'cell1'",
    ),
    "no context column": (drop("line"), r"no column 'line'"),
    "no context": (
        relabel("line", *["x"] * 6, None, None),
        r"the context, is missing in 2 of 8 cells: 'cell6', 'cell7'",
    ),
    "no controls": (relabel("condition", *"ABCDABCD"), r"no control cells.*'A', 'B'.*`control`"),
    "no controls in one context": (
        relabel("line", "x", "z", *["x"] * 5, "w"),
        r"2 contexts have no control cells: 'w', 'z'",
    ),
    "genes twice": (rename(var_names=["A", "B", "A", "B"]), r"2 gene names.*'A', 'B'.*make_unique"),
    "cells twice": (rename(obs_names=["c"] * 8), r"1 cell names are there more than once: 'c'"),
    "no cells": (lambda a: a[:0].copy(), r"empty: 0 cells and 4 genes"),
    "no genes": (lambda a: a[:, :0].copy(), r"empty: 8 cells and 0 genes"),
    "bad label": (relabel("condition", "A+A", *["control"] * 7), r"'A\+A' names one .* twice"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Variable names are not unique", "ignore:Observation names are")
@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize(("edit", "message"), BAD.values(), ids=BAD)
def test_bad_data_are_refused_by_name(edit, message, layout):
    adata = edit(make_adata())
    adata.X = layout(adata.X)
    with pytest.raises(ValueError, match=message):
        Screen.from_anndata(adata, Columns(context="line"))


def test_the_good_data_are_accepted():
    Screen.from_anndata(make_adata(), Columns(context="line"))


def test_an_absent_layer_or_x_is_named():
    adata = make_adata()
    read = lambda **options: Screen.from_anndata(adata, **options)
    with pytest.raises(ValueError, match="no layer 'counts'; there is none"):
        read(layer="counts")
    adata.layers["log"] = adata.X
    with pytest.raises(ValueError, match="no layer 'counts'; there is 'log'"):
        read(layer="counts")
    adata.X = None
    with pytest.raises(ValueError, match="has no X"):
        read()


def test_a_wrong_control_name_beside_the_usual_one_is_named():
    adata = make_adata()
    read = lambda control: Screen.from_anndata(adata, Columns(control=control))
    message = r"'control' is reserved.*No condition label means 'NT' either.*'control', 'A'\."
    with pytest.raises(ValueError, match=message):
        read("NT")
    adata.obs["condition"] = ["NT", "A"] * 3 + ["control", "A"]
    with pytest.raises(ValueError, match=r"'control' is reserved.*the usual ones\.$"):
        read("NT")
    assert read(("NT", "control")).is_control.sum() == 4


def test_a_target_that_is_not_measured_is_kept_and_reported_and_its_column_is_an_error():
    """Most screens have such targets; only what needs their own expression must refuse them."""
    adata = make_adata()
    adata.obs["condition"] = ["control", "A", "A+X", "Y"] * 2
    screen = Screen.from_anndata(adata)
    assert screen.perturbations == ("A", "X", "Y")
    with pytest.raises(ValueError, match="2 of 3 genes are missing from the data: 'X', 'Y'. Check"):
        expression_of(adata, screen.perturbations, extra="ignore")
    adata.X = np.rint(np.expm1(adata.X))
    config = PreprocessConfig(min_genes=0, min_cells=0)
    result = preprocess(adata, config)
    assert result.uns["preprocess"]["perturbed_not_measured"].tolist() == ["X", "Y"]


@pytest.mark.parametrize("column", ["condition", "line"])
def test_preprocessing_refuses_cells_without_a_label_or_leaves_them_to_the_screen(column):
    adata = make_adata()
    adata.X = np.rint(np.expm1(adata.X))
    adata.obs[column] = [*adata.obs[column][:-1], None]

    def run():
        config = PreprocessConfig(min_genes=0, min_cells=0)
        logged = preprocess(adata, config)
        Screen.from_anndata(logged, Columns(context="line"))

    with pytest.raises(
        ValueError, match=rf"\['{column}'\], the .* missing in 1 of 8 cells: 'cell7'"
    ):
        run()


def test_many_culprits_are_counted_not_listed():
    adata = make_adata()
    adata.obs["condition"] = ["control"] + [None] * 7
    with pytest.raises(ValueError, match=r"7 of 8 cells: 'cell1', .*'cell5' and 2 more\."):
        Screen.from_anndata(adata)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"genes": ("A",)}, r"expression is \(2, 2\).* 2 cell and 1 gene"),
        ({"expression": sparse.csr_matrix(np.ones((2, 2)))}, "float64; float32 is needed"),
        ({"conditions": (Condition(("A",)), Condition(("B",)))}, "no control cells"),
        ({"condition_index": np.array([0, 2], np.int32)}, "condition index points outside"),
        ({"conditions": (Condition(), Condition(("A",)))}, "condition names are not .* sorted"),
        ({"context_index": np.array([0, -1], np.int32)}, "context index points outside"),
    ],
)
def test_a_screen_built_by_hand_is_checked(changes, message):
    fields = {
        "expression": sparse.csr_matrix(np.ones((2, 2), np.float32)),
        "genes": ("A", "B"),
        "cells": ("c", "d"),
        "conditions": (Condition(("A",)), Condition()),
        "condition_index": np.array([0, 1], np.int32),
        "context_index": np.zeros(2, np.int32),
    }
    Screen(**fields)
    with pytest.raises(ValueError, match=message):
        Screen(**(fields | changes))
