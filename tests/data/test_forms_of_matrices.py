"""Matrices of any form, through every entrance: all are the plain screen."""

import tempfile
import tracemalloc
from collections.abc import Callable
from typing import Any

import anndata as ad
import dask.array as da
import numpy as np
import pytest
from scipy import sparse

from scbig.data import Columns, Screen, read_csr
from scbig.metrics import evaluate

pytestmark = [
    pytest.mark.filterwarnings("ignore:zarr v3 autosharding"),
    pytest.mark.filterwarnings("ignore:Trying to modify attribute `.obs` of view"),
]

Make = Callable[[np.ndarray], Any]
IN_MEMORY = ("memory", "preprocess")
ENTRANCES = (*IN_MEMORY, "h5ad", "zarr", "backed", "preprocess_file")


def other(change) -> Callable[[np.ndarray], Any]:
    """A CSR matrix whose arrays were changed in place."""

    def form(x):
        matrix = sparse.csr_matrix(x)
        change(matrix)
        return matrix

    return form


def turned(matrix):
    """The entries of each cell in the other order."""
    for start, stop in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        for values in (matrix.indices, matrix.data):
            values[start:stop] = values[start:stop][::-1].copy()
    matrix.has_sorted_indices = False


def halved(matrix):
    """Each entry twice, its halves."""
    data, twice = np.floor(matrix.data / 2), lambda x: np.repeat(x, 2)
    data = data if np.array_equal(matrix.data, np.rint(matrix.data)) else matrix.data / 2
    matrix.data, rest = twice(data), matrix.data - data
    matrix.data[1::2] = rest
    matrix.indices, matrix.indptr = twice(matrix.indices), matrix.indptr * 2
    matrix.has_canonical_format = False


def full(x):
    """Zeros that are stored."""
    matrix = sparse.csr_matrix(np.ones_like(x))
    matrix.data = x.ravel().copy()
    return matrix


def wide(matrix):
    matrix.indices, matrix.indptr = (v.astype(np.int64) for v in (matrix.indices, matrix.indptr))


def mapped(x):
    with tempfile.NamedTemporaryFile() as file:
        found = np.memmap(file.name, np.float32, "w+", shape=x.shape)
    found[:] = x
    return found


def swapped(matrix):
    matrix.data = matrix.data.astype(">f4")


def lazy(kind, chunks) -> Callable[[np.ndarray], Any]:
    return lambda x: da.from_array(x, chunks=chunks).map_blocks(kind)


MATRICES: dict[str, Callable[[np.ndarray], Any]] = {
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "csr array": sparse.csr_array,
    "csc array": sparse.csc_array,
    "dense": np.asarray,
    "by columns": np.asfortranarray,
    "float64": lambda x: sparse.csr_matrix(x.astype(np.float64)),
    "dense float64": lambda x: x.astype(np.float64),
    "long indices": other(wide),
    "unsorted": other(turned),
    "entries twice": other(halved),
    "stored zeros": full,
    "big-endian": other(swapped),
    "dense big-endian": lambda x: x.astype(">f4"),
    "masked": np.ma.masked_array,
    "lazy": lazy(np.asarray, (7, 5)),
    "lazy csr": lazy(sparse.csr_matrix, (7, -1)),
    "lazy csc": lazy(sparse.csc_matrix, (-1, 5)),
}
UNWRITTEN_MATRICES: dict[str, Callable[[np.ndarray], Any]] = {
    "lazy csr array": lazy(sparse.csr_array, (7, -1)),
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "mapped": mapped,
}


def with_matrix(plain, form) -> Make:
    def make(x):
        adata = plain.adata(x)
        adata.X = form(x)
        return adata

    return make


EVERYWHERE = [(reader, form) for form in MATRICES for reader in ENTRANCES]
AT_HAND = [(reader, form) for form in UNWRITTEN_MATRICES for reader in IN_MEMORY]


@pytest.mark.parametrize(("reader", "form"), [*EVERYWHERE, *AT_HAND])
def test_a_matrix_of_any_form_is_the_same_matrix(plain, entrances, reader, form):
    make = with_matrix(plain, (MATRICES | UNWRITTEN_MATRICES)[form])
    entrances.check(reader, make)


def of_dtype(dtype, kind) -> Callable[[np.ndarray], Any]:
    def form(x):
        matrix = kind(x)
        if not sparse.issparse(matrix):
            return matrix.astype(dtype)
        matrix.data = matrix.data.astype(dtype)
        return matrix

    return form


@pytest.mark.parametrize("reader", ["preprocess", "preprocess_file"])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", ">i4"])
def test_counts_may_be_of_any_numbers(plain, entrances, reader, kind, dtype):
    make = with_matrix(plain, of_dtype(dtype, kind))
    entrances.check(reader, make)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_expression_of_half_precision_is_read(plain, entrances, kind):
    make = with_matrix(plain, of_dtype("float16", kind))
    for reader in ("memory", "h5ad", "zarr", "backed"):
        entrances.check(reader, make, rtol=2**-11)


def test_a_masked_value_is_none(plain):
    adata = plain.adata(plain.logged)
    adata.X = np.ma.masked_array(plain.logged, np.arange(plain.logged.size) == 5)
    with pytest.raises(ValueError, match=r"1 expression values are NaN or infinite.*'G5'"):
        Screen.from_anndata(adata, Columns(context="line"))


def test_what_was_given_is_left_as_it_is(plain):
    for change in (turned, halved, lambda matrix: None):
        adata = with_matrix(plain, other(change))(plain.logged)
        before = adata.X.copy()
        Screen.from_anndata(adata, Columns(context="line"))
        evaluate(adata, adata, Columns(context="line"))
        for name in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(adata.X, name), getattr(before, name))
            assert getattr(adata.X, name).flags.writeable


@pytest.mark.parametrize("reader", ENTRANCES)
def test_a_view_is_what_it_shows(plain, entrances, reader):
    def make(x):
        usual, more = plain.adata(x), plain.adata(x[::-1])
        more.obs_names = [f"more-{name}" for name in plain.cells]
        taller = ad.concat([more, usual])
        beside = taller.copy()
        beside.var_names = [f"more-{name}" for name in plain.genes]
        wider = ad.concat([beside, taller], axis=1, merge="same")
        return wider[len(x) :, len(plain.genes) :]

    entrances.check(reader, make)


@pytest.mark.parametrize("form", [*MATRICES, *UNWRITTEN_MATRICES])
def test_scores_do_not_depend_on_the_form(plain, form):
    """Against the same predictions as plain, dense arrays, and a squared error by hand."""
    columns = Columns(context="line")
    make = with_matrix(plain, (MATRICES | UNWRITTEN_MATRICES)[form])
    guess = plain.logged[::-1].copy()
    table = evaluate(make(guess), make(plain.logged), columns)
    usual = evaluate(plain.adata(guess), plain.adata(plain.logged), columns)
    np.testing.assert_allclose(table, usual, rtol=1e-6, atol=1e-7)
    own = (plain.lines == "2") & (plain.labels == "G4")
    error = np.mean((guess[own].mean(axis=0) - plain.logged[own].mean(axis=0)) ** 2)
    assert table.loc[("2", "G4"), "mse"] == pytest.approx(error, rel=1e-5)


def test_counts_are_not_copied_in_double_precision():
    drawn = np.random.default_rng(0).poisson(0.1, (4000, 500))
    counts: Any = sparse.csr_matrix(drawn.astype(np.int64))
    tracemalloc.start()
    try:
        read = read_csr(counts)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1.7 * (read.data.nbytes + read.indices.nbytes)
    np.testing.assert_array_equal(read.toarray(), counts.toarray())
