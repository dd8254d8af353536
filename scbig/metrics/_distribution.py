"""Metrics on populations of cells."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float
from scipy import sparse
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

if TYPE_CHECKING:  # scipy ships no types, and those that pyright infers are wrong
    Matrix = Any
else:
    Matrix = np.ndarray | sparse.csr_matrix

_CHUNK = 1024


def mean_profile(values: Matrix) -> Float[np.ndarray, " genes"]:
    """Mean over cells, accumulated in float64."""
    if isinstance(values, np.ndarray):
        return values.mean(axis=0, dtype=np.float64)
    # SciPy's own mean of float32 is exact to float32 only, whatever `dtype` says.
    count, genes = values.shape
    return np.bincount(values.indices, weights=values.data, minlength=genes) / count


def energy_distance(
    x: Float[np.ndarray, "first features"],
    y: Float[np.ndarray, "second features"],
    *,
    squared_norm: bool = False,
    unbiased: bool = True,
) -> float:
    r"""Squared energy distance $2 E|x-y| - E|x-x'| - E|y-y'|$ of two populations (Eq. 16).

    This difference of mean Euclidean distances *is* the squared energy distance: `D^2` of
    Szekely and Rizzo, whose root is a metric. With *squared* Euclidean norms in its place it would
    collapse to $2 |E x - E y|^2$, a distance of means that does not see the populations; the
    paper's values (13.5 for the control at an L2 of means of 9.25, Tables 1 and 13) exclude that
    reading, which would give about 170.

    **Arguments:**

    - `x`: one population.
    - `y`: the other.
    - `squared_norm`: squared Euclidean norms all the same; with `unbiased`, scPerturb's `edist`.
    - `unbiased`: leave a cell's zero distance to itself out of the averages within a population
        (the U-statistic): two samples of one population give zero on average, and a little below
        it as often as above. With it in (the V-statistic) it is never negative, zero if and only
        if the samples are equal, but too large by about `E|x-x'| (1/n + 1/m)`, so that values from
        different numbers of cells do not compare.
    """
    fewest = 2 if unbiased else 1
    if min(len(x), len(y)) < fewest:
        raise ValueError(
            f"This energy distance needs at least {fewest} cells on both sides: "
            f"got {len(x)} and {len(y)}."
        )
    kind = "sqeuclidean" if squared_norm else "euclidean"
    between = _total_distance(x, y, kind) / (len(x) * len(y))
    within = sum(
        _total_distance(z, z, kind) / (len(z) * (len(z) - 1 if unbiased else len(z)))
        for z in (x, y)
    )
    return 2 * between - within if unbiased else max(2 * between - within, 0.0)


def _total_distance(
    x: Float[np.ndarray, "first features"],
    y: Float[np.ndarray, "second features"],
    kind: Literal["euclidean", "sqeuclidean"],
) -> float:
    # In blocks: all pairs of 12,000 controls would be more than a gigabyte.
    return sum(
        float(cdist(x[start : start + _CHUNK], y, kind).sum()) for start in range(0, len(x), _CHUNK)
    )


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map of cells to principal components."""

    centre: Float[np.ndarray, " genes"]
    axes: Float[np.ndarray, "components genes"]

    def __call__(
        self, cells: Float[np.ndarray, "cells genes"] | sparse.csr_matrix
    ) -> Float[np.ndarray, "cells components"]:
        """Coordinates of the cells; sparse cells are not made dense."""
        return np.asarray(cells @ self.axes.T) - self.centre @ self.axes.T


def fit_projection(cells: Matrix | Iterable[Matrix], components: int = 50) -> Projection:
    """Principal components of the cells: at most `components`, `cells - 1` and `genes` of them.

    The solver is exact, hence deterministic: the eigenvectors of the gene covariance, or the full
    singular value decomposition where there are more genes than cells.

    **Arguments:** `cells`, expression by genes, at once or in blocks, of which the covariance
    needs one at a time; `components`, how many axes at most.

    **Raises:** a ValueError for fewer than 2 cells.
    """
    whole = isinstance(cells, np.ndarray) or sparse.issparse(cells)
    blocks: Iterable[Any] = [cells] if whole else cells
    # Kept until there are more cells than genes: a singular value decomposition needs all.
    kept: list[Matrix] = []
    moments = _Moments()
    for block in blocks:
        kept.append(block)
        if moments.count + sum(part.shape[0] for part in kept) >= block.shape[1]:
            for part in kept:
                moments.add(part)
            kept = []
    if moments.count:
        for part in kept:
            moments.add(part)
        return moments.projection(components)
    values = np.concatenate([_dense(part) for part in kept]) if kept else np.zeros((0, 1))
    count, genes = values.shape
    if count < 2:
        raise ValueError(f"Principal components need at least 2 cells: got {count}.")
    centre = values.mean(axis=0)
    _, _, axes = np.linalg.svd(values - centre, full_matrices=False)
    return Projection(centre, axes[: min(components, count - 1, genes)])


class _Moments:
    """Sums of cells and of their products, gene by gene, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.total: Any = 0.0
        self.products: Any = 0.0

    def add(self, cells: Matrix) -> None:
        values = cells.astype(np.float64)
        products: Any = values.T @ values
        self.count += int(cells.shape[0])
        self.total = self.total + np.asarray(values.sum(axis=0)).ravel()
        self.products = self.products + (
            products.toarray() if sparse.issparse(products) else products
        )

    def projection(self, components: int) -> Projection:
        if self.count < 2:
            raise ValueError(f"Principal components need at least 2 cells: got {self.count}.")
        centre = self.total / self.count
        covariance = self.products - self.count * np.outer(centre, centre)
        genes = len(centre)
        number = min(components, self.count - 1, genes)
        _, axes = eigh(covariance, subset_by_index=(genes - number, genes - 1))
        return Projection(centre, axes[:, ::-1].T)


def _dense(values: Matrix) -> Float[np.ndarray, "rows columns"]:
    wide = values.toarray() if sparse.issparse(values) else np.asarray(values)
    return wide.astype(np.float64)
