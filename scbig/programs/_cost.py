"""What it costs to put a gene into a program (Eq. 1), and where rounds of lowering it led."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from .._typing import Array, Bool, Float, Int, Scalar

# Cosine distances below this are rounding in float32: not to be blown up to one.
_SAME = 1e-5


def unit_rows(x: Float[Array, "rows features"]) -> Float[Array, "rows features"]:
    """Rows scaled to length one; a zero row stays zero, at cosine distance 1 from everything."""
    # By the largest entry first: squares of very large or small ones leave the range of float32.
    largest = jnp.max(jnp.abs(x), axis=1, keepdims=True)
    x = x / jnp.where(largest > 0, largest, jnp.ones_like(largest))
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
    *,
    confidence: Float[Array, " edges"] | None = None,
) -> Float[Array, "genes clusters"]:
    r"""$D_{ppi}$: 1 - (neighbours of gene $i$ in cluster $k$) / (genes in cluster $k$).

    `source`, `target` hold each interaction in both directions; memory grows with the edges,
    never with pairs of genes. An empty cluster has no neighbours in it: cost 1. With `confidence`,
    in (0, 1], a neighbour counts as much as the interaction is sure.
    """
    amount = 1.0 if confidence is None else confidence
    neighbours = jnp.zeros((labels.shape[0], clusters)).at[source, labels[target]].add(amount)
    sizes = jnp.bincount(labels, length=clusters)
    return 1 - neighbours / jnp.maximum(sizes, 1).astype(neighbours.dtype)[None, :]


class Relations(eqx.Module):
    """What is known of how genes belong together, and how much each part of it weighs.

    **Fields:**

    - `unit`: gene embeddings of length one, or zero for a gene without one.
    - `source`, `target`, `confidence`: the interactions, each in both directions; `None` counts
        every one as sure.
    - `errors`: of a trained model, for each gene and training condition, rows of length one; or
        `None`. Genes that are predicted wrongly together then belong together (Table 6b).
    """

    unit: Float[Array, "genes features"]
    source: Int[Array, " edges"]
    target: Int[Array, " edges"]
    semantic_weight: Scalar
    interaction_weight: Scalar
    confidence: Float[Array, " edges"] | None = None
    errors: Float[Array, "genes conditions"] | None = None
    error_weight: Scalar | None = None

    @property
    def num_genes(self) -> int:
        """Number of genes."""
        return self.unit.shape[0]

    def cost(self, labels: Int[Array, " genes"], clusters: int) -> Float[Array, "genes clusters"]:
        """Eq. 1: the weighted costs of every gene in every cluster, as `labels` describes them."""
        semantic = semantic_cost(self.unit, centroids(self.unit, labels, clusters))
        interaction = interaction_cost(
            self.source, self.target, labels, clusters, confidence=self.confidence
        )
        total = self.semantic_weight * semantic + self.interaction_weight * interaction
        if self.errors is None or self.error_weight is None:
            return total
        profiles = semantic_cost(self.errors, centroids(self.errors, labels, clusters))
        return total + self.error_weight * profiles

    def mean_cost(self, labels: Int[Array, " genes"], clusters: int) -> Scalar:
        """Mean cost of a gene in its own cluster."""
        return jnp.mean(self.cost(labels, clusters)[jnp.arange(labels.shape[0]), labels])


class Alternation(eqx.Module):
    """Where one start of Gene-Relation Clustering led, and how."""

    labels: Int[Array, "*starts genes"]
    start: Int[Array, "*starts genes"]
    """Labels before the first round."""
    rounds: Int[Array, "*starts"]
    """Rounds of optimal transport and rounding that were run."""
    stable: Bool[Array, "*starts"]
    """Whether the last round changed no label, or took back what the one before had changed."""
    converged: Bool[Array, "*starts"]
    """Whether every round's plan met its marginals."""
    error: Float[Array, "*starts"]
    """The largest L1 marginal error of those plans."""
    mean_cost: Float[Array, "*starts steps"]
    """Mean cost (Eq. 1) of a gene in its own program: at the start, then after each round; the
    last one repeated. It need not fall in every round, because each round has its own costs."""


def unmoved(relations: Relations, labels: Int[Array, " genes"], clusters: int) -> Alternation:
    """Labels that no round has touched, in the form of an alternation."""
    return Alternation(
        labels=labels,
        start=labels,
        rounds=jnp.zeros((), jnp.int32),
        stable=jnp.ones((), bool),
        converged=jnp.ones((), bool),
        error=jnp.zeros(()),
        mean_cost=relations.mean_cost(labels, clusters)[None],
    )
