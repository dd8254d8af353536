"""The start of Gene-Relation Clustering."""

import functools

import jax
import jax.numpy as jnp
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
    with lenient_promotion():
        labels = k_means(points, clusters, n_init=starts, rng=key).assignment
    return jnp.asarray(labels, jnp.int32)
