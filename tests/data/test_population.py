"""Predicted cells become an AnnData, and an AnnData becomes an array with the right columns."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbig.data import context_rows, expression_of, population


def test_parts_are_stacked_in_order_with_their_labels():
    parts = [
        ("B+A", np.ones((2, 3), np.float32)),
        ("A", np.zeros((1, 3))),
        ("B+A", np.ones((1, 3))),
    ]
    result: Any = population(parts, ("x", "y", "z"), condition_key="c", obs={"line": [*"stuv"]})
    assert list(result.obs["c"]) == ["B+A", "B+A", "A", "B+A"]
    assert list(result.obs["line"]) == ["s", "t", "u", "v"]
    assert list(result.var_names) == ["x", "y", "z"]
    assert result.obs_names.is_unique
    assert result.X.dtype == np.float32
    np.testing.assert_array_equal(result.X[:, 0], [1, 1, 0, 1])


@pytest.mark.parametrize(
    ("parts", "obs", "message"),
    [
        ([], None, "no predicted cells"),
        ([("A", np.zeros((2, 3)))], None, r"'A' have shape \(2, 3\); there are 2 genes"),
        ([("A", np.zeros((1, 2))), ("B", np.full((1, 2), np.nan))], None, "1 conditions.*: 'B'"),
        ([("A", np.zeros((1, 2)))], {"line": ["x", "y"]}, r"'line'\] has 2 entries for 1 cells"),
    ],
)
def test_bad_parts_are_named(parts, obs, message):
    with pytest.raises(ValueError, match=message):
        population(parts, ("x", "y"), obs=obs)


@pytest.fixture
def adata() -> Any:
    x = np.arange(6, dtype=np.float64).reshape(2, 3)
    return ad.AnnData(x, var=pd.DataFrame(index=pd.Index(["x", "y", "z"])))


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_genes_are_found_by_name(adata: Any, layout):
    adata.X = layout(adata.X)
    result = expression_of(adata, ("z", "x", "y"))
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, [[2, 0, 1], [5, 3, 4]])
    adata.layers["double"] = adata.X * 2
    np.testing.assert_array_equal(
        expression_of(adata, ("y",), layer="double", extra="ignore"), [[2], [8]]
    )


def test_missing_and_surplus_genes_are_named(adata):
    with pytest.raises(ValueError, match="2 of 3 genes are missing from the data: 'v', 'w'. Check"):
        expression_of(adata, ("v", "x", "w"))
    with pytest.raises(ValueError, match="2 genes too many: 'x', 'z'.*ignore"):
        expression_of(adata, ("y",))


def test_cells_are_found_by_context(adata):
    adata = ad.concat([adata, adata, adata], index_unique="-", keys=[*"abc"])
    adata.obs["line"] = pd.Categorical(["y", "x", "y", "y", "x", "z"], ["unused", "z", "y", "x"])
    found = context_rows(adata, "line")
    assert list(found) == ["x", "y", "z"]
    assert {name: list(rows) for name, rows in found.items()} == {
        "x": [1, 4],
        "y": [0, 2, 3],
        "z": [5],
    }
    adata.obs["number"] = [10, 9, 9, 10, 9, 9]
    assert {name: len(rows) for name, rows in context_rows(adata, "number").items()} == {
        "10": 2,
        "9": 4,
    }
    found = context_rows(adata, ["number", "line"])
    assert {name: list(rows) for name, rows in found.items()} == {
        "10|y": [0, 3],
        "9|x": [1, 4],
        "9|y": [2],
        "9|z": [5],
    }


def test_cells_without_a_context_are_named(adata):
    with pytest.raises(ValueError, match="no column 'line' for the context"):
        context_rows(adata, "line")
    with pytest.raises(ValueError, match="names no column"):
        context_rows(adata, [])
    adata.obs["line"], adata.obs["day"] = ["x|1", "x"], ["2", "1|2"]
    with pytest.raises(ValueError, match="'line', 'day' contain '|'"):
        context_rows(adata, ["line", "day"])
    adata.obs["line"] = ["x", None]
    with pytest.raises(ValueError, match="the context, is missing in 1 of 2 cells: '1'"):
        context_rows(adata, "line")
