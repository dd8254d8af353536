"""One small screen as plain as can be, the entrances, and whether what came in is the same."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import anndata as ad
import dask.config
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata.io import write_elem
from scipy import sparse

from scbig.data import Columns, Screen, write_store
from scbig.preprocess import PreprocessConfig, preprocess, preprocess_file

CELLS = 60
TOTAL = 100.0
"""Of the counts of a cell, once normalised."""


@dataclasses.dataclass(frozen=True)
class Plain:
    """Counts of 12 genes in 60 cells, four conditions in three contexts that are numbers."""

    labels = np.resize(["control", "control", "G1", "G2+G3", "G4"], CELLS)
    lines = np.repeat(["1", "2", "3"], CELLS // 3)
    cells = tuple(f"c{i}" for i in range(CELLS))
    genes = tuple(f"G{i}" for i in range(12))

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """Whole numbers, float32."""
        rng = np.random.default_rng(0)
        means = rng.gamma(2.0, 2.0, len(self.genes)) * rng.uniform(0.5, 2.0, (CELLS, 1))
        return rng.poisson(means).astype(np.float32)

    @functools.cached_property
    def logged(self) -> np.ndarray:
        """Their log1p, normalised, float32."""
        totals = self.counts.sum(axis=1, keepdims=True)
        return np.log1p(self.counts / totals * TOTAL).astype(np.float32)

    def adata(self, x: np.ndarray, **obs: Any) -> Any:
        """Sparse, with texts for labels unless `obs` has other columns."""
        columns = {"condition": self.labels.astype(object), "line": self.lines.astype(object)}
        table = pd.DataFrame({**columns, **obs})
        table.index = pd.Index(self.cells)
        var = pd.DataFrame(index=pd.Index(self.genes))
        return ad.AnnData(sparse.csr_matrix(x), obs=table, var=var)

    def check(self, screen: Screen, names: dict[str, str] | None = None, rtol: float = 0) -> None:
        """Asserts that a screen is this one, its conditions perhaps under other names."""
        names = names or {name: name for name in self.labels}
        assert screen.genes == self.genes
        assert screen.cells == self.cells
        conditions = [condition.name for condition in screen.conditions]
        assert conditions == sorted(set(names.values()))
        assert [conditions[i] for i in screen.condition_index] == [names[x] for x in self.labels]
        assert screen.contexts == ("1", "2", "3")
        assert [screen.contexts[i] for i in screen.context_index] == self.lines.tolist()
        np.testing.assert_allclose(screen.dense(), self.logged, rtol=rtol)
        stored: Any = screen.in_memory().expression
        assert stored.nnz == np.count_nonzero(self.logged)


@pytest.fixture(scope="session")
def plain() -> Plain:
    """The plain screen."""
    return Plain()


Make = Callable[[np.ndarray], Any]
SETTINGS = PreprocessConfig(min_genes=1, min_cells=1, target_sum=TOTAL)


@dataclasses.dataclass(frozen=True)
class Entrances:
    """Each way into a screen, by name, of what `make` makes of counts or of their logarithms."""

    plain: Plain
    folder: pathlib.Path

    def h5ad(self, adata: Any) -> pathlib.Path:
        """A new file."""
        path = self.folder / f"{len(list(self.folder.iterdir()))}.h5ad"
        write_store(path, adata)
        return path

    def zarr(self, adata: Any) -> pathlib.Path:
        """A new folder of the third format, as anndata writes it."""
        path = self.folder / f"{len(list(self.folder.iterdir()))}.zarr"
        if not adata.is_view:
            adata.strings_to_categoricals()
        with ad.settings.override(allow_write_nullable_strings=True):
            write_elem(zarr.open_group(str(path), mode="w", zarr_format=3), "/", adata)
        return path

    def read(self, name: str, make: Make, columns: Columns = Columns(context="line")) -> Screen:
        """The screen that comes in by this entrance."""
        if name == "preprocess":
            logged = preprocess(make(self.plain.counts), SETTINGS, columns)
            return Screen.from_anndata(logged, columns)
        if name == "preprocess_file":
            source, target = self.h5ad(make(self.plain.counts)), self.folder / "screen.h5ad"
            preprocess_file(source, target, SETTINGS, columns)
            return Screen.open(target, columns)
        adata = make(self.plain.logged)
        if name == "memory":
            return Screen.from_anndata(adata, columns)
        path = self.zarr(adata) if name == "zarr" else self.h5ad(adata)
        if name == "backed":
            return Screen.from_anndata(ad.read_h5ad(path, backed="r"), columns)
        return Screen.open(path, columns)

    def check(
        self,
        name: str,
        make: Make,
        columns: Columns = Columns(context="line"),
        names: dict[str, str] | None = None,
        rtol: float = 0.0,
    ) -> None:
        """Asserts that what comes in is the plain screen."""
        # scanpy takes logarithms in float32, and multiplies by a factor where `Plain` divides.
        scanpy = 1e-5 if name.startswith("preprocess") else 0.0
        self.plain.check(self.read(name, make, columns), names, max(rtol, scanpy))


@pytest.fixture
def entrances(plain, tmp_path):
    """The entrances of the plain screen, and a folder of their own."""
    with dask.config.set(scheduler="synchronous"):  # threads cost more than they save
        yield Entrances(plain, tmp_path)
