"""Which genes a perturbation changes: Wilcoxon's rank-sum test of every gene, on sparse cells."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
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


def rank_sums(first: Matrix, second: Matrix, *, continuity: bool = True) -> RankSums:
    r"""Wilcoxon's rank-sum test of each gene between two populations of cells.

    With $n$ and $m$ cells $U = R - n (n + 1) / 2$, where $R$ is the sum of the ranks of the first
    among all, and $z = (U - n m / 2 \mp c) / s$, where $s^2 = \frac{n m}{12} (n + m + 1 - \sum_t
    \frac{t^3 - t}{(n + m)(n + m - 1)})$ over groups of $t$ ties. The numbers are those of
    `scipy.stats.mannwhitneyu(method="asymptotic")`; zeros, of which most cells consist, are one
    group of ties and are never written out.

    **Arguments:** `first` and `second`, cells by genes, dense or sparse; `continuity`, whether
    $c = 1/2$ or 0 (0 and no ties: `scipy.stats.ranksums`).

    **Returns:** the tests; a gene that is the same in all cells has $p = 1$.

    **Raises:** a ValueError for a population without a cell.
    """
    n, m = first.shape[0], second.shape[0]
    if not n or not m:
        raise ValueError(f"A rank-sum test needs cells on both sides: got {n} and {m}.")
    ranks, ties = _rank_sums_and_ties(first, second)
    total = n + m
    u = ranks - n * (n + 1) / 2
    variance = n * m / 12 * (total + 1 - ties / (total * max(total - 1, 1)))
    away = np.abs(u - n * m / 2) - (0.5 if continuity else 0.0)
    deviation = np.sqrt(np.maximum(variance, 0.0))
    z = np.divide(away, deviation, out=np.zeros_like(away), where=deviation > 0)
    return RankSums(statistic=u, p=np.minimum(2 * stats.norm.sf(z), 1.0))


def _rank_sums_and_ties(
    first: Matrix, second: Matrix
) -> tuple[Float[np.ndarray, " genes"], Float[np.ndarray, " genes"]]:
    """For each gene the ranks of the first population added up, and the sum of `t^3 - t`."""
    pooled: Any = sparse.csc_matrix(
        sparse.vstack([sparse.csr_matrix(first), sparse.csr_matrix(second)])
    )
    pooled.eliminate_zeros()
    total, genes = pooled.shape
    column = np.repeat(np.arange(genes), np.diff(pooled.indptr))
    order = np.lexsort((pooled.data, column))
    value, column, own = pooled.data[order], column[order], pooled.indices[order] < first.shape[0]
    zeros = total - np.diff(pooled.indptr)
    below = np.bincount(column, weights=value < 0, minlength=genes)
    # Places among all cells, from 0: behind the values below zero come all zeros.
    place = (
        np.arange(len(value)) - pooled.indptr[:-1][column] + np.where(value > 0, zeros[column], 0)
    )
    new = np.ones(len(value), bool)
    new[1:] = (np.diff(column) != 0) | (np.diff(value) != 0)
    group = np.cumsum(new) - 1
    size = np.bincount(group)
    rank = place[new][group] + (size[group] + 1) / 2
    # Of no values at all NumPy counts whole numbers.
    sums = np.bincount(column, weights=rank * own, minlength=genes).astype(np.float64)
    of_first = np.bincount(column, weights=own, minlength=genes)
    sums += (first.shape[0] - of_first) * (below + (zeros + 1) / 2)
    ties = np.bincount(column[new], weights=size.astype(float) ** 3 - size, minlength=genes)
    return sums, ties + zeros.astype(float) ** 3 - zeros
