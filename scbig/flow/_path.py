"""Probability paths between a control and a perturbed latent, and the loss on them (Eq. 6)."""

import abc

import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, ConditionVector, Float, Latent, PRNGKeyArray, Scalar
from scbig._value import Value, real
from scbig.nn import AbstractVelocity


class AbstractProbabilityPath(Value):
    """A random path from `z_0` to `z_1`, with the velocity that a field should have on it."""

    @abc.abstractmethod
    def __call__(
        self, t: Scalar, start: Latent, end: Latent, *, key: PRNGKeyArray
    ) -> tuple[Latent, Latent]:
        """Returns the point at flow time `t` and its target velocity."""


class LinearPath(AbstractProbabilityPath):
    """`z_t = (1 - t) z_0 + t z_1 + sigma eps`, with velocity `z_1 - z_0`.

    **Fields:** `sigma`, the constant noise: 0 in CellFlow's default, 0.5 in the released code.
    """

    sigma: float = real(0.0, least=0)

    def __call__(
        self, t: Scalar, start: Latent, end: Latent, *, key: PRNGKeyArray
    ) -> tuple[Latent, Latent]:
        noise = self.sigma * jr.normal(key, start.shape, start.dtype)
        return (1 - t) * start + t * end + noise, end - start


class BrownianBridge(AbstractProbabilityPath):
    r"""`z_t = (1 - t) z_0 + t z_1 + sigma sqrt(t (1 - t)) eps`: noise that vanishes at both ends.

    The target is the conditional velocity `z_1 - z_0 + (1 - 2t) / (2t (1 - t)) (z_t - (1 - t) z_0
    - t z_1)`, whose marginal is the probability flow of the bridge. Flow time is kept a thousandth
    away from the ends, where the second part grows without bound.

    **Fields:** `sigma`, the noise's scale.

    Tong et al., Simulation-free Schroedinger bridges via score and flow matching (2024), Eq. 8.
    """

    sigma: float = real(0.1, least=0)

    def __call__(
        self, t: Scalar, start: Latent, end: Latent, *, key: PRNGKeyArray
    ) -> tuple[Latent, Latent]:
        t = jnp.clip(t, 1e-3, 1 - 1e-3)
        width = self.sigma * jnp.sqrt(t * (1 - t))
        noise = jr.normal(key, start.shape, start.dtype)
        slope = self.sigma * (1 - 2 * t) / (2 * jnp.sqrt(t * (1 - t)))
        return (1 - t) * start + t * end + width * noise, end - start + slope * noise


def cell_loss(
    velocity: AbstractVelocity,
    path: AbstractProbabilityPath,
    t: Scalar,
    start: Latent,
    end: Latent,
    condition: ConditionVector,
    *,
    key: PRNGKeyArray,
    dropout: bool = True,
) -> Scalar:
    r"""Squared error of one cell's velocity, averaged over the latent axis (Eq. 6).

    $\| v_\theta(z_t, t, c) - (z_1 - z_0) \|^2 / L$: the mean, so that the scale does not depend on
    the latent width.
    """
    path_key, dropout_key = jr.split(key)
    point, target = path(t, start, end, key=path_key)
    predicted = velocity(t, point, condition, key=dropout_key if dropout else None)
    return jnp.mean((predicted - target) ** 2)


def flow_matching_loss(
    velocity: AbstractVelocity,
    path: AbstractProbabilityPath,
    starts: Float[Array, "groups cells latent"],
    ends: Float[Array, "groups cells latent"],
    conditions: Float[Array, "groups condition"],
    *,
    key: PRNGKeyArray,
    dropout: bool = True,
) -> Scalar:
    """Mean of `cell_loss` over paired cells of several conditions (Eq. 6).

    **Arguments:** `starts` and `ends`, paired control and perturbed latents; `conditions`, one
    encoded condition for each group.
    """
    groups, cells = starts.shape[:2]
    time_key, cell_key = jr.split(key)
    # Stratified times, one in each bin of width 1 / cells: the estimate of the time integral has
    # less variance than with independent draws.
    jitter = jr.uniform(time_key, (groups, cells), starts.dtype)
    times = (jnp.arange(cells, dtype=starts.dtype)[None, :] + jitter) / cells
    keys = jr.split(cell_key, (groups, cells))
    loss = lambda t, z0, z1, c, k: cell_loss(velocity, path, t, z0, z1, c, key=k, dropout=dropout)
    over_cells = jax.vmap(loss, (0, 0, 0, None, 0))
    return jnp.mean(jax.vmap(over_cells)(times, starts, ends, conditions, keys))
