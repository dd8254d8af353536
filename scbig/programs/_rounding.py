"""From a transport plan to a hard partition of given cluster sizes."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from .._typing import Array, Float, Int


@functools.partial(jax.jit, static_argnames=("clusters",))
def balanced_capacities(
    start_labels: Int[Array, " genes"], clusters: int
) -> Int[Array, " clusters"]:
    """Cluster sizes that sum to the genes and differ by at most one.

    The larger ones go to the clusters that `start_labels` filled most; ties to the lower index.
    """
    base, extra = divmod(start_labels.shape[0], clusters)
    filled = jnp.bincount(start_labels, length=clusters)
    by_size = jnp.argsort(-filled, stable=True)
    larger = (jnp.arange(clusters) < extra).astype(jnp.int32)
    return jnp.full((clusters,), base, jnp.int32).at[by_size].add(larger)


@jax.jit
def round_to_capacities(
    scores: Float[Array, "genes clusters"],
    costs: Float[Array, "genes clusters"],
    capacities: Int[Array, " clusters"],
) -> Int[Array, " genes"]:
    """The greedy assignment of genes to clusters by decreasing score, in parallel.

    Defined by the sequential loop: visit all (gene, cluster) pairs by decreasing score (ties:
    lower cost, then lower gene index, then lower cluster index); accept a pair if the gene is
    free and the cluster has room. Genes and clusters rank pairs by this one order, so the result
    is their only stable matching, and deferred acceptance finds it: each gene proposes to the
    best cluster that has not rejected it, each cluster keeps its best proposals. There are about
    as many rounds as clusters, each a sort of the genes.

    **Arguments:**

    - `scores`: what to maximise; the log of a transport plan gives the same labels as the plan,
      without its underflow.
    - `costs`: breaks ties of `scores`.
    - `capacities`: the most genes of each cluster.

    **Returns:** the cluster of each gene; -1 for a gene that found no room, which happens only
    if the capacities sum to less than the genes.

    Step 4 of Gene-Relation Clustering.
    """
    genes, clusters = scores.shape
    index = lax.broadcasted_iota(jnp.int32, scores.shape, 1)
    # Each gene's preferences, best first. The sort is stable, so ties go to the lower cluster.
    ranked = lax.sort((-scores, costs, index), dimension=1, num_keys=2, is_stable=True)
    # Behind the last cluster is one with room for all, so that proposals always come to an end.
    loss, cost, choice = (
        jnp.pad(array, ((0, 0), (0, 1)), constant_values=fill)
        for array, fill in zip(ranked, (0, 0, clusters), strict=True)
    )
    room = jnp.append(capacities.astype(jnp.int32), jnp.int32(genes))
    gene = jnp.arange(genes)

    def propose(state):
        rejections, _ = state
        proposal = choice[gene, rejections]
        # Proposals of a cluster side by side, best first; stable, so ties go to the lower gene.
        order = jnp.lexsort((cost[gene, rejections], loss[gene, rejections], proposal))
        cluster = proposal[order]
        place = gene - jnp.searchsorted(cluster, cluster)
        rejected = jnp.zeros((genes,), bool).at[order].set(place >= room[cluster])
        return rejections + rejected.astype(jnp.int32), jnp.any(rejected)

    start = jnp.zeros((genes,), jnp.int32), jnp.ones((), bool)
    rejections, _ = lax.while_loop(lambda state: state[1], propose, start)
    labels = choice[gene, rejections]
    return jnp.where(labels < clusters, labels, -1)
