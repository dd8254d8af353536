"""How many genes each program may hold."""

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


def size_bounds(genes: int, clusters: int, tolerance: float) -> tuple[int, int]:
    """Least and greatest size of a program, if sizes may leave the mean by a share of it.

    **Arguments:** `tolerance`, in [0, 1): 0.1 allows all sizes within 10 % of `genes / clusters`.
    The two balanced sizes are always allowed, and a program has at least one gene.
    """
    mean = genes / clusters
    # Sizes within rounding of a bound are inside: 1.1 * 10 is 11.000000000000002.
    inside = [
        size
        for size in range(1, genes + 1)
        if abs(size - mean) <= tolerance * mean + 1e-9 or size in (int(mean), -int(-mean // 1))
    ]
    return inside[0], inside[-1]


@functools.partial(jax.jit, static_argnames=("genes", "lower", "upper"))
def capacities_within(
    mass: Float[Array, " clusters"], genes: int, lower: int, upper: int
) -> Int[Array, " clusters"]:
    """Whole sizes between two bounds that sum to `genes`, near the mass a plan sends each way.

    **Arguments:** `mass`, of each cluster, in genes. The largest remainders are rounded up first;
    ties to the lower index.
    """

    def settle(sizes: Int[Array, " clusters"]) -> Int[Array, " clusters"]:
        # A plan meets its marginals only nearly: one unit a cluster at a time until all fits.
        left = genes - jnp.sum(sizes)
        sign = jnp.sign(left)
        free = jnp.where(left > 0, sizes < upper, sizes > lower)
        gain = jnp.where(
            free, sign.astype(mass.dtype) * (mass - sizes.astype(mass.dtype)), -jnp.inf
        )
        place = jnp.argsort(jnp.argsort(-gain, stable=True), stable=True)
        return sizes + jnp.where(free & (place < jnp.abs(left)), sign, 0).astype(jnp.int32)

    start = jnp.clip(jnp.floor(mass).astype(jnp.int32), lower, upper)
    return lax.while_loop(lambda sizes: jnp.sum(sizes) != genes, settle, start)
