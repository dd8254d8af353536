"""Alignment of pathway activities by optimal transport (Eq. 8)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from scbig._typing import Array, Bool, Float, Int, PRNGKeyArray, Scalar
from scbig._value import real, require, whole
from scbig.ot import sinkhorn_divergence
from scbig.priors import PathwayLibrary
from scbig.programs import AbstractPartition
from scbig.sampling import CellIndex

from ._abstract import AbstractAlignment, MeasuredCells


def pathway_weights(membership: Bool[Array, "pathways genes"]) -> Float[Array, "pathways genes"]:
    """Membership rows divided by their sizes: `S` of Eq. 8, so that activity is a mean."""
    indicator = membership.astype(jnp.float32)
    return indicator / jnp.maximum(jnp.sum(indicator, axis=1, keepdims=True), 1.0)


class PathwayFacts(eqx.Module):
    """What `PathwayAlignment` caches of the measured cells.

    **Fields:** `weights`, `S` of Eq. 8; `index`, draws rows of `activities`, the `A = X S^T` of the
    cells.
    """

    weights: Float[Array, "pathways genes"]
    index: CellIndex
    activities: Float[Array, "all_cells pathways"]


class PathwayAlignment(AbstractAlignment):
    """Debiased Sinkhorn divergence of pathway activities, divided by their number (Eq. 8).

    Squared Euclidean cost, log domain, epsilon relative to the mean cost: on the released code's
    plain-domain, absolute epsilon nearly the whole kernel underflows and the loss is dead.

    **Fields:** `epsilon`, regularisation relative to the mean cost; `iterations`, the most of
    Sinkhorn; `pool`, most cells of a condition, spread evenly, whose activities are kept, `None`
    for all; `min_genes`, genes of the screen that a pathway needs to count.
    """

    label = "pathway"
    reads = ("pathways",)

    epsilon: float = real(0.1, above=0)
    iterations: int = whole(100)
    pool: int | None = whole(None, least=2)
    min_genes: int = whole(3)

    def prepare(
        self,
        screen: MeasuredCells,
        index: CellIndex,
        partition: AbstractPartition,
        pathways: PathwayLibrary | None,
    ) -> PathwayFacts:
        """The pathways' weights, and the measured cells' activities."""
        require(pathways is not None, self, "there are no pathways: give Priors pathways=")
        assert pathways is not None
        matrix = pathways.align(screen.genes, min_genes=self.min_genes).matrix
        weights = pathway_weights(jnp.asarray(matrix))
        rows = None
        if self.pool is not None:
            index, rows = index.pooled(self.pool)
        activities = screen.project(np.asarray(weights).T, rows)
        return PathwayFacts(weights, index, jnp.asarray(activities))

    def __call__(
        self,
        predicted: Float[Array, "groups cells genes"],
        groups: Int[Array, " groups"],
        facts: PathwayFacts,
        *,
        key: PRNGKeyArray,
    ) -> Scalar:
        rows = facts.index.draw_cells(groups, predicted.shape[1], key=key)
        found = predicted @ facts.weights.T
        divergence = lambda x, y: (
            sinkhorn_divergence(x, y, epsilon=self.epsilon, iterations=self.iterations).value
        )
        per_group = jax.vmap(divergence)(found, facts.activities[rows])
        return jnp.mean(per_group) / facts.weights.shape[0]
