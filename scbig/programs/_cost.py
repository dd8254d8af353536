"""What it costs to put a gene into a program (Eq. 1)."""

import jax
import jax.numpy as jnp
from jax import lax

from .._typing import Array, Float, Int, Scalar

# Cosine distances below this are rounding in float32: not to be blown up to one.
_SAME = 1e-5


def unit_rows(x: Float[Array, "rows features"]) -> Float[Array, "rows features"]:
    """Rows scaled to length one; a zero row stays zero, at cosine distance 1 from everything."""
    norm = jnp.linalg.norm(x, axis=1, keepdims=True)
    return x / jnp.where(norm > 0, norm, jnp.ones_like(norm))


def centroids(
    unit: Float[Array, "genes features"], labels: Int[Array, " genes"], clusters: int
) -> Float[Array, "clusters features"]:
    r"""$\mu_k$: the normalised mean of a cluster's unit embeddings; zero for an empty cluster."""
    return unit_rows(jax.ops.segment_sum(unit, labels, num_segments=clusters))


def semantic_cost(
    unit: Float[Array, "genes features"], means: Float[Array, "clusters features"]
) -> Float[Array, "genes clusters"]:
    r"""$D_{sem}$: $1 - \cos(E_i, \mu_k)$ divided by its maximum over all genes and clusters."""
    cosine = jnp.matmul(unit, means.T, precision=lax.Precision.HIGHEST)
    distance = jnp.maximum(1 - cosine, 0)
    largest = jnp.max(distance)
    return distance / jnp.where(largest > _SAME, largest, jnp.ones_like(largest))


def interaction_cost(
    source: Int[Array, " edges"],
    target: Int[Array, " edges"],
    labels: Int[Array, " genes"],
    clusters: int,
) -> Float[Array, "genes clusters"]:
    r"""$D_{ppi}$: 1 - (neighbours of gene $i$ in cluster $k$) / (genes in cluster $k$).

    `source`, `target` hold each interaction in both directions; memory grows with the edges,
    never with pairs of genes. An empty cluster has no neighbours in it: cost 1.
    """
    neighbours = jnp.zeros((labels.shape[0], clusters)).at[source, labels[target]].add(1.0)
    sizes = jnp.bincount(labels, length=clusters)
    return 1 - neighbours / jnp.maximum(sizes, 1).astype(neighbours.dtype)[None, :]


def relation_cost(
    unit: Float[Array, "genes features"],
    source: Int[Array, " edges"],
    target: Int[Array, " edges"],
    labels: Int[Array, " genes"],
    clusters: int,
    *,
    semantic_weight: float | Scalar,
    interaction_weight: float | Scalar,
) -> Float[Array, "genes clusters"]:
    """Eq. 1: the weighted sum of both costs, for the clusters that `labels` describes."""
    semantic = semantic_cost(unit, centroids(unit, labels, clusters))
    interaction = interaction_cost(source, target, labels, clusters)
    return semantic_weight * semantic + interaction_weight * interaction
