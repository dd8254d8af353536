"""Eq. 8 as the authors' released code computes it, to show what that does."""

import jax
import jax.numpy as jnp

from scbig._typing import Array, Float, Int, PRNGKeyArray, Scalar
from scbig._value import real, whole
from scbig.ot import squared_distances
from scbig.priors import PathwayLibrary
from scbig.programs import AbstractPartition
from scbig.sampling import CellIndex

from ._abstract import AbstractAlignment, MeasuredCells
from ._pathway import PathwayAlignment, PathwayFacts


def plain_transport(
    x: Float[Array, "rows features"],
    y: Float[Array, "columns features"],
    *,
    epsilon: float,
    iterations: int,
) -> tuple[Scalar, Scalar]:
    """The cost under a plan of matrix scaling, and the mass that the plan carries.

    Scaling is in the plain domain and `epsilon` is absolute: where the squared distances are some
    ninety times `epsilon`, the kernel is zero in single precision, and no mass is carried there.

    **Arguments:** `x`, `y`, two populations with uniform weights; `epsilon`, in squared units of
    these; `iterations`, all of them.
    """
    cost = squared_distances(x, y)
    kernel = jnp.exp(-cost / epsilon)
    a, b = (jnp.full(n, 1 / n, cost.dtype) for n in cost.shape)
    tiny = 1e-8

    def step(scales: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        left = a / (kernel @ scales[1] + tiny)
        return (left, b / (kernel.T @ left + tiny)), None

    (left, right), _ = jax.lax.scan(step, (jnp.ones_like(a), jnp.ones_like(b)), length=iterations)
    plan = left[:, None] * kernel * right[None, :]
    return jnp.sum(plan * cost), jnp.sum(plan)


class PlainPathwayAlignment(AbstractAlignment):
    """Transport of pathway activities in the plain domain, with an absolute epsilon, not debiased.

    Not for use: on real activities nearly the whole kernel underflows, little mass is carried, and
    the loss has next to no gradient (docs/choices.md). `PathwayAlignment` is what Eq. 8 means.

    **Fields:** `epsilon`, in squared units of activity; `iterations`, all of them; `pool` and
    `min_genes`, as in `PathwayAlignment`.
    """

    label = "pathway"
    reads = ("pathways",)

    epsilon: float = real(0.1, above=0)
    iterations: int = whole(100)
    pool: int | None = whole(None, least=2)
    min_genes: int = whole(3)

    def prepare(
        self,
        screen: MeasuredCells,
        index: CellIndex,
        partition: AbstractPartition,
        pathways: PathwayLibrary | None,
    ) -> PathwayFacts:
        """As `PathwayAlignment` does."""
        same = PathwayAlignment(pool=self.pool, min_genes=self.min_genes)
        return same.prepare(screen, index, partition, pathways)

    def __call__(
        self,
        predicted: Float[Array, "groups cells genes"],
        groups: Int[Array, " groups"],
        facts: PathwayFacts,
        *,
        key: PRNGKeyArray,
    ) -> Scalar:
        rows = facts.index.draw_cells(groups, predicted.shape[1], key=key)
        found = predicted @ facts.weights.T
        given = {"epsilon": self.epsilon, "iterations": self.iterations}
        cost = lambda x, y: plain_transport(x, y, **given)[0]
        return jnp.mean(jax.vmap(cost)(found, facts.activities[rows]))
