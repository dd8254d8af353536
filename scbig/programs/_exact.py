"""The cheapest partition of given program sizes: the exact alternative to greedy rounding."""

import jax
import jax.numpy as jnp
from jax import lax

from .._typing import Array, Float, Int

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
    - `prices`: any; with the column potentials of a transport plan few steps are left.

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
