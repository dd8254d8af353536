"""Squared Euclidean costs, computed where float32 has the digits."""

import jax.numpy as jnp
from jax import lax

from .._typing import Array, Float, Scalar


def split_shift(
    x: Float[Array, "rows features"], y: Float[Array, "columns features"]
) -> tuple[Float[Array, "rows features"], Float[Array, "columns features"], Scalar]:
    r"""Both clouds centred at their own mean, and the squared distance of the means.

    For any plan $T$ with uniform marginals
    $\sum_{ij} T_{ij} \|x_i - y_j\|^2 = \|\bar x - \bar y\|^2
    + \sum_{ij} T_{ij} \|(x_i - \bar x) - (y_j - \bar y)\|^2$:
    the best plan does not see the shift. Without it, costs are small numbers that are not
    differences of large ones, and Sinkhorn starts closer to its solution.
    """
    x_mean, y_mean = jnp.mean(x, axis=0), jnp.mean(y, axis=0)
    return x - x_mean[None, :], y - y_mean[None, :], jnp.sum((x_mean - y_mean) ** 2)


def squared_distances(
    x: Float[Array, "rows features"], y: Float[Array, "columns features"]
) -> Float[Array, "rows columns"]:
    """Squared Euclidean distance of every row of `x` to every row of `y`."""
    # Accelerators round the factors of a product to fewer digits unless told otherwise, and
    # the difference below would be made of what they rounded away.
    inner = jnp.matmul(x, y.T, precision=lax.Precision.HIGHEST)
    return jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1)[None, :] - 2 * inner


def temperature(epsilon: float | Scalar, mean_cost: Scalar) -> Scalar:
    """`epsilon` times the mean cost, a constant for gradients; `epsilon` if all points are one."""
    mean_cost = lax.stop_gradient(mean_cost)
    return epsilon * jnp.where(mean_cost > 1e-30, mean_cost, jnp.ones_like(mean_cost))
