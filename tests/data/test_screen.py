"""A screen is read once, checked, and never changes."""

import functools
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbig.data import Columns, Condition, Screen, _screen, of_contexts
from scbig.data._matrix import read_csr


def make_adata(seed=0, *, dense=True) -> Any:
    """Twelve cells of five genes in two contexts; `B+A` and `A+B` are one condition."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(2.0, (12, 5)) * rng.uniform(0.5, 1.5, (12, 5))
    labels = ["control", "A", "B+A", "control", "A+B", "A", "B", "ctrl", "B+ctrl", "A", "A+B", "B"]
    obs = pd.DataFrame(
        {"condition": pd.Categorical(labels), "line": ["x", "y"] * 6},
        index=pd.Index([f"cell{i}" for i in range(12)]),
    )
    x = np.log1p(counts).astype(np.float32)
    genes = pd.DataFrame(index=pd.Index(["A", "B", "C", "D", "E"]))
    return ad.AnnData(x if dense else sparse.csr_matrix(x), obs=obs, var=genes)


def read(adata, *, layer=None, **columns):
    return Screen.from_anndata(adata, Columns(**columns), layer=layer)


def assert_same(left, right):
    assert left.genes == right.genes
    assert left.cells == right.cells
    assert left.conditions == right.conditions
    assert left.contexts == right.contexts
    np.testing.assert_array_equal(left.condition_index, right.condition_index)
    np.testing.assert_array_equal(left.context_index, right.context_index)
    np.testing.assert_array_equal(left.dense(), right.dense())


def test_a_screen_holds_what_the_data_say():
    adata = make_adata()
    screen = read(adata, context="line")
    assert [c.name for c in screen.conditions] == ["A", "A+B", "B", "control"]
    assert screen.perturbations == ("A", "B")
    assert screen.contexts == ("x", "y")
    assert (screen.num_cells, screen.num_genes) == (12, 5)
    assert screen.genes == tuple(adata.var_names)
    for i, label in enumerate(adata.obs["condition"]):
        assert screen.conditions[screen.condition_index[i]] == Condition.parse(label)
        assert screen.contexts[screen.context_index[i]] == adata.obs["line"].iloc[i]
        assert screen.is_control[i] == (label in ("control", "ctrl"))
    np.testing.assert_array_equal(screen.dense(), adata.X)


def test_rows_means_and_dense_agree_with_the_labels():
    adata = make_adata()
    screen = read(adata, context="line")
    np.testing.assert_array_equal(screen.rows("B+A"), [2, 4, 10])
    np.testing.assert_array_equal(screen.rows(Condition(("A",))), [1, 5, 9])
    np.testing.assert_array_equal(screen.rows("control", "y"), [3, 7])
    assert len(screen.rows("A", "x")) == 0
    rows = screen.rows("B")
    np.testing.assert_array_equal(screen.dense(rows), np.asarray(adata.X)[[6, 8, 11]])
    np.testing.assert_allclose(screen.mean(rows), adata.X[[6, 8, 11]].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(screen.mean(), adata.X.mean(axis=0), rtol=1e-6)
    assert screen.mean().dtype == np.float32


def test_a_mean_over_many_cells_keeps_its_digits():
    cells, genes = 200_000, 1
    # In float32, adding 0.1 up this often is wrong in the third digit.
    screen = Screen(
        expression=sparse.csr_matrix(np.full((cells, genes), 0.1, np.float32)),
        genes=("g",),
        cells=tuple(map(str, range(cells))),
        conditions=(Condition(),),
        condition_index=np.zeros(cells, np.int32),
        context_index=np.zeros(cells, np.int32),
    )
    np.testing.assert_allclose(screen.mean(), np.float32(0.1), rtol=1e-7)


def test_select_keeps_all_controls_and_without_drops():
    screen = read(make_adata(), context="line")
    kept = screen.select(["A+B"])
    assert kept.cells == tuple(f"cell{i}" for i in (0, 2, 3, 4, 7, 10))
    assert [c.name for c in kept.conditions] == ["A+B", "control"]
    left = screen.without(["B+A"])
    assert left.cells == tuple(f"cell{i}" for i in (0, 1, 3, 5, 6, 7, 8, 9, 11))
    np.testing.assert_array_equal(left.dense(), screen.dense()[[0, 1, 3, 5, 6, 7, 8, 9, 11]])
    assert left.contexts == screen.contexts


def test_take_keeps_rows_in_the_order_given():
    screen = read(make_adata(), context="line")
    rows = np.array([7, 0, 4])
    taken = screen.take(rows)
    assert taken.cells == ("cell7", "cell0", "cell4")
    assert [c.name for c in taken.conditions] == ["A+B", "control"]
    np.testing.assert_array_equal(taken.rows("A+B", "x"), [2])
    np.testing.assert_array_equal(taken.dense(), screen.dense()[rows])
    with pytest.raises(ValueError, match="1 contexts have no control cells: 'y'"):
        screen.take(np.array([0, 1]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.rows("KLF1"), "Unknown condition 'KLF1'"),
        (lambda s: s.rows("A", "z"), "Unknown context 'z'"),
        (lambda s: s.select(["A", "KLF1+A"]), "Unknown condition 'A\\+KLF1'"),
        (lambda s: s.without(["Z"]), "Unknown condition 'Z'"),
        (lambda s: s.without(["control"]), "without its controls"),
        (lambda s: s.select("A"), "list of conditions"),
        (lambda s: s.mean(np.zeros(0, int)), "no mean over no cells"),
    ],
)
def test_what_is_not_there_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(read(make_adata(), context="line"))


def test_a_screen_without_contexts_says_so():
    screen = read(make_adata())
    with pytest.raises(ValueError, match=r"Unknown context 'K562'; the screen has no contexts\."):
        screen.rows("A", context="K562")
    np.testing.assert_array_equal(screen.rows("A", context=""), screen.rows("A"))


def test_sparse_dense_csc_float64_and_layers_give_the_same_screen():
    dense = read(make_adata(), context="line")
    assert_same(dense, read(make_adata(dense=False), context="line"))
    adata = make_adata()
    adata.layers["log"] = sparse.csc_matrix(adata.X.astype(np.float64))
    adata.X = np.full(adata.shape, np.nan)
    assert_same(dense, read(adata, context="line", layer="log"))


@pytest.mark.parametrize("kind", ["dense", "csr", "csc"])
def test_a_backed_file_gives_the_same_screen(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(_screen, "read_csr", functools.partial(read_csr, chunk=5))
    adata = make_adata()
    if kind != "dense":
        adata.X = sparse.csr_matrix(adata.X).asformat(kind)
    adata.write_h5ad(tmp_path / "screen.h5ad")
    backed = ad.read_h5ad(tmp_path / "screen.h5ad", backed="r")
    assert_same(read(adata, context="line"), read(backed, context="line"))
    backed.file.close()


def test_the_data_are_neither_changed_nor_shared():
    adata = make_adata(dense=False)
    before = adata.copy()
    screen = read(adata)
    expected = screen.dense()
    assert sparse.csr_matrix(adata.X - before.X).nnz == 0
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    adata.X.data[:] = 99
    np.testing.assert_array_equal(screen.dense(), expected)


def test_a_screen_cannot_be_changed():
    screen = read(make_adata())
    expression: Any = screen.expression
    for array in (expression.data, screen.condition_index, screen.context_index):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        screen.genes = ()  # pyright: ignore[reportAttributeAccessIssue]
    copied: Any = screen.to_anndata()
    copied.X.data[:] = 7
    assert screen.dense().max() < 7


@pytest.mark.parametrize("context_key", [None, "line"])
def test_a_screen_returns_from_anndata_unchanged(context_key):
    screen = read(make_adata(), context=context_key)
    adata = screen.to_anndata(condition_key="c", context_key="k")
    assert ("k" in adata.obs) == (context_key is not None)
    again = Screen.from_anndata(adata, Columns(condition="c", context=context_key and "k"))
    assert_same(screen, again)


def test_separator_and_control_can_be_named():
    adata = make_adata()
    adata.obs["condition"] = [
        x.replace("control", "NT").replace("ctrl", "NT").replace("+", "|")
        for x in adata.obs["condition"]
    ]
    assert_same(read(make_adata()), read(adata, control=["NT"], separator="|"))


def test_the_norman_cells(shared_file):
    adata: Any = ad.read_h5ad(shared_file("data/norman19_k562_3375x500.h5ad"))
    screen = read(adata, control="control")
    assert (screen.num_cells, screen.num_genes) == (3375, 500)
    assert len(screen.conditions) == 34
    assert len(screen.rows("control")) == 100
    assert len(screen.rows("HOXB9+FOXL2")) == 80
    chosen = (adata.obs["condition"] == "KLF1+MAP2K6").to_numpy()
    expected = adata.X[chosen].toarray().mean(axis=0)
    np.testing.assert_allclose(screen.mean(screen.rows("MAP2K6+KLF1")), expected, rtol=1e-5)
    assert_same(screen, read(screen.to_anndata()))
    with pytest.raises(ValueError, match="raw counts"):
        read(adata, layer="counts")


def test_the_norman_file_read_backed_in_chunks(shared_file, monkeypatch):
    monkeypatch.setattr(_screen, "read_csr", functools.partial(read_csr, chunk=1000))
    path = shared_file("data/norman19_k562_3375x500.h5ad")
    backed = ad.read_h5ad(path, backed="r")
    assert_same(read(backed), read(ad.read_h5ad(path)))
    backed.file.close()


def test_the_glioma_cells_of_three_lines(shared_file):
    adata: Any = ad.read_h5ad(shared_file("data/mcfaline23_glioma_2586x500.h5ad"))
    screen = read(adata, context="cell_type")
    assert screen.contexts == ("A172", "T98G", "U87MG")
    assert len(screen.conditions) == 10
    wanted = ((adata.obs["condition"] == "PLK4") & (adata.obs["cell_type"] == "T98G")).to_numpy()
    np.testing.assert_array_equal(screen.rows("PLK4", "T98G"), np.flatnonzero(wanted))
    assert_same(screen, read(screen.to_anndata(), context="context"))


def test_cells_of_some_contexts_are_those_and_no_others():
    screen = Screen.from_anndata(make_adata(), Columns(context="line"))
    found = of_contexts(screen, ["x"])
    assert found.contexts == ("x",)
    rows = np.arange(0, 12, 2)
    assert found.cells == tuple(screen.cells[row] for row in rows)
    np.testing.assert_array_equal(found.dense(), screen.dense(rows))
    names = lambda own: [own.conditions[place].name for place in own.condition_index]
    assert names(found) == [names(screen)[row] for row in rows]
    assert of_contexts(screen, []) is screen
    assert of_contexts(screen, ["y", "x"]) is screen
    some = np.arange(12) < 8
    assert of_contexts(screen, ["y"], some).cells == ("cell1", "cell3", "cell5", "cell7")
    assert of_contexts(screen, [], some).cells == tuple(f"cell{row}" for row in range(8))
    with pytest.raises(ValueError, match="lacks 1 contexts .*: 'z'; it has 'x', 'y'"):
        of_contexts(screen, ["z"])
