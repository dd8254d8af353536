"""Which genes a perturbation changes: Wilcoxon's rank-sum test of every gene, on sparse cells."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Complex, Float, Int
from scipy import sparse, stats

from ._distribution import Matrix

Correction = Literal["bh", "bonferroni"]


@dataclass(frozen=True, eq=False, kw_only=True)
class RankSums:
    """Rank-sum tests of one population against another, gene by gene.

    **Fields:** `statistic`, Mann and Whitney's $U$ of the first population, ties counting a half;
    `p`, the two-sided p-value of the normal approximation, corrected for ties.
    """

    statistic: Float[np.ndarray, " genes"]
    p: Float[np.ndarray, " genes"]

    def significant(
        self, level: float = 0.05, correction: Correction = "bh"
    ) -> Bool[np.ndarray, " genes"]:
        """Which genes differ at a false discovery rate or a family-wise error rate of `level`.

        **Arguments:** `correction` for the number of genes: Benjamini and Hochberg's or
        Bonferroni's.
        """
        if correction == "bonferroni":
            return self.p * len(self.p) < level
        return stats.false_discovery_control(self.p) < level


@dataclass(frozen=True, eq=False, kw_only=True)
class Sorted:
    """A population with the values of each gene in order, to test many others against.

    **Fields:** `cells`, their number; `keys`, gene and value of whatever is not zero as real and
    imaginary part, in this order; for each gene `before`, the number of keys of genes before it,
    `below`, of values below zero, `zeros`, and `ties`, the sum of `t^3 - t` over its groups of `t`
    equal values other than zero.
    """

    cells: int
    keys: Complex[np.ndarray, " values"]
    before: Int[np.ndarray, " genes"]
    below: Int[np.ndarray, " genes"]
    zeros: Int[np.ndarray, " genes"]
    ties: Float[np.ndarray, " genes"]

    @classmethod
    def of(cls, cells: Matrix) -> "Sorted":
        """Sorts them.

        **Raises:** a ValueError without a cell.
        """
        number, genes = cells.shape
        if not number:
            raise ValueError("A rank-sum test needs cells on both sides: got none to sort.")
        keys: Any = np.sort(_keys(cells))
        column = keys.real.astype(np.int64)
        nonzero = np.bincount(column, minlength=genes)
        found: Any = np.unique(keys, return_counts=True)
        values, size = found
        groups = _counted(values.real.astype(np.int64), _cubes(size), genes)
        return cls(
            cells=number,
            keys=keys,
            before=np.cumsum(nonzero) - nonzero,
            below=np.bincount(column[keys.imag < 0], minlength=genes),
            zeros=number - nonzero,
            ties=groups,
        )


def rank_sums(first: Matrix, second: Matrix | Sorted, *, continuity: bool = True) -> RankSums:
    r"""Wilcoxon's rank-sum test of each gene between two populations of cells.

    With $n$ and $m$ cells $U$ is the number of pairs of which the first is the larger, ties a half,
    and $z = (U - n m / 2 \mp c) / s$, where $s^2 = \frac{n m}{12} (n + m + 1 - \sum_t
    \frac{t^3 - t}{(n + m)(n + m - 1)})$ over groups of $t$ ties. The numbers are those of
    `scipy.stats.mannwhitneyu(method="asymptotic")`; zeros, of which most cells consist, are one
    group of ties and are never written out. Only the first population is sorted where the second
    is sorted already.

    **Arguments:** `first` and `second`, cells by genes, dense or sparse, the latter as `Sorted` if
    many are tested against it; `continuity`, whether $c = 1/2$ or 0 (0 and no ties:
    `scipy.stats.ranksums`).

    **Returns:** the tests; a gene that is the same in all cells has $p = 1$.

    **Raises:** a ValueError for a population without a cell.
    """
    n, m = first.shape[0], second.cells if isinstance(second, Sorted) else second.shape[0]
    if not n or not m:
        raise ValueError(f"A rank-sum test needs cells on both sides: got {n} and {m}.")
    other = second if isinstance(second, Sorted) else Sorted.of(second)
    total = n + m
    u, ties = _pairs_and_ties(first, other)
    variance = n * m / 12 * (total + 1 - ties / (total * max(total - 1, 1)))
    away = np.abs(u - n * m / 2) - (0.5 if continuity else 0.0)
    deviation = np.sqrt(np.maximum(variance, 0.0))
    z = np.divide(away, deviation, out=np.zeros_like(away), where=deviation > 0)
    return RankSums(statistic=u, p=np.minimum(2 * stats.norm.sf(z), 1.0))


def _pairs_and_ties(
    first: Matrix, other: Sorted
) -> tuple[Float[np.ndarray, " genes"], Float[np.ndarray, " genes"]]:
    """For each gene the pairs of which the first is larger, and the sum of `t^3 - t` of both."""
    genes = first.shape[1]
    found: Any = np.unique(_keys(first), return_counts=True)
    values, own = found
    column = values.real.astype(np.int64)
    place = np.searchsorted(other.keys, values, side="left")
    equal = np.searchsorted(other.keys, values, side="right") - place
    less = place - other.before[column] + np.where(values.imag > 0, other.zeros[column], 0)
    count = lambda weights: _counted(column, weights, genes)
    zeros = first.shape[0] - count(own.astype(np.float64))
    pairs = count(own * (less + equal / 2)) + zeros * (other.below + other.zeros / 2)
    ties = other.ties + count(_cubes(own + equal) - _cubes(equal))
    return pairs, ties + _cubes(zeros + other.zeros)


def _keys(cells: Matrix) -> Complex[np.ndarray, " values"]:
    """Gene and value of whatever is not zero: complex numbers are sorted by real part first."""
    stored: Any = sparse.csc_matrix(cells)
    column = np.repeat(np.arange(stored.shape[1]), np.diff(stored.indptr))
    there = stored.data != 0
    keys = np.empty(int(there.sum()), np.complex128)
    keys.real, keys.imag = column[there], stored.data[there]
    return keys


def _counted(
    column: Int[np.ndarray, " values"], weights: Float[np.ndarray, " values"], genes: int
) -> Float[np.ndarray, " genes"]:
    """Weights added up by gene; of no values at all NumPy would count whole numbers."""
    return np.bincount(column, weights=weights, minlength=genes).astype(np.float64)


def _cubes(sizes: np.ndarray) -> Float[np.ndarray, " groups"]:
    """`t^3 - t`, in floating point: a cube of whole numbers may be too large."""
    size = sizes.astype(np.float64)
    return size**3 - size
