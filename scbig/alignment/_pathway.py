"""Alignment of pathway activities by optimal transport (Eq. 8)."""

import jax
import jax.numpy as jnp

from scbig._typing import Array, Bool, Float, Int, Scalar
from scbig.ot import sinkhorn_divergence

from ._abstract import AbstractAlignment


def pathway_weights(membership: Bool[Array, "pathways genes"]) -> Float[Array, "pathways genes"]:
    """Membership rows divided by their sizes: `S` of Eq. 8, so that activity is a mean."""
    indicator = membership.astype(jnp.float32)
    return indicator / jnp.maximum(jnp.sum(indicator, axis=1, keepdims=True), 1.0)


class PathwayAlignment(AbstractAlignment):
    """Debiased Sinkhorn divergence of pathway activities, divided by their number (Eq. 8).

    Squared Euclidean cost, log domain, epsilon relative to the mean cost: on the released code's
    plain-domain, absolute epsilon nearly the whole kernel underflows and the loss is dead.

    **Fields:** `weights`, `S`; `activities`, the cached `A = X S^T` of all training cells.
    """

    weights: Float[Array, "pathways genes"]
    activities: Float[Array, "all_cells pathways"]
    epsilon: float = 0.1
    iterations: int = 100

    def __call__(
        self,
        predicted: Float[Array, "groups cells genes"],
        groups: Int[Array, " groups"],
        rows: Int[Array, "groups cells"],
    ) -> Scalar:
        found = predicted @ self.weights.T
        divergence = lambda x, y: (
            sinkhorn_divergence(x, y, epsilon=self.epsilon, iterations=self.iterations).value
        )
        return jnp.mean(jax.vmap(divergence)(found, self.activities[rows])) / self.weights.shape[0]
