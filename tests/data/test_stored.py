"""Expression on disk: the same rows, means and choices as in memory; errors name the file."""

import dataclasses
import pathlib
import types
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata.io import write_elem
from scipy import sparse

from scbig.data import Columns, Screen, _stored, write_store
from scbig.preprocess import PreprocessConfig, preprocess, preprocess_file


def make_counts(cells: int = 300) -> Any:
    rng = np.random.default_rng(0)
    means = rng.gamma(1.0, 1.0, 40)
    counts = rng.poisson(means * rng.uniform(0.5, 2.0, (cells, 1))).astype(np.float32)
    obs = pd.DataFrame(
        {
            "condition": pd.Categorical(np.resize(["control", "G1", "G2+G3", "G4"], cells)),
            "line": np.resize(["x"] * 4 + ["y"] * 4, cells),
        },
        index=pd.Index([f"cell{i}" for i in range(cells)]),
    )
    var = pd.DataFrame(index=pd.Index([f"G{i}" for i in range(40)]))
    return ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=var)


def write(adata: Any, path: pathlib.Path) -> pathlib.Path:
    if path.suffix == ".zarr":
        adata.strings_to_categoricals()  # as `write_h5ad` does
        write_elem(zarr.open_group(str(path), mode="w", zarr_format=2), "/", adata)
    else:
        adata.write_h5ad(path)
    return path


@pytest.fixture(params=["h5ad", "zarr"])
def suffix(request):
    return request.param


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks so small that the file has many."""
    monkeypatch.setattr(_stored, "BLOCK", 64)
    monkeypatch.setattr(_stored, "GAP", 3)


def log_normalised() -> Any:
    settings = PreprocessConfig(min_genes=1, min_cells=1)
    return preprocess(make_counts(), settings)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("layout", [sparse.csr_matrix, lambda x: x.toarray()])
def test_a_stored_screen_is_the_screen_in_memory(tmp_path, suffix, layout):
    adata: Any = log_normalised()
    adata.X = layout(adata.X)
    path = write(adata, tmp_path / f"screen.{suffix}")
    memory = Screen.from_anndata(adata, Columns(context="line"))
    disk = Screen.open(path, Columns(context="line"))
    assert disk.stored
    assert not memory.stored
    assert (disk.genes, disk.cells, disk.conditions) == (
        memory.genes,
        memory.cells,
        memory.conditions,
    )
    np.testing.assert_array_equal(disk.dense(), memory.dense())
    rng = np.random.default_rng(1)
    for rows in (rng.permutation(300)[:50], np.array([7, 7, 2]), np.array([299]), np.arange(0)):
        np.testing.assert_array_equal(disk.dense(rows), memory.dense(rows))
    np.testing.assert_array_equal(disk.mean(rows := np.array([1, 9, 250])), memory.mean(rows))
    matrix = rng.normal(size=(memory.num_genes, 3))
    expected = memory.dense().astype(np.float64) @ matrix
    np.testing.assert_allclose(disk.project(matrix), expected, rtol=1e-6)
    shuffled = rng.permutation(300)[:90]
    for screen in (memory, disk):
        np.testing.assert_allclose(screen.project(matrix, shuffled), expected[shuffled], rtol=1e-6)
    assert disk.checksum == memory.checksum
    fewer, same = disk.without(["G4"]), memory.without(["G4"])
    assert fewer.stored
    np.testing.assert_array_equal(fewer.dense(), same.dense())
    assert fewer.checksum == same.checksum != disk.checksum
    again: Any = fewer.to_anndata()
    np.testing.assert_array_equal(again.X.toarray(), same.dense())


def test_means_of_groups_are_those_of_a_loop():
    screen = Screen.from_anndata(log_normalised())
    groups = np.random.default_rng(0).integers(-1, 4, screen.num_cells)
    means = screen.means(groups, 4)
    for group in range(4):
        own = screen.dense()[groups == group].astype(np.float64)
        np.testing.assert_allclose(means[group], own.mean(axis=0), rtol=1e-6)
    with pytest.raises(ValueError, match="no mean over no cells: group 4"):
        screen.means(groups, 5)


@pytest.mark.usefixtures("small_blocks")
def test_rows_that_lie_apart_are_not_read_in_one_piece(tmp_path):
    adata: Any = log_normalised()
    matrix = _stored.StoredMatrix.open(write(adata, tmp_path / "screen.h5ad"))
    spans = []
    inner = matrix.source.group
    starts = np.asarray(matrix.starts)

    class Spy:
        def __getitem__(self, name):
            return Entries(inner[name], name == "data")

    class Entries:
        def __init__(self, values, told):
            self.values, self.told = values, told

        def __getitem__(self, entries):
            if self.told:
                ends = np.searchsorted(starts, [entries.start, entries.stop])
                spans.append(tuple(map(int, ends)))
            return self.values[entries]

    source = types.SimpleNamespace(group=Spy(), shape=matrix.source.shape)
    spied = dataclasses.replace(matrix, source=source)
    np.testing.assert_array_equal(
        spied[np.array([200, 3, 5, 63, 64])].toarray(), adata.X[[200, 3, 5, 63, 64]].toarray()
    )
    assert spans == [(3, 6), (63, 64), (64, 65), (200, 201)]
    assert [len(block.toarray()) for block in spied.blocks()] == [64, 64, 64, 64, 44]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("held_out", [(), ("G3+G2",)])
def test_preprocessing_a_file_is_preprocessing_in_memory(tmp_path, suffix, held_out):
    counts = make_counts()
    source = write(counts, tmp_path / f"counts.{suffix}")
    target = tmp_path / f"screen.{suffix}"
    settings = PreprocessConfig(min_genes=18, min_cells=150, variable_genes=10)
    expected: Any = preprocess(counts, settings, held_out=held_out)
    report = preprocess_file(source, target, settings, keep_counts=True, held_out=held_out)
    found: Any = ad.read_h5ad(target) if suffix == "h5ad" else ad.io.read_zarr(target)
    assert 0 < report["removed_cells"] == expected.uns["preprocess"]["removed_cells"]
    assert list(found.var_names) == list(expected.var_names)
    assert list(found.obs_names) == list(expected.obs_names)
    np.testing.assert_allclose(found.X.toarray(), expected.X.toarray(), rtol=1e-6)
    np.testing.assert_array_equal(
        found.layers["counts"].toarray(), expected.layers["counts"].toarray()
    )
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    assert not list(tmp_path.glob(".partial*"))


def test_held_out_cells_have_no_say_in_the_genes():
    counts = make_counts()
    settings = PreprocessConfig(min_genes=1, min_cells=20, variable_genes=10)
    before = preprocess(counts, settings, held_out=["G4"])
    loud: Any = counts.copy()
    held = (loud.obs["condition"] == "G4").to_numpy()
    noise = np.random.default_rng(5).poisson(5.0, (held.sum(), 40)) ** 2
    loud.X = sparse.csr_matrix(np.where(held[:, None], 0, loud.X.toarray()))
    values = loud.X.toarray()
    values[held] = noise
    loud.X = sparse.csr_matrix(values.astype(np.float32))
    after = preprocess(loud, settings, held_out=["G4"])
    assert list(before.var_names) == list(after.var_names)
    with_a_say = preprocess(loud, settings)
    assert list(with_a_say.var_names) != list(before.var_names)
    with pytest.raises(ValueError, match=r"not in the data: 'G9'"):
        preprocess(counts, settings, held_out=["G9"])


def bad(function):
    adata: Any = log_normalised()
    function(adata)
    return adata


def set_value(value):
    def edit(adata):
        adata.X.data[17] = value

    return edit


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("where", ["X", "layers/counts"])
def test_expression_stored_by_genes_is_read_too(tmp_path, suffix, where):
    adata, settings = make_counts(), PreprocessConfig(min_genes=1, min_cells=1)
    adata.layers["counts"] = adata.X
    expected: Any = preprocess(adata, settings)
    adata.X = sparse.csc_matrix(adata.X) if where == "X" else adata.X * 0
    adata.layers["counts"] = sparse.csc_matrix(adata.layers["counts"])
    source = write(adata, tmp_path / f"counts.{suffix}")
    layer = None if where == "X" else "counts"
    preprocess_file(source, tmp_path / "screen.h5ad", settings, layer=layer, keep_counts=True)
    found: Any = ad.read_h5ad(tmp_path / "screen.h5ad")
    np.testing.assert_allclose(found.X.toarray(), expected.X.toarray(), rtol=1e-6)
    np.testing.assert_array_equal(
        found.layers["counts"].toarray(), expected.layers["counts"].toarray()
    )
    found.X = sparse.csc_matrix(found.X)
    screen = Screen.open(write(found, tmp_path / f"again.{suffix}"))
    rows = np.array([7, 3, 250])
    np.testing.assert_allclose(screen.dense(rows), expected.X[rows].toarray(), rtol=1e-6)


def test_names_of_genes_may_stand_in_a_column(tmp_path):
    adata, settings = make_counts(), PreprocessConfig(min_genes=1, min_cells=1)
    kept = [int(name[1:]) for name in preprocess(adata, settings).var_names]
    symbols = [*adata.var_names[:37], "twice", "twice", None]
    adata.var["symbol"] = symbols
    adata.var_names = [f"ENSG{i}" for i in range(40)]
    columns = Columns(gene="symbol")
    names = [*symbols[:37], "ENSG37", "ENSG38", "ENSG39"]
    wanted = tuple(names[place] for place in kept)
    found: Any = preprocess(adata, settings, columns)
    assert tuple(found.var_names) == wanted
    assert found.var["var_names"].tolist() == [f"ENSG{place}" for place in kept]
    assert not len(found.uns["preprocess"]["perturbed_not_measured"])
    preprocess_file(write(adata, tmp_path / "counts.h5ad"), tmp_path / "s.h5ad", settings, columns)
    for read in (Screen.open(tmp_path / "s.h5ad"), Screen.from_anndata(found)):
        assert read.genes == wanted
    found.var_names = found.var["var_names"]
    assert Screen.from_anndata(found, columns).genes == wanted
    with pytest.raises(ValueError, match=r"var has no column 'name' for the genes; it has 'symbol"):
        preprocess(adata, settings, Columns(gene="name"))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_value(np.nan), "NaN or infinite"),
        (set_value(-1.0), "negative"),
        (set_value(20.0), "not log-normalised"),
        (lambda a: setattr(a, "X", a.layers["counts"]), "raw counts"),
        (lambda a: setattr(a, "X", a.X * 0), "every expression value is zero"),
        (lambda a: setattr(a, "obs", a.obs[[]]), "no column 'condition'"),
    ],
)
def test_unusable_expression_on_disk_is_refused(tmp_path, edit, message):
    path = write(bad(edit), tmp_path / "screen.h5ad")
    with pytest.raises(ValueError, match=message):
        Screen.open(path)


def test_a_truncated_file_is_named(tmp_path):
    path = write(log_normalised(), tmp_path / "screen.h5ad")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"screen\.h5ad cannot be read"):
        Screen.open(path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Screen.open(tmp_path / "nowhere.h5ad")


def test_a_failed_write_leaves_what_was_there(tmp_path, suffix, monkeypatch):
    source = write(make_counts(), tmp_path / "counts.h5ad")
    target = tmp_path / f"screen.{suffix}"
    settings = PreprocessConfig(min_genes=1, min_cells=1)
    preprocess_file(source, target, settings)
    before = sorted(tmp_path.rglob("*"))

    def full(path, adata):
        path.mkdir() if path.suffix == ".zarr" else path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("scbig.preprocess._pipeline.write_store", full)
    with pytest.raises(OSError, match="No space left"):
        preprocess_file(source, target, settings)
    assert sorted(tmp_path.rglob("*")) == before
    monkeypatch.undo()
    preprocess_file(source, target, settings)  # and can be written again
    Screen.open(target)


def test_nullable_strings_in_a_file_are_no_obstacle(tmp_path, suffix):
    counts = make_counts()
    counts.obs["note"] = pd.array(["seen", None] * 150, dtype="string")
    source, target = tmp_path / f"counts.{suffix}", tmp_path / f"screen.{suffix}"
    write_store(source, counts)
    settings = PreprocessConfig(min_genes=1, min_cells=1)
    preprocess_file(source, target, settings)
    found = ad.read_h5ad(target) if suffix == "h5ad" else ad.io.read_zarr(target)
    notes = pd.Series(found.obs["note"])
    assert list(notes.isna()) == [False, True] * 150
    assert set(notes.dropna()) == {"seen"}
