"""Files written by hand, as versions of anndata and other programs lay them out."""

import pathlib
from collections.abc import Callable
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pytest
import zarr
from scipy import sparse

from scbig.data import Columns, Screen, StoredMatrix, condition_names
from scbig.preprocess import PreprocessConfig, preprocess_file

pytestmark = [
    pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning"),
    pytest.mark.filterwarnings("ignore:Moving element from .uns"),
]

COLUMNS = Columns(context="line")
SETTINGS = PreprocessConfig(min_genes=1, min_cells=1, target_sum=100.0)


def put(group: Any, name: str, values: Any, attrs: dict[str, Any] | None = None, **how: Any) -> Any:
    """An array in a group of either kind; texts as each kind has them."""
    values, on_hdf5 = np.asarray(values), isinstance(group, h5py.Group)
    if values.dtype.kind in "OU":
        values = values.astype(h5py.string_dtype() if on_hdf5 else np.dtypes.StringDType())
    make = group.create_dataset if on_hdf5 else group.create_array
    node = make(name, data=values, **how)
    node.attrs.update(attrs or {})
    return node


def encoding(kind: str, version: str = "0.2.0") -> dict[str, str]:
    return {"encoding-type": kind, "encoding-version": version}


def folder(group: Any, name: str, attrs: dict[str, Any]) -> Any:
    made = group.create_group(name)
    made.attrs.update(attrs)
    return made


def coded(values) -> tuple[np.ndarray, list]:
    """Codes, and what they stand for in an order of its own, with one that no cell has."""
    known = [*sorted(set(values))[::-1], "unused"]
    return np.array([known.index(value) for value in values], np.int8), known


def sparse_group(
    root: Any, x: np.ndarray, attrs: dict[str, Any], kind: Any = sparse.csr_matrix
) -> None:
    matrix, group = kind(x), folder(root, "X", attrs)
    for name in ("data", "indices", "indptr"):
        put(group, name, getattr(matrix, name))


def before_08(root: Any, plain, x: np.ndarray, layout: str) -> None:
    """anndata 0.7: categories beside the columns, which refer to them; dense X without a word."""
    if layout == "dense":
        put(root, "X", x)
    else:
        sparse_group(root, x, {**encoding("csr_matrix", "0.1.0"), "shape": x.shape})
    frame = encoding("dataframe", "0.1.0")
    obs = folder(root, "obs", {**frame, "_index": "_index", "column-order": ["condition", "line"]})
    known = obs.create_group("__categories")
    put(obs, "_index", plain.cells)
    for name, values in (("condition", plain.labels), ("line", plain.lines)):
        codes, categories = coded(values)
        place = put(known, name, categories, {"ordered": False})
        on_hdf5 = isinstance(place, h5py.Dataset)
        put(obs, name, codes, {"categories": place.ref if on_hdf5 else f"__categories/{name}"})
    var = folder(root, "var", {**frame, "_index": "index", "column-order": []})
    put(var, "index", plain.genes)


def texts(values) -> Callable[[Any, str], None]:
    return lambda obs, name: put(obs, name, values, encoding("string-array"))


def categories(values, names=None, *, missing=()) -> Callable[[Any, str], None]:
    def write(obs, name):
        codes, known = coded(values)
        codes[list(missing)] = -1
        group = folder(obs, name, {**encoding("categorical"), "ordered": False})
        put(group, "codes", codes, encoding("array"))
        own = known if names is None else names(known)
        told = encoding("string-array" if np.asarray(own).dtype.kind in "OUS" else "array")
        put(group, "categories", own, told)

    return write


def nullable(kind, values, *, missing=()) -> Callable[[Any, str], None]:
    def write(obs, name):
        mask = np.isin(np.arange(len(values)), list(missing))
        group = folder(obs, name, encoding(f"nullable-{kind}", "0.1.0"))
        if kind == "string-array":
            group.attrs["na-value"] = "NA"
            texts(values)(group, "values")
        else:
            put(group, "values", values, encoding("array"))
        put(group, "mask", mask, encoding("array"))

    return write


def since_08(root: Any, plain, x: np.ndarray, **obs: Callable[[Any, str], None]) -> None:
    """anndata from 0.8 on: every element says what it is."""
    root.attrs.update(encoding("anndata", "0.1.0"))
    attrs = {**encoding("csr_matrix", "0.1.0"), "shape": x.shape}
    sparse_group(root, x, attrs)
    columns = {"condition": texts(plain.labels), "line": texts(plain.lines), **obs}
    frame = {**encoding("dataframe"), "_index": "_index"}
    table = folder(root, "obs", {**frame, "column-order": list(columns)})
    texts(plain.cells)(table, "_index")
    for name, write in columns.items():
        write(table, name)
    var = folder(root, "var", {**frame, "column-order": []})
    texts(plain.genes)(var, "_index")


def opened(path: pathlib.Path, version: Any = 2) -> Any:
    if path.suffix == ".h5ad":
        return h5py.File(path, "w")
    return zarr.open_group(str(path), mode="w", zarr_format=version)


def check(plain, folder: pathlib.Path, suffix: str, write: Callable[..., None]) -> None:
    """Opened, read whole, and preprocessed from its counts: always the plain screen."""
    path, counts = folder / f"x.{suffix}", folder / f"counts.{suffix}"
    for own, x in ((path, plain.logged), (counts, plain.counts)):
        root = opened(own)
        write(root, x)
        if isinstance(root, h5py.File):
            root.close()
    plain.check(Screen.open(path, COLUMNS))
    read = ad.read_h5ad if suffix == "h5ad" else ad.io.read_zarr
    plain.check(Screen.from_anndata(read(path), COLUMNS))
    preprocess_file(counts, folder / "screen.h5ad", SETTINGS, COLUMNS)
    plain.check(Screen.open(folder / "screen.h5ad", COLUMNS), rtol=1e-5)
    assert condition_names(counts) == ["G1", "G2+G3", "G4", "control"]


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.parametrize("layout", ["dense", "csr"])
def test_files_of_anndata_07(plain, tmp_path, suffix, layout):
    check(plain, tmp_path, suffix, lambda root, x: before_08(root, plain, x, layout))


def whole(known) -> np.ndarray:
    return np.array([9 if name == "unused" else int(name) for name in known])


GAPS = range(0, 60, 7)
TABLES: dict[str, Callable[..., dict[str, Any]]] = {
    "texts": lambda plain: {},
    "texts of one length": lambda plain: {
        "condition": texts(plain.labels.astype("S")),
        "line": texts(plain.lines.astype("S")),
    },
    "categories": lambda plain: {
        "condition": categories(plain.labels),
        "line": categories(plain.lines),
    },
    "categories of one length": lambda plain: {
        "condition": categories(plain.labels, lambda known: np.array(known, "S")),
    },
    "integer categories": lambda plain: {"line": categories(plain.lines, whole)},
    "float categories": lambda plain: {
        "line": categories(plain.lines, lambda known: whole(known).astype(float))
    },
    "nullable texts": lambda plain: {
        "condition": nullable("string-array", plain.labels),
        "line": nullable("string-array", plain.lines),
        "note": nullable("string-array", plain.labels, missing=GAPS),
    },
    "nullable integers": lambda plain: {
        "line": nullable("integer", plain.lines.astype(int)),
        "note": nullable("integer", np.arange(60), missing=GAPS),
    },
    "notes": lambda plain: {
        "seen": nullable("boolean", np.arange(60) > 7, missing=GAPS),
        "kind": categories(plain.labels, missing=GAPS),
    },
}


# Texts of one length are of HDF5 alone: a program in R or Julia writes them.
@pytest.mark.parametrize(
    ("suffix", "form"),
    [(s, f) for f in TABLES for s in ("h5ad", "zarr") if (s == "h5ad" or "one length" not in f)],
)
def test_files_of_anndata_since_08(plain, tmp_path, suffix, form):
    check(plain, tmp_path, suffix, lambda root, x: since_08(root, plain, x, **TABLES[form](plain)))


@pytest.mark.parametrize(
    ("column", "write"),
    [
        ("condition", lambda plain: categories(plain.labels, missing=(7, 11))),
        ("condition", lambda plain: nullable("string-array", plain.labels, missing=(7, 11))),
        ("line", lambda plain: categories(plain.lines, whole, missing=(7, 11))),
        ("line", lambda plain: nullable("integer", plain.lines.astype(int), missing=(7, 11))),
    ],
)
def test_a_missing_label_in_a_file_is_named(plain, tmp_path, column, write):
    path = tmp_path / "x.h5ad"
    with opened(path) as root:
        since_08(root, plain, plain.logged, **{column: write(plain)})
    message = rf"obs\['{column}'\], the \w+, is missing in 2 of 60 cells: 'c7', 'c11'"
    with pytest.raises(ValueError, match=message):
        Screen.open(path, COLUMNS)
    with pytest.raises(ValueError, match=message):
        preprocess_file(path, tmp_path / "y.h5ad", SETTINGS, COLUMNS)


HOW: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "gzip": ("x.h5ad", 0, {"compression": "gzip", "chunks": (7, 5)}),
    "lzf": ("x.h5ad", 0, {"compression": "lzf", "chunks": (11, 12)}),
    "shuffled": ("x.h5ad", 0, {"compression": "gzip", "shuffle": True, "chunks": (60, 1)}),
    "zarr 2": ("x.zarr", 2, {"chunks": (7, 5)}),
    "zarr 2, consolidated": ("x.zarr", 2, {"chunks": (7, 5)}),
    "zarr 3": ("x.zarr", 3, {"chunks": (7, 5)}),
    "zarr 3, consolidated": ("x.zarr", 3, {"chunks": (7, 5)}),
    "zarr 3, sharded": ("x.zarr", 3, {"chunks": (7, 5), "shards": (14, 15)}),
}


@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
@pytest.mark.parametrize("form", HOW)
@pytest.mark.parametrize("dtype", ["float32", "float16", ">f8"])
def test_dense_chunks_of_any_kind_are_rows(plain, tmp_path, form, dtype):
    name, version, how = HOW[form]
    path = tmp_path / name
    root = opened(path, version)
    put(root, "X", plain.logged.astype(dtype), encoding("array"), **how)
    if isinstance(root, h5py.File):
        root.close()
    elif "consolidated" in form:
        zarr.consolidate_metadata(str(path), zarr_format=version)
    matrix = StoredMatrix.open(path)
    kept = plain.logged.astype(dtype).astype(np.float32)
    rows = np.array([59, 3, 3, 20])
    np.testing.assert_array_equal(matrix.toarray(), kept)
    np.testing.assert_array_equal(matrix[rows].toarray(), kept[rows])
    np.testing.assert_array_equal(matrix.lazy()[rows].compute().toarray(), kept[rows])


def compound(table: dict[str, Any]) -> np.ndarray:
    """One array of rows, as anndata before 0.7 wrote a table."""
    kinds = [(name, np.asarray(values).dtype) for name, values in table.items()]
    rows = np.empty(len(next(iter(table.values()))), kinds)
    for name, values in table.items():
        rows[name] = values
    return rows


def before_07(root: Any, plain, x: np.ndarray, layout: str) -> None:
    """anndata 0.6: tables as one array, the categories in `uns`; X without a word, or h5sparse."""
    if layout == "dense":
        put(root, "X", x)
    else:
        kind = sparse.csr_matrix if layout == "csr" else sparse.csc_matrix
        sparse_group(root, x, {"h5sparse_format": layout, "h5sparse_shape": x.shape}, kind)
    table, uns = {"index": np.array(plain.cells, "S")}, root.create_group("uns")
    for name, values in (("condition", plain.labels), ("line", plain.lines)):
        codes, known = coded(values)
        table[name] = codes
        put(uns, f"{name}_categories", np.array(known, "S"))
    put(root, "obs", compound(table))
    put(root, "var", compound({"index": np.array(plain.genes, "S")}))


@pytest.mark.filterwarnings("ignore")  # anndata's, of files that old
@pytest.mark.parametrize("layout", ["dense", "csr", "csc"])
def test_files_of_anndata_06(plain, tmp_path, layout):
    check(plain, tmp_path, "h5ad", lambda root, x: before_07(root, plain, x, layout))


@pytest.mark.filterwarnings("ignore")
def test_the_base_of_the_logarithm_counts_in_files_of_anndata_06_too(plain, tmp_path):
    with opened(tmp_path / "x.h5ad") as root:
        before_07(root, plain, plain.logged, "csr")
        put(root["uns"].create_group("log1p"), "base", 2.0)
    with pytest.raises(ValueError, match=r"the logarithm is to base 2"):
        Screen.open(tmp_path / "x.h5ad", COLUMNS)


@pytest.mark.filterwarnings("ignore")
def test_a_table_of_zarr_before_07_is_refused_and_not_read_as_codes(plain, tmp_path):
    path = tmp_path / "x.zarr"
    before_07(opened(path), plain, plain.logged, "dense")
    message = r"x\.zarr is one table, as anndata before 0\.7.*anndata below 0\.12.*write it again"
    with pytest.raises(ValueError, match=message):
        Screen.open(path, Columns(control="0"))


def test_an_encoding_that_anndata_does_not_know_is_said_with_the_file(plain, tmp_path):
    path = tmp_path / "x.h5ad"
    with opened(path) as root:
        since_08(root, plain, plain.logged)
        root["obs/line"].attrs.update(encoding("hologram", "9.0.0"))
    with pytest.raises(ValueError, match=r"x\.h5ad cannot be read as h5ad or zarr: .*hologram"):
        Screen.open(path, COLUMNS)
