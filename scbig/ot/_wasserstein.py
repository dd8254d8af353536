"""How far mass travels between two populations: the Wasserstein distance of an entropic plan."""

import functools

import jax
import jax.numpy as jnp

from .._typing import Array, Float, Scalar
from ._cost import squared_distances, temperature
from ._divergence import Divergence
from ._plan import solve

_THRESHOLD = 1e-3


@functools.partial(jax.jit, static_argnames=("iterations",))
def sinkhorn_distance(
    x: Float[Array, "rows features"],
    y: Float[Array, "columns features"],
    *,
    epsilon: float | Scalar,
    iterations: int,
    masses: tuple[Float[Array, " rows"], Float[Array, " columns"]] | None = None,
) -> Divergence:
    r"""$\sum_{ij} T_{ij} \|x_i - y_j\|$ under the entropic plan $T$ of these distances.

    Above the Wasserstein distance of order one, the more so the larger `epsilon`; not zero for
    equal populations.

    **Arguments:**

    - `x`, `y`: two populations.
    - `epsilon`: regularisation relative to the mean distance between `x` and `y`.
    - `iterations`: the most Sinkhorn iterations, in the log domain.
    - `masses`: of the points of `x` and of `y`, positive and of sum one each; by default all the
        same. A point in two pieces is the same point.

    **Returns:** the distance, in units of `x`, and the L1 error of the plan's marginals.
    """
    centre = (jnp.mean(x, axis=0) + jnp.mean(y, axis=0)) / 2
    squares = squared_distances(x - centre[None, :], y - centre[None, :])
    cost = jnp.sqrt(jnp.maximum(squares, 0.0))
    if masses is None:
        masses = (
            jnp.full(x.shape[:1], 1 / x.shape[0], x.dtype),
            jnp.full(y.shape[:1], 1 / y.shape[0], y.dtype),
        )
    row_mass, column_mass = masses
    plan = solve(
        cost,
        row_mass,
        column_mass,
        epsilon=temperature(epsilon, row_mass @ cost @ column_mass),
        iterations=iterations,
        threshold=_THRESHOLD,
        start=None,
        symmetric=False,
    )
    return Divergence(value=jnp.sum(plan.matrix * cost), error=plan.error)
