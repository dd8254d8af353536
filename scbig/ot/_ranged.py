"""Entropic optimal transport whose column masses are free between two bounds."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import logsumexp

from .._typing import Array, Float, Scalar
from ._plan import CHECK_EVERY, BalancedPlan


@functools.partial(jax.jit, static_argnames=("iterations",))
def ranged_plan(
    cost: Float[Array, "rows columns"],
    row_mass: Float[Array, " rows"],
    lower: Float[Array, " columns"],
    upper: Float[Array, " columns"],
    *,
    epsilon: float | Scalar,
    iterations: int,
    threshold: float | Scalar,
    start: tuple[Float[Array, " rows"], Float[Array, " columns"]] | None = None,
) -> BalancedPlan:
    r"""The plan of least $\langle T, C\rangle + \epsilon\, KL(T)$ with column masses in a range.

    Each column's potential is moved to the bound that its mass exceeds, or to zero if that leaves
    it between them: the exact maximiser of the dual in that block, so the dual rises with every
    step. ott-jax has no such constraint.

    **Arguments:** as in `balanced_plan`; `lower` and `upper`, the least and greatest mass of each
    column, between whose sums that of `row_mass` lies.

    **Returns:** the plan; `error` is the L1 error of the row masses plus the mass that columns
    would still move. Look at `converged`.

    Chizat et al. 2018, section 5 (the range constraint).
    """
    log_row, low, high = jnp.log(row_mass), jnp.log(lower), jnp.log(upper)
    # Where a column's potential rests: the KL is to the rows times the middle of the range.
    rest = epsilon * jnp.log((lower + upper) / 2)

    def rows(g):
        return epsilon * (log_row - logsumexp((g[None, :] - cost) / epsilon, axis=1))

    def resting(f):
        """Log mass of the columns, if each were at rest."""
        return logsumexp((f[:, None] + rest[None, :] - cost) / epsilon, axis=0)

    def update(_, g):
        free = resting(rows(g))
        return rest + epsilon * (jnp.clip(free, low, high) - free)

    def finish(g, count):
        f = rows(g)  # the rows fit exactly, so the columns carry the error
        log_matrix = (f[:, None] + g[None, :] - cost) / epsilon
        matrix = jnp.exp(log_matrix)
        # Zero only at the optimum: a column inside its range must also be at rest.
        wanted = jnp.exp(jnp.clip(resting(f), low, high))
        error = jnp.sum(jnp.abs(jnp.sum(matrix, axis=0) - wanted))
        error = error + jnp.sum(jnp.abs(jnp.sum(matrix, axis=1) - row_mass))
        duals = (f - epsilon * log_row)[:, None] + (g - rest)[None, :]
        return BalancedPlan(
            log_matrix=log_matrix,
            potentials=(f, g),
            value=jnp.sum(matrix * duals),
            iterations=count,
            error=error,
            converged=error <= threshold,
        )

    def advance(state):
        g, plan = state
        g = lax.fori_loop(0, every, update, g)
        return g, finish(g, plan.iterations + every)

    every = min(CHECK_EVERY, iterations)
    g = rest if start is None else start[1]
    going = lambda state: (state[1].iterations < iterations) & ~state[1].converged
    return lax.while_loop(going, advance, (g, finish(g, jnp.zeros((), jnp.int32))))[1]
