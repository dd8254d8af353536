"""Which gene belongs to which program, of what sizes, and the way between genes and slots."""

import abc
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from .._typing import Array, Bool, Expression, Float, Int, Slots


class AbstractPartition(eqx.Module):
    """Genes in the slots of programs: how an encoder reads them, and a decoder writes them."""

    labels: eqx.AbstractVar[Int[Array, " genes"]]
    """The program of each gene; of its largest share, if several have one."""
    members: eqx.AbstractVar[Int[Array, "clusters slots"]]
    """The gene in each slot; 0 in the padding, so that it can always be indexed with."""
    mask: eqx.AbstractVar[Bool[Array, "clusters slots"]]
    """True where a slot holds a gene."""

    @abc.abstractmethod
    def gather(self, x: Expression) -> Slots:
        """One cell's genes in their slots; zero in the padding."""

    @abc.abstractmethod
    def scatter(self, slots: Slots) -> Expression:
        """The inverse of `gather` on genes; what is in the padding is ignored."""

    @abc.abstractmethod
    def average(self, x: Expression) -> Float[Array, " clusters"]:
        """Mean over the genes of each program; 0 for an empty one."""

    @abc.abstractmethod
    def averaging(self) -> Float[Array, "genes clusters"]:
        """The matrix whose product with expression is the mean of each program; 0 if empty."""

    @property
    def num_genes(self) -> int:
        """Number of genes."""
        return self.labels.shape[0]

    @property
    def clusters(self) -> int:
        """Number of programs."""
        return self.members.shape[0]

    @property
    def slots(self) -> int:
        """Slots of each program, filled or not."""
        return self.members.shape[1]

    @property
    def sizes(self) -> Int[Array, " clusters"]:
        """Genes of each program."""
        return jnp.sum(self.mask, axis=1, dtype=jnp.int32)


class GenePartition(AbstractPartition):
    """Every gene in one slot of one program: gene `g` is in slot `slot[g]` of `labels[g]`.

    A program's genes fill its first slots in the order of their indices; the rest is padding.
    """

    labels: Int[Array, " genes"]
    slot: Int[Array, " genes"]
    members: Int[Array, "clusters slots"]
    """The gene in each slot; 0 in the padding, so that it can always be indexed with."""
    mask: Bool[Array, "clusters slots"]
    """True where a slot holds a gene."""

    @staticmethod
    def from_labels(
        labels: Int[Array | np.ndarray, " genes"],
        clusters: int,
        *,
        slots: int | None = None,
    ) -> "GenePartition":
        """The partition in which gene `g` belongs to program `labels[g]`.

        **Arguments:**

        - `labels`: in `[0, clusters)`. Programs may be empty.
        - `clusters`: number of programs.
        - `slots`: of each program; the size of the largest one by default. Inside `jit` it must
          be given, because it is a shape.

        **Raises:** `ValueError` if labels are out of range or a program has more genes than
        slots. Inside `jit` there are no values to look at, and neither is checked.
        """
        if isinstance(labels, Tracer):
            if slots is None:
                raise ValueError("GenePartition.from_labels inside jit needs `slots`, a shape.")
        else:
            slots = _checked_slots(np.asarray(labels), clusters, slots)
        return _partition(jnp.asarray(labels, jnp.int32), clusters, slots)

    def gather(self, x: Expression) -> Slots:
        """One cell's genes in their slots; zero in the padding."""
        return jnp.where(self.mask, x[self.members], jnp.zeros((), x.dtype))

    def scatter(self, slots: Slots) -> Expression:
        """The inverse of `gather` on genes; what is in the padding is ignored."""
        return slots[self.labels, self.slot]

    def average(self, x: Expression) -> Float[Array, " clusters"]:
        """Mean over the genes of each program; 0 for an empty one."""
        return jnp.sum(self.gather(x), axis=1) / jnp.maximum(self.sizes, 1).astype(x.dtype)

    def averaging(self) -> Float[Array, "genes clusters"]:
        """The matrix whose product with expression is `average`."""
        share = 1 / jnp.maximum(self.sizes, 1).astype(jnp.float32)
        empty = jnp.zeros((self.num_genes, self.clusters), jnp.float32)
        return empty.at[jnp.arange(self.num_genes), self.labels].set(share[self.labels])


@functools.partial(jax.jit, static_argnames=("clusters", "slots"))
def _partition(labels: Int[Array, " genes"], clusters: int, slots: int) -> GenePartition:
    genes = jnp.arange(labels.shape[0], dtype=jnp.int32)
    order = jnp.argsort(labels, stable=True)
    sizes = jnp.bincount(labels, length=clusters)
    first = jnp.cumsum(sizes) - sizes
    slot = jnp.zeros_like(genes).at[order].set(genes - first[labels[order]])
    return GenePartition(
        labels=labels,
        slot=slot,
        members=jnp.zeros((clusters, slots), jnp.int32).at[labels, slot].set(genes),
        mask=jnp.arange(slots)[None, :] < sizes[:, None],
    )


def _checked_slots(labels: np.ndarray, clusters: int, slots: int | None) -> int:
    """The number of slots, once the labels are known to fit."""
    outside = np.flatnonzero((labels < 0) | (labels >= clusters))
    if outside.size:
        raise ValueError(
            f"{outside.size} of {labels.size} labels lie outside [0, {clusters}); the first: "
            f"gene {outside[0]} has label {labels[outside[0]]}. Relabel them or raise `clusters`."
        )
    largest = int(np.bincount(labels, minlength=1).max())
    if slots is not None and slots < largest:
        raise ValueError(
            f"The largest program has {largest} genes but slots={slots}. Raise `slots`, or leave "
            "it out."
        )
    return largest if slots is None else slots


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
