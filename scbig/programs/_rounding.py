"""From a plan of optimal transport to a hard partition of given cluster sizes."""

import abc

import jax
import jax.numpy as jnp
from jax import lax

from .. import ot
from .._typing import Array, Float, Int
from .._value import Value


class AbstractRounding(Value):
    """From a plan of optimal transport to one program for each gene."""

    @abc.abstractmethod
    def __call__(
        self,
        plan: ot.BalancedPlan,
        costs: Float[Array, "genes clusters"],
        capacities: Int[Array, " clusters"],
    ) -> Int[Array, " genes"]:
        """Returns the program of each gene; program `k` gets `capacities[k]` of them.

        **Arguments:** `plan`, of genes to programs; `costs`, that it was made for.
        """


class GreedyRounding(AbstractRounding):
    """By decreasing mass of the plan: `round_to_capacities` (the paper's)."""

    def __call__(
        self,
        plan: ot.BalancedPlan,
        costs: Float[Array, "genes clusters"],
        capacities: Int[Array, " clusters"],
    ) -> Int[Array, " genes"]:
        return round_to_capacities(plan.log_matrix, costs, capacities)


class ExactRounding(AbstractRounding):
    """The assignment of least cost: `cheapest_assignment`."""

    def __call__(
        self,
        plan: ot.BalancedPlan,
        costs: Float[Array, "genes clusters"],
        capacities: Int[Array, " clusters"],
    ) -> Int[Array, " genes"]:
        return cheapest_assignment(costs, capacities, plan.potentials[1])


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
    best cluster that would have it, each cluster keeps its best proposals. A full cluster's worst
    gene is a bar that only rises, so a gene passes over all clusters whose bar it misses: at
    20,000 genes and 256 clusters that takes ten rounds where proposing in turn takes 240.

    **Arguments:**

    - `scores`: what to maximise; the log of a plan gives the same labels as the plan,
      without its underflow.
    - `costs`: breaks ties of `scores`.
    - `capacities`: the most genes of each cluster.

    **Returns:** the cluster of each gene; -1 for a gene that found no room, which happens only
    if the capacities sum to less than the genes.

    Step 4 of Gene-Relation Clustering.
    """
    genes, clusters = scores.shape
    gene = jnp.arange(genes, dtype=jnp.int32)
    # Behind the last cluster is one with room for all, so that proposals always come to an end.
    room = jnp.append(capacities.astype(jnp.int32), jnp.int32(genes))

    def propose(state):
        (bar_loss, bar_cost, bar_gene), _, _ = state
        proposal = _best_open(-scores, costs, bar_loss[:-1], bar_cost[:-1], bar_gene[:-1])
        lost = proposal == clusters
        at = gene, jnp.minimum(proposal, clusters - 1)
        loss, cost = jnp.where(lost, 0, -scores[at]), jnp.where(lost, 0, costs[at])
        # Proposals of a cluster side by side, best first; stable, so ties go to the lower gene.
        order = jnp.lexsort((cost, loss, proposal)).astype(jnp.int32)
        first = jnp.searchsorted(proposal[order], jnp.arange(clusters + 1), side="left")
        count = jnp.bincount(proposal, length=clusters + 1)
        worst = order[jnp.clip(first + room - 1, 0, genes - 1)]
        full = (count >= room) & (room > 0)
        closed = room == 0
        bars = (
            jnp.where(full, loss[worst], jnp.where(closed, -jnp.inf, bar_loss)),
            jnp.where(full, cost[worst], bar_cost),
            jnp.where(full, worst, bar_gene),
        )
        return bars, proposal, jnp.any(count > room)

    bars = (
        jnp.full((clusters + 1,), jnp.inf, scores.dtype),
        jnp.full((clusters + 1,), jnp.inf, costs.dtype),
        jnp.full((clusters + 1,), genes, jnp.int32),
    )
    start = bars, jnp.zeros((genes,), jnp.int32), jnp.ones((), bool)
    _, labels, _ = lax.while_loop(lambda state: state[2], propose, start)
    return jnp.where(labels < clusters, labels, -1)


def _best_open(
    losses: Float[Array, "genes clusters"],
    costs: Float[Array, "genes clusters"],
    bar_loss: Float[Array, " clusters"],
    bar_cost: Float[Array, " clusters"],
    bar_gene: Int[Array, " clusters"],
) -> Int[Array, " genes"]:
    """Each gene's best cluster among those whose bar it reaches; one past the last if none."""
    gene = jnp.arange(losses.shape[0], dtype=jnp.int32)[:, None]
    same = losses == bar_loss[None, :]
    ahead = (costs < bar_cost[None, :]) | (
        (costs == bar_cost[None, :]) & (gene <= bar_gene[None, :])
    )
    reached = (losses < bar_loss[None, :]) | (same & ahead)
    least = jnp.min(jnp.where(reached, losses, jnp.inf), axis=1, keepdims=True)
    tied = reached & (losses == least)
    best = jnp.argmin(jnp.where(tied, costs, jnp.inf), axis=1).astype(jnp.int32)
    return jnp.where(jnp.any(reached, axis=1), best, losses.shape[1])


# Arcs of equal cost both ways may look negative by rounding in float32.
_GAIN = 1e-7


@jax.jit
def cheapest_assignment(
    costs: Float[Array, "genes clusters"],
    capacities: Int[Array, " clusters"],
    prices: Float[Array, " clusters"],
) -> Int[Array, " genes"]:
    """The assignment of least total cost in which no cluster is over its capacity.

    Successive shortest paths on the graph of the clusters: every gene starts in the cluster of
    least `cost - price`, which is optimal for the sizes that it has; then, while a cluster is too
    full, one gene moves along each arc of the cheapest path from a cluster that is too full to
    one with room. Every step keeps the assignment optimal for its sizes, so the last one is.

    **Arguments:**

    - `capacities`: sum to the genes; or to more, if all prices are zero.
    - `prices`: any; with the column potentials of a plan few steps are left.

    **Returns:** the cluster of each gene; exact up to rounding in float32.
    """
    clusters = costs.shape[1]

    def arcs_from(labels, cluster):
        """What it costs to move the cheapest gene of a cluster to each other one."""
        own = costs[:, cluster][:, None]
        return jnp.min(jnp.where((labels == cluster)[:, None], costs - own, jnp.inf), axis=0)

    def augment(state):
        labels, arcs, sizes, count = state
        distance, before = _shortest(arcs, sizes > capacities)
        sink = jnp.argmin(jnp.where(sizes < capacities, distance, jnp.inf)).astype(jnp.int32)

        def step(state):
            labels, arcs, end, count = state
            cluster = before[end]
            gain = jnp.where(labels == cluster, costs[:, end] - costs[:, cluster], jnp.inf)
            labels = labels.at[jnp.argmin(gain)].set(end)
            return labels, arcs.at[end].set(arcs_from(labels, end)), cluster, count + 1

        going = lambda state: (before[state[2]] >= 0) & (state[3] < clusters)
        labels, arcs, source, _ = lax.while_loop(
            going, step, (labels, arcs, sink, jnp.zeros((), jnp.int32))
        )
        arcs = arcs.at[source].set(arcs_from(labels, source))
        return labels, arcs, sizes.at[sink].add(1).at[source].add(-1), count + 1

    labels = jnp.argmin(costs - prices[None, :], axis=1).astype(jnp.int32)
    arcs = lax.map(lambda cluster: arcs_from(labels, cluster), jnp.arange(clusters))
    sizes = jnp.bincount(labels, length=clusters).astype(jnp.int32)
    # No more steps than genes are ever needed; NaN would go on for ever.
    unfinished = lambda state: jnp.any(state[2] > capacities) & (state[3] <= len(labels))
    state = labels, arcs, sizes, jnp.zeros((), jnp.int32)
    return lax.while_loop(unfinished, augment, state)[0]


def _shortest(
    arcs: Float[Array, "clusters clusters"], source: Array
) -> tuple[Float[Array, " clusters"], Int[Array, " clusters"]]:
    """Bellman-Ford from all sources: distances, and the cluster before each on its path."""
    clusters = arcs.shape[0]

    def relax(state):
        distance, before, _, count = state
        through = distance[:, None] + arcs
        best = jnp.min(through, axis=0)
        shorter = best < distance - _GAIN
        before = jnp.where(shorter, jnp.argmin(through, axis=0).astype(jnp.int32), before)
        return jnp.where(shorter, best, distance), before, jnp.any(shorter), count + 1

    start = (
        jnp.where(source, 0.0, jnp.inf).astype(arcs.dtype),
        jnp.full((clusters,), -1, jnp.int32),
        jnp.ones((), bool),
        jnp.zeros((), jnp.int32),
    )
    going = lambda state: state[2] & (state[3] < clusters)
    distance, before, _, _ = lax.while_loop(going, relax, start)
    return distance, before
