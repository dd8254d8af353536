"""Balanced entropic optimal transport in the log domain, with its failure as data."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
from ott.geometry.geometry import Geometry
from ott.problems.linear.linear_problem import LinearProblem
from ott.solvers.linear.acceleration import Momentum
from ott.solvers.linear.sinkhorn import Sinkhorn

from .._foreign import lenient_promotion
from .._typing import Array, Bool, Float, Int, Scalar

# Sinkhorn looks at its error once in so many iterations; the look costs as much as an iteration.
CHECK_EVERY = 10


class BalancedPlan(eqx.Module):
    """An entropic plan, and how well it meets its marginals."""

    log_matrix: Float[Array, "rows columns"]
    """Log of the mass sent from a row to a column; it orders masses that underflow."""
    potentials: tuple[Float[Array, " rows"], Float[Array, " columns"]]
    """Dual potentials `(f, g)`: the plan is `exp((f_i + g_j - C_ij) / epsilon)`."""
    value: Scalar
    """`<T, C> + epsilon KL(T | row_mass column_mass^T)`, by its dual."""
    iterations: Int[Array, ""]
    error: Scalar
    """L1 distance of the plan's row sums to `row_mass`, plus that of its column sums."""
    converged: Bool[Array, ""]
    """Whether `error` is at most the threshold."""

    @property
    def matrix(self) -> Float[Array, "*batch rows columns"]:
        """Mass sent from each row to each column."""
        return jnp.exp(self.log_matrix)


@functools.partial(jax.jit, static_argnames=("iterations",))
def balanced_plan(
    cost: Float[Array, "rows columns"],
    row_mass: Float[Array, " rows"],
    column_mass: Float[Array, " columns"],
    *,
    epsilon: float | Scalar,
    iterations: int,
    threshold: float | Scalar,
    start: tuple[Float[Array, " rows"], Float[Array, " columns"]] | None = None,
) -> BalancedPlan:
    r"""The plan of given marginals that minimises $\langle T, C\rangle + \epsilon\, KL(T)$.

    **Arguments:**

    - `cost`: of sending mass from a row to a column.
    - `row_mass`, `column_mass`: positive, of equal sums.
    - `epsilon`: regularisation, in the units of `cost`.
    - `iterations`: the most Sinkhorn iterations, rounded up to a multiple of ten above ten.
    - `threshold`: largest accepted L1 error of the marginals.
    - `start`: dual potentials of a similar problem to start from, or zeros.

    **Returns:** the plan. It is returned whether it converged or not: look at `converged`.

    Log-domain Sinkhorn: step 3 of Gene-Relation Clustering.
    """
    return solve(
        cost,
        row_mass,
        column_mass,
        epsilon=epsilon,
        iterations=iterations,
        threshold=threshold,
        start=start,
        symmetric=False,
    )


def solve(
    cost: Float[Array, "rows columns"],
    row_mass: Float[Array, " rows"],
    column_mass: Float[Array, " columns"],
    *,
    epsilon: float | Scalar,
    iterations: int,
    threshold: float | Scalar,
    start: tuple[Float[Array, " rows"], Float[Array, " columns"]] | None,
    symmetric: bool,
) -> BalancedPlan:
    """`balanced_plan`; `symmetric` is for a cloud against itself.

    Then both potentials move together, half-way to their update (Feydy et al. 2019, Eq. 25):
    for squared Euclidean costs that halves the error at least, whatever `epsilon` is.
    """
    with lenient_promotion():
        # ott's annotations say float where traced scalars work.
        geometry = Geometry(cost_matrix=cost, epsilon=epsilon)  # pyright: ignore[reportArgumentType]
        solver = Sinkhorn(
            # Sinkhorn sees one marginal; the other half is room for rounding in the other one.
            threshold=threshold / 2,  # pyright: ignore[reportArgumentType]
            max_iterations=iterations,
            inner_iterations=min(CHECK_EVERY, iterations),
            parallel_dual_updates=symmetric,
            momentum=Momentum(start=0, value=0.5) if symmetric else None,
        )
        out = solver(LinearProblem(geometry, a=row_mass, b=column_mass), init=start)
        steps, value = out.n_iters, jnp.asarray(out.reg_ot_cost)
    f, g = out.f, out.g
    log_matrix = (f[:, None] + g[None, :] - cost) / epsilon
    matrix = jnp.exp(log_matrix)
    row_error = jnp.sum(jnp.abs(jnp.sum(matrix, axis=1) - row_mass))
    column_error = jnp.sum(jnp.abs(jnp.sum(matrix, axis=0) - column_mass))
    error = row_error + column_error
    return BalancedPlan(
        log_matrix=log_matrix,
        potentials=(f, g),
        value=value,
        iterations=jnp.asarray(steps, jnp.int32),
        error=error,
        converged=error <= threshold,
    )
