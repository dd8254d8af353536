"""Reads expression, dense or sparse, backed or in memory, into a CSR matrix of its own."""

from typing import Any

import anndata as ad
import h5py
import numpy as np
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


def read_csr(matrix: Any, *, chunk: int = 4096) -> sparse.csr_matrix:
    """A float32 CSR copy with sorted indices and no stored zero.

    What is on disk is read `chunk` cells at a time, so that a dense file never lies in memory
    whole. A CSC file is read at once, since its cells lie scattered.
    """
    if isinstance(matrix, CSCDataset):
        matrix = matrix.to_memory()
    if isinstance(matrix, CSRDataset | h5py.Dataset):
        starts = range(0, matrix.shape[0], chunk)
        blocks = [sparse.csr_matrix(matrix[i : i + chunk], dtype=np.float32) for i in starts]
        result = sparse.csr_matrix(sparse.vstack(blocks, format="csr"))
    else:
        result = sparse.csr_matrix(matrix, dtype=np.float32, copy=True)
    result.sum_duplicates()
    result.eliminate_zeros()
    return result
