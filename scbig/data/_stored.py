"""Expression that stays on disk: rows of an h5ad or zarr file, read as they are asked for."""

import contextlib
import dataclasses
import itertools
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import zarr
from anndata.abc import CSRDataset
from anndata.io import read_elem, sparse_dataset, write_elem
from jaxtyping import Float, Float32, Int
from scipy import sparse
from zarr.errors import BaseZarrError

from scbig._files import to_read
from scbig.data._columns import Columns
from scbig.data._matrix import read_csr
from scbig.data._scale import (
    check_counts_behind,
    check_finite,
    check_log_scale,
    check_not_counts,
    check_not_negative,
)

BLOCK = 8192
"""Cells that are read at once where many are wanted."""
GAP = 64
"""Wanted rows that lie nearer than this are read as one piece, with those between them."""
_NOTES = ("source", "log1p")
"""What is read of `uns`."""


@contextlib.contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns what h5py and zarr raise for a broken file into one `ValueError` that names it."""
    to_read(path, "cells, an h5ad file or a zarr folder", folder=True)
    try:
        yield
    except Exception as error:
        # What anndata does not know, such as an encoding newer than itself, it says by errors of
        # its own, which have no public name.
        foreign = type(error).__module__.split(".")[0] == "anndata"
        if not (foreign or isinstance(error, OSError | KeyError | RuntimeError | BaseZarrError)):
            raise
        raise ValueError(
            f"{path} cannot be read as h5ad or zarr: {error}. It may be truncated or of another "
            "kind: copy or write it again."
        ) from error


def read_h5ad(path: str | os.PathLike[str]) -> ad.AnnData:
    """An h5ad file in memory.

    **Raises:** `FileNotFoundError`; `ValueError` that names a file that is truncated or no h5ad.
    """
    with reading(path):
        return ad.read_h5ad(path)


def labels_of(path: str | os.PathLike[str]) -> ad.AnnData:
    """Cells and genes of a file with all that is known of them, but without expression."""
    with reading(path):
        root = open_store(path)
        if isinstance(root["obs"], zarr.Array):
            raise ValueError(
                f"obs of {path} is one table, as anndata before 0.7 wrote it to zarr: today's zarr "
                "cannot read its categories. Read it with anndata below 0.12 and zarr below 3, and "
                "write it again."
            )
        if isinstance(root["obs"], h5py.Dataset):
            # Before anndata 0.7: categories are numbers whose names stand in `uns`.
            old = ad.read_h5ad(path, backed="r")
            obs, var, uns = pd.DataFrame(old.obs), pd.DataFrame(old.var), dict(old.uns)
            old.file.close()
        else:
            obs, var = (pd.DataFrame(read_elem(root[axis])) for axis in ("obs", "var"))
            uns = {
                name: read_elem(root["uns"][name]) for name in _NOTES if name in root.get("uns", ())
            }
        result = ad.AnnData(obs=obs, var=var)
        result.uns.update({name: uns[name] for name in _NOTES if name in uns})
        return result


def open_store(path: str | os.PathLike[str]) -> Any:
    """The root group of an h5ad file or a zarr folder."""
    with reading(path):
        if pathlib.Path(path).is_dir():
            return zarr.open_group(str(path), mode="r")
        return h5py.File(path, mode="r")


@dataclasses.dataclass(frozen=True, eq=False)
class StoredMatrix:
    """Some rows of a matrix on disk, by cells; float32 once read.

    Takes the place of a CSR matrix in a screen: it has a `shape`, a `dtype`, and rows by number.
    Build one with `open`.

    **Fields:** `path`, the file; `source`, the open matrix, CSR or dense, or one in memory;
    `starts`, where each row of an open CSR matrix begins among its entries, and the last one ends;
    `rows`, the rows of the file that this matrix has, in its order.
    """

    path: str
    source: Any
    starts: Int[np.ndarray, " starts"] | None
    rows: Int[np.ndarray, " cells"]

    dtype = np.dtype(np.float32)

    @classmethod
    def open(cls, path: str | os.PathLike[str], element: str = "X") -> "StoredMatrix":
        """All rows of an element of an h5ad file or a zarr folder.

        A matrix that is stored by genes (CSC), as R writes them, is read into memory whole: its
        cells lie scattered.

        **Raises:** `ValueError` for a broken file or an absent element.
        """
        with reading(path):
            root = open_store(path)
            if element not in root:
                raise ValueError(f"{path} has no {element!r}; it has {', '.join(root)}.")
            node: Any = root[element]
            dense = isinstance(node, h5py.Dataset | zarr.Array)
            source: Any = node if dense else sparse_dataset(node)
            if not dense and not isinstance(source, CSRDataset):
                source, dense = read_csr(source), True
            starts = None if dense else np.asarray(node["indptr"][:]).astype(np.int64)
        return cls(str(path), source, starts, np.arange(source.shape[0]))

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return len(self.rows), int(self.source.shape[1])

    def take(self, rows: Int[np.ndarray, " chosen"]) -> "StoredMatrix":
        """Some of the rows, still on disk."""
        return dataclasses.replace(self, rows=self.rows[rows])

    def __getitem__(self, rows: Int[np.ndarray, " chosen"]) -> sparse.csr_matrix:
        """Rows in memory, in the order asked for."""
        wanted, back = np.unique(self.rows[rows], return_inverse=True)
        if not len(wanted):
            return sparse.csr_matrix((0, self.shape[1]), dtype=np.float32)
        # No piece crosses a block's border, so that no more than a block is in memory unasked.
        apart = (np.diff(wanted) > GAP) | (np.diff(wanted // BLOCK) > 0)
        pieces = np.split(wanted, np.flatnonzero(apart) + 1)
        with reading(self.path):
            parts = [self._span(piece) for piece in pieces]
        found = parts[0] if len(parts) == 1 else sparse.vstack(parts, format="csr")
        found = sparse.csr_matrix(found)
        in_order = np.array_equal(back, np.arange(len(back)))
        return found if in_order else sparse.csr_matrix(found[back])

    def blocks(self) -> Iterator[sparse.csr_matrix]:
        """All rows in their order, `BLOCK` at a time."""
        size = BLOCK
        for start in range(0, len(self.rows), size):
            yield self[np.arange(start, min(start + size, len(self.rows)))]

    def lazy(self) -> Any:
        """All rows as a dask array of CSR blocks, for scanpy."""
        import dask.array as da
        from dask.delayed import delayed

        empty = sparse.csr_matrix((0, 0), dtype=self.dtype)
        read: Any = delayed(self.__getitem__)
        starts = range(0, len(self.rows), BLOCK)
        own = [np.arange(start, min(start + BLOCK, len(self.rows))) for start in starts]
        shape = lambda rows: (len(rows), self.shape[1])
        return da.concatenate([da.from_delayed(read(x), shape(x), meta=empty) for x in own])

    def copy(self) -> sparse.csr_matrix:
        """All rows in memory."""
        return self[np.arange(len(self.rows))]

    def toarray(self) -> Float32[np.ndarray, "cells genes"]:
        """All rows in memory as a dense array."""
        return self.copy().toarray()

    def _span(self, rows: np.ndarray) -> sparse.csr_matrix:
        first, last = int(rows[0]), int(rows[-1]) + 1
        if self.starts is None:
            piece = sparse.csr_matrix(self.source[first:last], dtype=np.float32)
        else:
            # anndata's own slice looks up a version at each call, which takes half of the time.
            group, entries = self.source.group, slice(self.starts[first], self.starts[last])
            own = self.starts[first : last + 1] - self.starts[first]
            values = group["data"][entries].astype(np.float32), group["indices"][entries], own
            piece = sparse.csr_matrix(values, shape=(last - first, self.shape[1]))
        piece.sum_duplicates()
        piece.eliminate_zeros()
        kept = piece if len(rows) == last - first else piece[rows - first]
        return sparse.csr_matrix(kept)


def condition_names(path: str | os.PathLike[str], columns: Columns = Columns()) -> list[str]:
    """The names of the conditions in an h5ad file or zarr folder, sorted; no expression is read.

    **Arguments:** as for `Screen.open`, whose errors it raises.
    """
    conditions, _ = columns.conditions_of(labels_of(path))
    return [condition.name for condition in conditions]


def check_suffix(path: str | os.PathLike[str]) -> None:
    """Raises unless a file of this name can be written."""
    if pathlib.Path(path).suffix not in (".h5ad", ".zarr"):
        raise ValueError(f"A screen is written to .h5ad or .zarr, not to {str(path)!r}.")


def write_store(path: pathlib.Path, adata: ad.AnnData) -> None:
    """Writes an h5ad file or, by the name's end, a zarr folder; dask arrays block by block.

    **Raises:** `OSError` if it does not fit.
    """
    check_suffix(path)
    # Files in the wild have nullable strings, which anndata 0.12 reads but writes only if asked.
    nullable = {"allow_write_nullable_strings": True}
    known = {name: value for name, value in nullable.items() if hasattr(ad.settings, name)}
    try:
        with ad.settings.override(**known):
            if path.suffix == ".zarr":
                # As an h5ad file has it: a missing text would else become the text "None".
                adata.strings_to_categoricals()
                # The form that anndata 0.12 and 0.13 both write without a warning.
                write_elem(zarr.open_group(str(path), mode="w", zarr_format=2), "/", adata)
            else:
                adata.write_h5ad(path)
    except RuntimeError as error:  # what h5py makes of a full disk as it closes the file
        raise OSError(f"The file could not be written whole: {error}. Is the disk full?") from error


def blocks_of(matrix: sparse.csr_matrix | StoredMatrix) -> Iterator[sparse.csr_matrix]:
    """Rows of a matrix in memory or on disk, `BLOCK` at a time."""
    if isinstance(matrix, StoredMatrix):
        yield from matrix.blocks()
    else:
        for start in range(0, len(matrix.indptr) - 1, BLOCK):
            yield sparse.csr_matrix(matrix[start : start + BLOCK])


def check_stored(matrix: StoredMatrix, genes: Sequence[str]) -> None:
    """Raises unless the values can be the log1p of normalised counts; one pass over the file."""
    seen = False
    for block in matrix.blocks():
        check_finite(block, genes)
        check_not_negative(block, genes)
        if block.nnz:
            check_log_scale(block)
            # Counts would show in any block; the first that holds something is enough.
            if not seen:
                check_not_counts(block)
                check_counts_behind(block)
            seen = True
    if not seen:
        raise ValueError(f"{matrix.path}: every expression value is zero. Is it the right layer?")


def grouped_means(
    matrix: sparse.csr_matrix | StoredMatrix, groups: Int[np.ndarray, " cells"], count: int
) -> Float32[np.ndarray, "{count} genes"]:
    """Means of groups of rows; a row of group -1 belongs to none.

    **Raises:** `ValueError` for a group without a row.
    """
    sizes = np.bincount(groups[groups >= 0], minlength=count)
    if not sizes.all():
        raise ValueError(f"There is no mean over no cells: group {np.argmin(sizes)} has none.")
    # In float32 a sum over 100,000 cells would lose three digits.
    total: Any = 0.0
    for start, block in zip(itertools.count(0, BLOCK), blocks_of(matrix), strict=False):
        group = groups[start : start + BLOCK]
        member = np.flatnonzero(group >= 0)
        one = sparse.csr_matrix(
            (np.ones(len(member)), (group[member], member)), (count, len(group))
        )
        total = total + sparse.csr_matrix(one @ block.astype(np.float64)).toarray()
    return (total / sizes[:, None]).astype(np.float32)


def projected(
    matrix: sparse.csr_matrix | StoredMatrix,
    weights: Float[np.ndarray, "genes features"],
    places: Int[np.ndarray, " cells"] | None,
) -> Float[np.ndarray, "cells features"]:
    """All rows times a matrix, block by block, in its precision; row i at `places[i]`."""
    count, _ = matrix.shape or (0, 0)
    result = np.empty((count, weights.shape[1]), weights.dtype)
    start = 0
    for block in blocks_of(matrix):
        part = block.astype(weights.dtype) @ weights
        own = slice(start, start + len(part))
        result[own if places is None else places[own]] = part
        start += len(part)
    return result
