"""Weights of genes: how surely the cells of a condition differ from others, gene by gene."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy import sparse

from ._distribution import Matrix

Against = Literal["rest", "controls"]
"""What a condition's cells are held against: the controls and all other conditions, or these."""

_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False, kw_only=True)
class Spread:
    """How many cells there are, their mean, and their squared deviations from it, added up."""

    count: int
    mean: Float[np.ndarray, " genes"]
    squares: Float[np.ndarray, " genes"]

    @classmethod
    def of(cls, cells: Matrix) -> "Spread":
        """Of cells by genes; sparse ones are not made dense."""
        count, genes = cells.shape
        if not sparse.issparse(cells):
            values: Any = np.asarray(cells, np.float64)
            mean = values.mean(axis=0)
            return cls(count=count, mean=mean, squares=((values - mean) ** 2).sum(axis=0))
        total = lambda values: np.bincount(cells.indices, weights=values, minlength=genes)
        mean = total(cells.data.astype(np.float64)) / count
        stored = np.bincount(cells.indices, minlength=genes)
        squares = total((cells.data - mean[cells.indices]) ** 2) + (count - stored) * mean**2
        return cls(count=count, mean=mean, squares=squares)

    def __add__(self, other: "Spread") -> "Spread":
        """Of the cells of both (Chan, Golub and LeVeque 1983)."""
        count = self.count + other.count
        apart = other.mean - self.mean
        return Spread(
            count=count,
            mean=self.mean + apart * other.count / count,
            squares=self.squares + other.squares + apart**2 * self.count * other.count / count,
        )


def gene_weights(own: Spread, other: Spread) -> Float[np.ndarray, " genes"]:
    """The absolute t of Student's test of each gene.

    **Returns:** 0 for a gene that is the same in all cells; NaN for one that is constant on both
    sides and differs, and for fewer than three cells in all.
    """
    freedom = own.count + other.count - 2
    if freedom < 1:
        return np.full(own.mean.shape, np.nan)
    apart = np.abs(own.mean - other.mean)
    scale = np.maximum(np.abs(own.mean), np.abs(other.mean))
    variance = (own.squares + other.squares) / freedom
    constant = variance <= (_ROUNDING * scale) ** 2
    same = apart <= _ROUNDING * scale
    error = np.sqrt(np.where(constant, 1.0, variance) * (1 / own.count + 1 / other.count))
    return np.where(constant, np.where(same, 0.0, np.nan), apart / error)


def weights_of(
    spreads: Mapping[str, Spread], controls: Spread, against: Against
) -> dict[str, Float[np.ndarray, " genes"]]:
    """The weights of each condition of one context.

    **Arguments:** `spreads`, of the conditions that are scored; `controls`, of the same context.
    """
    if against == "controls":
        return {name: gene_weights(own, controls) for name, own in spreads.items()}
    # Those before and those behind: taking a condition out of the sum of all would leave rounding.
    names, parts = [*spreads], [*spreads.values()]
    before = list(itertools.accumulate([controls, *parts[:-1]]))
    behind: list[Any] = [None, *itertools.accumulate(reversed(parts[1:]))][::-1]
    rest = [one if more is None else one + more for one, more in zip(before, behind, strict=True)]
    return {
        name: gene_weights(own, other) for name, own, other in zip(names, parts, rest, strict=True)
    }
