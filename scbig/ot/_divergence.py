"""How far apart two populations are: the debiased Sinkhorn divergence."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from .._typing import Array, Float, Scalar
from ._cost import split_shift, squared_distances, temperature
from ._plan import BalancedPlan, solve

# Iterations stop early at this marginal error: float32 has little below it.
_THRESHOLD = 2e-5


class Divergence(eqx.Module):
    """A divergence, and how far the plans behind it are from their marginals."""

    value: Scalar
    error: Scalar
    """The largest L1 marginal error of the three plans."""


@functools.partial(jax.jit, static_argnames=("iterations",))
def sinkhorn_divergence(
    x: Float[Array, "rows features"],
    y: Float[Array, "columns features"],
    *,
    epsilon: float | Scalar,
    iterations: int,
) -> Divergence:
    r"""$W_\epsilon(x, y) - (W_\epsilon(x, x) + W_\epsilon(y, y)) / 2$, squared Euclidean.

    Zero for equal populations and positive otherwise. Gradients are those of the costs under
    the plans (the envelope theorem), finite for any finite input.

    **Arguments:**

    - `x`, `y`: two populations with uniform weights.
    - `epsilon`: regularisation relative to the mean squared distance between `x` and `y`, which
      is a constant for gradients.
    - `iterations`: the most Sinkhorn iterations, in the log domain.

    **Returns:** the divergence, in squared units of `x`, and the plans' marginal error.

    The pathway loss, Eq. 8, with `x` and `y` activations.
    """
    x, y, shift = split_shift(x, y)
    across = squared_distances(x, y)
    scale = temperature(epsilon, shift + jnp.mean(across))
    x_cost, x_plan = _to_itself(x, epsilon=scale, iterations=iterations)
    y_cost, y_plan = _to_itself(y, epsilon=scale, iterations=iterations)
    plan = solve(
        lax.stop_gradient(across),
        _uniform(x),
        _uniform(y),
        epsilon=scale,
        iterations=iterations,
        threshold=_THRESHOLD,
        # Already the solution where one population is the other one shifted, so that the
        # divergence of equal populations is zero however few the iterations.
        start=(x_plan.potentials[0], y_plan.potentials[1]),
        symmetric=False,
    )
    value = shift + _cost_of(plan, across) - (x_cost + y_cost) / 2
    error = jnp.maximum(plan.error, jnp.maximum(x_plan.error, y_plan.error))
    return Divergence(value=value, error=error)


def _to_itself(
    x: Float[Array, "rows features"], *, epsilon: Scalar, iterations: int
) -> tuple[Scalar, BalancedPlan]:
    cost = squared_distances(x, x)
    plan = solve(
        lax.stop_gradient(cost),
        _uniform(x),
        _uniform(x),
        epsilon=epsilon,
        iterations=iterations,
        threshold=_THRESHOLD,
        start=None,
        symmetric=True,
    )
    return _cost_of(plan, cost), plan


def _cost_of(plan: BalancedPlan, cost: Float[Array, "rows columns"]) -> Scalar:
    # The value of the dual, with the plan as its gradient with respect to the cost. The dual's
    # error is of second order in that of the potentials, and nothing is unrolled.
    return plan.value + jnp.sum(plan.matrix * (cost - lax.stop_gradient(cost)))


def _uniform(x: Float[Array, "rows features"]) -> Float[Array, " rows"]:
    return jnp.full(x.shape[:1], 1 / x.shape[0], x.dtype)
