"""Programs that share genes (Table 6b), in the form that the encoder reads."""

import jax
import jax.numpy as jnp
import numpy as np

from .. import ot
from .._typing import Array, Bool, Expression, Float, Int, Slots
from .._value import Value, real, whole
from ._cost import Relations
from ._partition import AbstractPartition, GenePartition
from ._rounding import round_to_capacities

# A smaller share of a gene does not get a slot.
_LEAST_SHARE = 1e-3


class SoftPartition(AbstractPartition):
    """Every gene in slots of several programs, each with a share of it; its shares sum to one.

    `gather` and `scatter` weigh with the square root of the share, so that one undoes the other
    and a cell's norm is kept. Where a gene has fewer programs than there is room for, the rest
    have share zero and no slot.
    """

    labels: Int[Array, " genes"]
    members: Int[Array, "clusters slots"]
    mask: Bool[Array, "clusters slots"]
    programs: Int[Array, "genes overlap"]
    """The programs of each gene, of decreasing share."""
    shares: Float[Array, "genes overlap"]
    slot: Int[Array, "genes overlap"]
    """The slot that the gene has in each of its programs."""
    held: Float[Array, "clusters slots"]
    """The share of its gene that a slot holds; 0 in the padding."""

    @staticmethod
    def from_shares(
        programs: Int[Array | np.ndarray, "genes overlap"],
        shares: Float[Array | np.ndarray, "genes overlap"],
        clusters: int,
    ) -> "SoftPartition":
        """The partition with these shares of each gene, scaled to sum to one.

        **Arguments:** `programs`, distinct for each gene where its share is
        not zero; `shares`, not negative, some positive.
        Shares below a thousandth of a gene are left out.

        **Raises:** `ValueError` if a gene has no share, or the same program twice.
        """
        programs, shares = np.asarray(programs), np.asarray(shares, np.float64)
        genes, overlap = programs.shape
        used = np.sort(np.where(shares > 0, programs, -1 - np.arange(overlap)), axis=1)
        repeated = np.flatnonzero((np.diff(used, axis=1) == 0).any(axis=1))
        total = shares.sum(axis=1, keepdims=True)
        lost = np.flatnonzero(~(total[:, 0] > 0) | (shares < 0).any(axis=1))
        if repeated.size or lost.size:
            raise ValueError(
                f"{repeated.size} genes have the same program twice and {lost.size} no share or a "
                f"negative one; the first: {[*repeated[:3].tolist(), *lost[:3].tolist()]}."
            )
        shares = shares / total
        shares = np.where(shares < _LEAST_SHARE, 0, shares)
        shares = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
        order = np.argsort(-shares, axis=1, kind="stable")
        programs = np.take_along_axis(programs, order, axis=1).astype(np.int32)
        shares = np.take_along_axis(shares, order, axis=1)
        # Each share is an item of one program: the slots of a hard partition, one item each.
        item = np.flatnonzero(shares.ravel())
        hard = GenePartition.from_labels(programs.ravel()[item], clusters)
        slot = np.zeros(genes * overlap, np.int32)
        slot[item] = np.asarray(hard.slot)
        members, mask = item[np.asarray(hard.members)], np.asarray(hard.mask)
        return SoftPartition(
            labels=jnp.asarray(programs[:, 0]),
            members=jnp.asarray(np.where(mask, members // overlap, 0), jnp.int32),
            mask=hard.mask,
            programs=jnp.asarray(programs),
            shares=jnp.asarray(shares),
            slot=jnp.asarray(slot.reshape(genes, overlap)),
            held=jnp.asarray(np.where(mask, shares.ravel()[members], 0), jnp.float32),
        )

    def gather(self, x: Expression) -> Slots:
        """One cell's genes, times the root of their share, in their slots."""
        return jnp.sqrt(self.held) * x[self.members]

    def scatter(self, slots: Slots) -> Expression:
        """The inverse of `gather` on genes: the sum of their slots times the root of the share."""
        return jnp.sum(jnp.sqrt(self.shares) * slots[self.programs, self.slot], axis=1)

    def average(self, x: Expression) -> Float[Array, " clusters"]:
        """Mean over the genes of each program, weighted by its shares; 0 for an empty one."""
        total = jnp.sum(self.held, axis=1)
        return jnp.sum(self.held * x[self.members], axis=1) / jnp.where(total > 0, total, 1.0)

    def averaging(self) -> Float[Array, "genes clusters"]:
        """The matrix whose product with expression is `average`."""
        total = jnp.sum(self.held, axis=1)
        weight = self.held / jnp.where(total > 0, total, 1.0)[:, None]
        program = jnp.arange(self.clusters)[:, None]
        empty = jnp.zeros((self.num_genes, self.clusters), weight.dtype)
        return empty.at[self.members, program].add(weight)


class Soft(Value):
    """Shares genes out among programs (Table 6b).

    **Fields:** `temperature`, entropic regularisation of the plan whose rows are the shares;
    `overlap`, the most programs that share a gene.
    """

    temperature: float = real(0.1, above=0)
    overlap: int = whole(3, least=2)

    def __call__(
        self,
        relations: Relations,
        partition: GenePartition,
        *,
        iterations: int,
        threshold: float,
    ) -> tuple[SoftPartition, ot.BalancedPlan]:
        """Shares of every gene by the plan of the hard programs' costs.

        A gene's shares are its row of the plan. It is shared by its hard program and up to
        `overlap - 1` others, which are found as the hard ones are: by rounding the plan to the
        programs' sizes, once for each, without the pairs that are taken. So no program holds more
        than `overlap` times its hard size, even of genes of which nothing is known, whose shares
        are equal.

        **Returns:** the soft programs, and the plan, whose convergence the caller looks at.
        """
        cost = relations.cost(partition.labels, partition.clusters)
        genes = partition.num_genes
        plan = ot.balanced_plan(
            cost,
            jnp.full((genes,), 1 / genes, cost.dtype),
            partition.sizes.astype(cost.dtype) / genes,
            epsilon=jnp.asarray(self.temperature, cost.dtype),
            iterations=iterations,
            threshold=threshold,
        )
        row, size, hard = jnp.arange(genes), partition.sizes, partition.labels
        programs, masses = [hard], [plan.log_matrix[row, hard]]
        taken = jnp.zeros(cost.shape, bool).at[row, hard].set(True)
        for _ in range(self.overlap - 1):
            free = jnp.where(taken, jnp.finfo(cost.dtype).min, plan.log_matrix)
            more = round_to_capacities(free, cost, size)
            # The last genes may find room only where they are already.
            masses.append(jnp.where(taken[row, more], -jnp.inf, plan.log_matrix[row, more]))
            programs.append(more)
            taken = taken.at[row, more].set(True)
        # Among the chosen ones alone: of the whole row they may be too little for float32.
        shares = jax.nn.softmax(jnp.stack(masses, axis=1), axis=1)
        chosen = jnp.stack(programs, axis=1)
        return SoftPartition.from_shares(chosen, shares, partition.clusters), plan
