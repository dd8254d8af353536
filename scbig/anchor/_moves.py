"""How control cells are moved before the flow: a shift, and a linear map around their mean."""

import equinox as eqx
import jax
import jax.numpy as jnp

from scbig._typing import Array, Bool, Expression, ExpressionBatch, Float, Int

from ._states import States


class Moves(eqx.Module):
    """An affine map of cells for each group, a condition in a context, and what is added at last.

    **Fields:** `shift`, by which the mean moves before the flow, in log units: of a seen condition
    too, what the others make one expect; `stretch`, the linear map of a cell's scores less the
    identity: cells keep their differences where it is zero; `axes`, orthonormal, on which the
    scores are taken; `rest`, by which the mean moves after the flow: of a seen condition, what its
    own cells say beyond that; `open`, the share of the flow's change of the mean that is let in:
    none where the mean was measured; `states`, what differs between states of cells, `None` for
    nothing.
    """

    shift: Float[Array, "*groups genes"]
    stretch: Float[Array, "*groups components components"]
    axes: Float[Array, "components genes"]
    rest: Float[Array, "*groups genes"]
    open: Float[Array, "*groups"]
    states: States | None = None

    def __getitem__(self, groups: int | Int[Array, "..."]) -> "Moves":
        """One of many groups, or some of them."""
        own = self.shift[groups], self.stretch[groups], self.axes
        states = None if self.states is None else self.states[groups]
        return Moves(*own, self.rest[groups], self.open[groups], states)

    def drawn(self, cells: ExpressionBatch, centre: Expression) -> Int[Array, " cells"]:
        """Rows of the controls that one group starts from: as many, in the group's proportions.

        All of them, in order, where its proportions are the controls'.
        """
        number = cells.shape[0]
        if self.states is None:
            return jnp.arange(number)
        kept = self.states.kept((cells - centre[None]) @ self.axes.T)
        steps = jnp.cumsum(kept) / jnp.sum(kept)
        middles = (jnp.arange(number, dtype=cells.dtype) + 0.5) / number
        found = jnp.minimum(jnp.searchsorted(steps, middles), number - 1)
        # Sums of many cells are rounded: where nothing is rarer every cell is taken once.
        return jnp.where(jnp.any(self.states.weights != 0), found, jnp.arange(number))

    def __call__(self, cells: ExpressionBatch, centre: Expression) -> ExpressionBatch:
        """Drawn cells of one group, moved.

        **Arguments:** `centre`, the mean of all controls; without states, cells of this mean move
        by `shift` on average.
        """
        scores = (cells - centre[None]) @ self.axes.T
        local = 0.0 * scores if self.states is None else self.states.changes(scores)
        change = local + (scores + local) @ self.stretch.T
        return cells + self.shift[None] + change @ self.axes

    def whole(self, cells: ExpressionBatch, centre: Expression) -> ExpressionBatch:
        """Drawn cells of one group as they are predicted without any flow."""
        return self(cells, centre) + self.rest[None]


@jax.jit
def nonnegative(cells: ExpressionBatch) -> ExpressionBatch:
    """The nearest cells without negative expression that have the same mean, gene by gene.

    What falls below zero becomes zero, and the others fall by as much as that added: clipping
    alone would raise every gene that is rarely expressed. A gene whose mean is negative, which no
    population can have, becomes zero in every cell.

    Michelot, A finite algorithm for finding the projection of a point onto the canonical simplex
    of R^n (1986).
    """
    wanted = jnp.maximum(jnp.sum(cells, axis=0), 0.0)

    def lower(state: tuple[Expression, Bool[Array, ""]]) -> tuple[Expression, Bool[Array, ""]]:
        fall, _ = state
        above = cells > fall[None]
        count = jnp.maximum(jnp.sum(above, axis=0, dtype=cells.dtype), 1.0)
        new = jnp.maximum(jnp.sum(jnp.where(above, cells, 0.0), axis=0) - wanted, 0.0) / count
        # Each round can only leave fewer cells above zero: it ends.
        return jnp.maximum(new, fall), jnp.any(new > fall * (1 + 1e-6) + 1e-12)

    start = jnp.zeros(cells.shape[1], cells.dtype), jnp.ones((), bool)
    fall, _ = jax.lax.while_loop(lambda state: state[1], lower, start)
    # Not by the rounding of two sums, where nothing is to be done.
    fall = jnp.where(jnp.any(cells < 0, axis=0), fall, 0.0)
    return jnp.where((wanted > 0)[None], jnp.maximum(cells - fall[None], 0.0), 0.0)


@jax.jit
def move(moves: Moves, cells: ExpressionBatch, centre: Expression) -> ExpressionBatch:
    """`moves.whole(cells, centre)`, compiled."""
    return moves.whole(cells, centre)


@jax.jit
def draw(moves: Moves, cells: ExpressionBatch, centre: Expression) -> Int[Array, " cells"]:
    """`moves.drawn(cells, centre)`, compiled."""
    return moves.drawn(cells, centre)
