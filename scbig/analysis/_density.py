"""How many interactions lie inside programs, and how many chance would put there."""

import functools
from dataclasses import dataclass
from fractions import Fraction
from math import perm, sqrt

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
from jax import lax
from jaxtyping import Int

from scbig._typing import Array, PRNGKeyArray
from scbig.programs import AbstractPartition

from ._checks import undirected


@dataclass(frozen=True, eq=False)
class InteractionDensity:
    """Interactions inside programs, against the same programs filled with genes at random.

    `expected` and `deviation` are the exact mean and standard deviation over all permutations of
    the genes; `z_score` is NaN where nothing can vary. `p_value` comes from the permutations that
    were drawn, (1 + those with at least as many inside) / (1 + all). `null` is the number inside
    in each of them. `programs` has a row for each program: `program`, `size`, `inside`,
    `possible` (pairs of its genes), `density` (inside over possible), and the same four.
    """

    interactions: int
    inside: int
    expected: float
    deviation: float
    z_score: float
    p_value: float
    null: Int[np.ndarray, " permutations"]
    programs: pd.DataFrame

    @property
    def share(self) -> float:
        """Part of all interactions that lies inside programs; NaN if there are none."""
        return self.inside / self.interactions if self.interactions else float("nan")


def interaction_density(
    partition: AbstractPartition,
    source: Int[Array | np.ndarray, " edges"],
    target: Int[Array | np.ndarray, " edges"],
    *,
    permutations: int = 1000,
    key: PRNGKeyArray,
) -> InteractionDensity:
    """Counts the interactions whose two genes share a program, and compares them with chance.

    Chance permutes the genes over the programs, whose sizes stay. It does not keep how many
    interactions a program's genes have: well-studied genes that cluster together add to z.

    **Arguments:**

    - `partition`: the programs.
    - `source`, `target`: gene indices of the interactions, each in both directions, as in an
      `AlignedGraph`. May be empty. Each interaction counts once.
    - `permutations`: how many are drawn, for the p-values, one after another.
    - `key`: of the permutations.

    **Raises:** `ValueError` for lists of another form, or fewer than one permutation.
    """
    if permutations < 1:
        raise ValueError(f"At least one permutation is needed; got {permutations}.")
    genes, labels = partition.num_genes, np.asarray(partition.labels)
    first, second = undirected(np.asarray(source), np.asarray(target), genes)
    shared = labels[first][labels[first] == labels[second]]
    inside = np.bincount(shared, minlength=partition.clusters)
    null, reached = _permuted(
        partition.labels,
        jnp.asarray(first, jnp.int32),
        jnp.asarray(second, jnp.int32),
        jnp.asarray(inside, jnp.int32),
        jr.split(key, permutations),
    )
    null, reached = np.asarray(null), np.asarray(reached)
    degree = np.bincount(np.concatenate([first, second]), minlength=genes)
    wedges = int(np.sum(degree * (degree - 1) // 2))
    sizes = np.bincount(labels, minlength=partition.clusters).tolist()
    chance = functools.partial(_moments, genes=genes, interactions=first.size, wedges=wedges)
    expected, deviation = chance(sizes)
    return InteractionDensity(
        interactions=first.size,
        inside=int(inside.sum()),
        expected=expected,
        deviation=deviation,
        z_score=_z_score(int(inside.sum()), expected, deviation),
        p_value=float(1 + np.sum(null >= inside.sum())) / (1 + permutations),
        null=null,
        programs=_by_program(
            sizes, inside, [chance([size]) for size in sizes], (1 + reached) / (1 + permutations)
        ),
    )


def _by_program(sizes, inside, moments, p_values) -> pd.DataFrame:
    possible = np.array([size * (size - 1) // 2 for size in sizes])
    return pd.DataFrame(
        {
            "program": np.arange(len(sizes)),
            "size": sizes,
            "inside": inside,
            "possible": possible,
            "density": np.where(possible > 0, inside / np.maximum(possible, 1), np.nan),
            "expected": [mean for mean, _ in moments],
            "deviation": [deviation for _, deviation in moments],
            "z_score": [
                _z_score(count, *one) for count, one in zip(inside.tolist(), moments, strict=True)
            ],
            "p_value": p_values,
        }
    )


def _z_score(count: int, expected: float, deviation: float) -> float:
    return (count - expected) / deviation if deviation else float("nan")


def _moments(
    sizes: list[int], *, genes: int, interactions: int, wedges: int
) -> tuple[float, float]:
    """Exact mean and standard deviation of the interactions inside programs of these sizes.

    Whether one interaction lies inside depends on where 2 genes fall; two interactions concern 3
    genes if they share one (a wedge), else 4. Each such chance is a ratio of counts of ordered
    draws. In fractions: the variance is a small difference of large numbers.
    """

    def chance(draws: int, ways: int) -> Fraction:
        everything = perm(genes, draws)
        return Fraction(ways, everything) if everything else Fraction(0)

    pairs = [perm(size, 2) for size in sizes]
    one = chance(2, sum(pairs))
    three = chance(3, sum(perm(size, 3) for size in sizes))
    # Two apart: both in one program, or in two different ones.
    apart = sum(perm(size, 4) for size in sizes) + sum(pairs) ** 2 - sum(n * n for n in pairs)
    mean = interactions * one
    disjoint = interactions * (interactions - 1) // 2 - wedges
    square = mean + 2 * wedges * three + 2 * disjoint * chance(4, apart)
    return float(mean), sqrt(square - mean**2)


@jax.jit
def _permuted(labels, first, second, inside, keys):
    """Interactions inside in each permutation; how often each program reached what it has."""

    def permute(reached, key):
        shuffled = jr.permutation(key, labels)
        ours = shuffled[first]
        # An interaction between programs goes to one program more, which is dropped.
        place = jnp.where(ours == shuffled[second], ours, inside.size)
        counts = jnp.zeros_like(inside).at[place].add(1, mode="drop")
        return reached + (counts >= inside).astype(reached.dtype), jnp.sum(counts)

    reached, null = lax.scan(permute, jnp.zeros_like(inside), keys)
    return null, reached


def interaction_folds(
    partition: AbstractPartition,
    source: Int[Array | np.ndarray, " edges"],
    target: Int[Array | np.ndarray, " edges"],
) -> pd.DataFrame:
    """Interactions between every two programs, over what chance would put there.

    **Arguments:** as of `interaction_density`.

    **Returns:** programs by programs, symmetric; 1 is what a permutation of the genes gives on
    average. NaN where no interaction is possible: an empty program, or one gene with itself.
    """
    genes, clusters = partition.num_genes, partition.clusters
    labels = np.asarray(partition.labels)
    first, second = undirected(np.asarray(source), np.asarray(target), genes)
    # Both directions: the diagonal is then counted twice, as is n (n - 1) there.
    ends = np.concatenate([first, second]), np.concatenate([second, first])
    code = labels[ends[0]].astype(np.int64) * clusters + labels[ends[1]]
    counts = np.bincount(code, minlength=clusters**2).reshape(clusters, clusters)
    sizes = np.bincount(labels, minlength=clusters)
    pairs = np.outer(sizes, sizes) - np.diag(sizes)
    expected = ends[0].size * pairs / max(genes * (genes - 1), 1)
    folds = np.full(counts.shape, np.nan)
    np.divide(counts, expected, out=folds, where=expected > 0)
    programs = pd.RangeIndex(clusters, name="program")
    return pd.DataFrame(folds, index=programs, columns=programs)
