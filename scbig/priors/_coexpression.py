"""Gene embeddings from the data themselves: principal components of co-expression."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Float64
from scipy import sparse

from scbig._names import examples

from ._border import distinct
from ._embeddings import EmbeddingTable

_WHAT = "co-expression"


def coexpression(
    expression: sparse.csr_matrix | sparse.csr_array | Float[np.ndarray, "cells genes"],
    genes: Sequence[str],
    *,
    components: int,
) -> EmbeddingTable:
    r"""Embeds genes by how they vary together over cells.

    Every gene is standardised over the cells to $z$ of mean 0 and variance 1; with the singular
    value decomposition $z / \sqrt{n} = U S V^\top$ the rows are those of $V S$, of the largest
    singular values. Inner products of rows approximate the correlations of genes, and the squared
    length of a row is the share of that gene's variance that the components explain. A gene that
    is constant over the cells has no correlations and gets a row of zeros, and components beyond
    the rank of the data are columns of zeros. In each component the gene of largest absolute
    loading is positive, so the result is a function of its arguments.

    **Arguments:** `expression`, cells by genes, log-normalised, of the control cells of the
    training data: other cells would leak what is to be predicted. A sparse matrix stays sparse.
    `genes`, distinct names of its columns; `components`, fewer than the cells and than the genes
    that vary.

    **Returns:** a table of the genes, in their order, with that many features.

    **Raises:** `ValueError` for NaN or infinite values, names that do not fit, or too many
    components.
    """
    genes = distinct(genes, "genes")
    matrix: Any = expression
    cells, columns = matrix.shape
    if columns != len(genes):
        raise ValueError(
            f"{_WHAT}: {len(genes)} genes need expression of shape (cells, genes); got "
            f"{matrix.shape}."
        )
    if cells < 2:
        raise ValueError(f"{_WHAT}: genes vary together over several cells; got {cells}.")
    _require_finite(matrix, genes)
    # Not by the variance, which rounding keeps from being exactly 0.
    varying = np.flatnonzero(_extreme(matrix, "max") > _extreme(matrix, "min"))
    if not 1 <= components < min(cells, len(varying)):
        raise ValueError(
            f"{_WHAT}: components must be at least 1 and fewer than the {cells} cells and than "
            f"the {len(varying)} genes (of {len(genes)}) that vary over them; got {components}."
        )
    vectors = np.zeros((len(genes), components), np.float32)
    vectors[varying] = _loadings(matrix[:, varying], components)
    return EmbeddingTable(genes, vectors)


def _loadings(matrix: Any, components: int) -> Float64[np.ndarray, "genes components"]:
    """Loadings times singular values, of columns that all vary."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    # Centring would fill a sparse matrix; this PCA centres within its products instead.
    scaled = StandardScaler(with_mean=False).fit_transform(matrix.astype(np.float64))
    pca: Any = PCA(components, svd_solver="arpack", random_state=0).fit(scaled)
    size = pca.singular_values_
    loadings = pca.components_.T * (size / np.sqrt(matrix.shape[0]))
    return settled(loadings, size, least=max(matrix.shape) * np.finfo(np.float64).eps)


def settled(
    loadings: Float64[np.ndarray, "genes components"],
    size: Float64[np.ndarray, " components"],
    *,
    least: float,
) -> Float64[np.ndarray, "genes components"]:
    """Loadings without what differs from run to run.

    Zeros where the singular value is at most `least` times the largest: beyond the rank of the
    matrix a component is rounding. In the others the gene of largest absolute loading is positive.

    **Arguments:** `size`, the singular values, the largest first.
    """
    loadings = np.where(size > size[0] * least, loadings, 0.0)
    leading = np.take_along_axis(loadings, np.abs(loadings).argmax(axis=0)[None], axis=0)
    return loadings * np.where(leading < 0, -1.0, 1.0)


def _extreme(matrix: Any, which: str) -> Float[np.ndarray, " genes"]:
    found = getattr(matrix, which)(axis=0)
    return found.toarray().ravel() if sparse.issparse(found) else found


def _require_finite(matrix: Any, genes: Sequence[str]) -> None:
    if sparse.issparse(matrix):
        columns = np.unique(matrix.indices[~np.isfinite(matrix.data)])
    else:
        columns = np.flatnonzero(~np.isfinite(matrix).all(axis=0))
    if len(columns):
        raise ValueError(
            f"{_WHAT}: {len(columns)} of {len(genes)} genes have NaN or infinite values: "
            f"{examples(genes[column] for column in columns.tolist())}."
        )
