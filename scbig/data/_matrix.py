"""Expression of any form, dense or sparse, on disk, lazy or in memory, as arrays in memory."""

from typing import Any

import anndata as ad
import h5py
import numpy as np
import zarr
from anndata.abc import CSCDataset, CSRDataset
from scipy import sparse

from scbig._names import examples


def expression_matrix(adata: ad.AnnData, *, layer: str | None) -> Any:
    """`adata.X` or a layer, as it is stored; raises if it is absent."""
    if layer is not None and layer not in adata.layers:
        # Since 0.13 anndata counts X among the layers, under the name None.
        names = [name for name in adata.layers if name is not None]
        raise ValueError(f"There is no layer {layer!r}; there is {examples(names) or 'none'}.")
    matrix = adata.X if layer is None else adata.layers[layer]
    if matrix is None:
        raise ValueError("The AnnData has no X. Name the layer that holds the expression.")
    return matrix


def in_memory(matrix: Any, dtype: Any = None) -> np.ndarray | sparse.csr_matrix:
    """A matrix of any form in memory: dense as an array, sparse or lazy as CSR.

    It may be backed, of dask, by rows or by columns, with entries that are there twice, masked
    (what is masked is NaN), and of numbers that SciPy has no sparse matrices of: of half precision
    or in another byte order. It is left as it is, and shared where nothing had to change.

    **Arguments:** `dtype`, what entries of a sparse one become; by default what holds them all.
    """
    stored: Any = matrix
    if isinstance(matrix, CSRDataset | CSCDataset):
        parts = [np.asarray(stored.group[name][:]) for name in ("data", "indices", "indptr")]
        by_rows = matrix.format == "csr"
        return _compressed(*parts, shape=matrix.shape, by_rows=by_rows, dtype=dtype)
    if hasattr(matrix, "map_blocks"):
        # Each block becomes sparse by itself: a lazy matrix may be larger than memory.
        empty = sparse.csr_matrix((0, 0), dtype=_floats(matrix.dtype))
        lazy = matrix.map_blocks(_sparse, dtype=empty.dtype, meta=empty)
        return sparse.csr_matrix(lazy.compute())
    if sparse.issparse(matrix):
        own = matrix if matrix.format in ("csr", "csc") else matrix.tocsr()
        parts = own.data, own.indices, own.indptr
        by_rows = own.format == "csr"
        return _compressed(*parts, shape=own.shape, by_rows=by_rows, dtype=dtype)
    if isinstance(matrix, np.ma.MaskedArray):
        return np.ma.filled(matrix.astype(_floats(matrix.dtype)), np.nan)
    values = np.asarray(matrix)
    known = values.dtype.isnative and values.dtype != np.float16
    return values if known else values.astype(_floats(values.dtype))


def read_csr(matrix: Any, *, chunk: int = 4096) -> sparse.csr_matrix:
    """A float32 CSR copy, of any form that `in_memory` reads, with sorted indices and no zero.

    What is dense on disk is read `chunk` cells at a time, so that it never lies in memory whole.
    """
    if isinstance(matrix, h5py.Dataset | zarr.Array):
        starts = range(0, matrix.shape[0], chunk)
        blocks = [_sparse(matrix[i : i + chunk], np.float32) for i in starts]
        result = sparse.csr_matrix(sparse.vstack(blocks, format="csr"))
    else:
        # At once in single precision: a large matrix has no room for one in double beside it.
        found, given = in_memory(matrix, np.float32), sparse.issparse(matrix)
        result = sparse.csr_matrix(found, dtype=np.float32, copy=given)
    result.eliminate_zeros()
    return result


def _sparse(block: Any, dtype: Any = None) -> sparse.csr_matrix:
    return sparse.csr_matrix(in_memory(block), dtype=dtype)


def _compressed(
    data: np.ndarray,
    indices: np.ndarray,
    indptr: np.ndarray,
    *,
    shape: tuple[int, int],
    by_rows: bool,
    dtype: Any,
) -> sparse.csr_matrix:
    kind = sparse.csr_matrix if by_rows else sparse.csc_matrix
    values = data.astype(dtype or _floats(data.dtype), copy=False)
    found = sparse.csr_matrix(kind((values, indices, indptr), shape=shape))
    if not found.has_canonical_format:
        found = found.copy() if by_rows else found
        found.sum_duplicates()
    return found


def _floats(dtype: np.dtype) -> type[np.floating]:
    """The floating-point numbers that hold those of a type, as SciPy has them."""
    return np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64
