"""What several starts come to: the cheapest, or the programs on which they agree."""

import abc

import jax.numpy as jnp
import numpy as np

from .._typing import Array, Float, Int
from .._value import Value
from ._cost import Alternation, Relations
from ._rounding import round_to_capacities


def rand_indices(labels: Int[np.ndarray, "starts genes"]) -> Float[np.ndarray, "starts starts"]:
    """Adjusted Rand index between every two labellings: 1 for the same, 0 for chance."""
    from sklearn.metrics import adjusted_rand_score

    starts = len(labels)
    found = np.eye(starts)
    for first in range(starts):
        for second in range(first):
            score = adjusted_rand_score(labels[first], labels[second])
            found[first, second] = found[second, first] = score
    return found


def consensus(
    labels: Int[Array, "starts genes"],
    cost: Float[Array, "genes clusters"],
    reference: int | Int[Array, ""],
) -> Int[Array, " genes"]:
    """The programs of the reference run's sizes that most starts put each gene into.

    Programs are matched to the reference's by their overlap (an optimal matching), each start
    votes for a program of each gene, and the votes are rounded to the sizes. No matrix of pairs
    of genes is made.

    **Arguments:** `labels`, from every start; `cost`, of the reference's programs, which breaks
    ties; `reference`, the start whose programs and sizes are kept.
    """
    from scipy.optimize import linear_sum_assignment

    found, clusters = np.asarray(labels), cost.shape[1]
    kept = found[int(reference)]
    votes = np.zeros(cost.shape, np.float32)
    for one in found:
        overlap = np.zeros((clusters, clusters), np.int64)
        np.add.at(overlap, (one, kept), 1)
        _, name = linear_sum_assignment(overlap, maximize=True)
        np.add.at(votes, (np.arange(kept.size), name[one]), 1.0)
    sizes = np.bincount(kept, minlength=clusters).astype(np.int32)
    return round_to_capacities(jnp.asarray(votes), cost, jnp.asarray(sizes))


class AbstractSelection(Value):
    """Makes one set of programs of what several starts led to."""

    @abc.abstractmethod
    def __call__(
        self, runs: Alternation, relations: Relations, clusters: int
    ) -> tuple[Int[Array, " genes"], int]:
        """Returns labels, and the run that they are of; -1 if they are of none."""


class Cheapest(AbstractSelection):
    """The run of least cost (Eq. 1)."""

    def __call__(
        self, runs: Alternation, relations: Relations, clusters: int
    ) -> tuple[Int[Array, " genes"], int]:
        best = int(jnp.argmin(runs.mean_cost[:, -1]))
        return runs.labels[best], best


class Consensus(AbstractSelection):
    """The programs on which the runs agree, of the cheapest run's sizes: `consensus`."""

    def __call__(
        self, runs: Alternation, relations: Relations, clusters: int
    ) -> tuple[Int[Array, " genes"], int]:
        labels, best = Cheapest()(runs, relations, clusters)
        if len(runs.labels) == 1:
            return labels, best
        return consensus(runs.labels, relations.cost(labels, clusters), best), -1
