"""The start of Gene-Relation Clustering."""

import functools

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from ott.tools.k_means import k_means

from .._foreign import lenient_promotion
from .._typing import Array, Float, Int, PRNGKeyArray


@functools.partial(jax.jit, static_argnames=("clusters", "starts"))
def kmeans_labels(
    points: Float[Array, "points features"], clusters: int, *, starts: int, key: PRNGKeyArray
) -> Int[Array, " points"]:
    """k-means labels, the best by inertia of `starts` k-means++ starts.

    Labels lie in `[0, clusters)`; a cluster may be empty when points coincide.
    """
    if not 1 <= clusters <= points.shape[0]:
        raise ValueError(
            f"k-means needs 1 <= clusters <= points: got {clusters} clusters for "
            f"{points.shape[0]} points. Ask for fewer clusters."
        )

    def run(key: PRNGKeyArray):
        with lenient_promotion():
            found = k_means(points, clusters, n_init=1, rng=key)
        return jnp.asarray(found.assignment, jnp.int32), found.error

    # One after another: side by side, every start would take as many steps as the slowest, and
    # as much memory as all of them.
    labels, inertia = lax.map(run, jr.split(key, starts))
    return labels[jnp.argmin(inertia)]
