"""The conditional velocity field of one cell in latent space."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, ConditionVector, Float, Latent, PRNGKeyArray, Scalar


class AbstractVelocity(eqx.Module):
    """A vector field `v(t, z, c)`."""

    @abc.abstractmethod
    def __call__(
        self, t: Scalar, z: Latent, c: ConditionVector, *, key: PRNGKeyArray | None = None
    ) -> Latent:
        """Returns `dz/dt` of one cell at flow time `t` in [0, 1]."""


class TimeFeatures(eqx.Module):
    """Sines and cosines of `frequencies` evenly spaced angular frequencies up to `top`.

    The top frequency bounds how fast the field can change in time, and so what an adaptive solver
    pays: the released code's 10,000 rad costs hundreds of steps, a few rad costs a few.
    """

    frequencies: int = eqx.field(static=True)
    top: float = eqx.field(static=True)

    @property
    def width(self) -> int:
        """Number of features."""
        return 2 * self.frequencies

    def __call__(self, t: Scalar) -> Float[Array, " {self.width}"]:
        steps = jnp.arange(1, self.frequencies + 1, dtype=t.dtype)
        phase = t * self.top * steps / self.frequencies
        return jnp.concatenate([jnp.sin(phase), jnp.cos(phase)])


class VelocityField(AbstractVelocity):
    """Time and latent streams, LayerNorm on each and on the condition, and a trunk (section 3.3).

    All activations are smooth (SiLU), which the adaptive solver and its gradient need.
    """

    time_features: TimeFeatures
    time: eqx.nn.MLP
    latent: eqx.nn.MLP
    norms: tuple[eqx.nn.LayerNorm, eqx.nn.LayerNorm, eqx.nn.LayerNorm]
    trunk: eqx.nn.MLP
    out: eqx.nn.Linear
    dropout: eqx.nn.Dropout

    def __init__(
        self,
        latent: int,
        condition: int,
        *,
        frequencies: int,
        top_frequency: float,
        hidden: int,
        depth: int,
        dropout: float,
        key: PRNGKeyArray,
    ):
        time_key, latent_key, trunk_key, out_key = jr.split(key, 4)
        # `depth - 1` hidden layers and an output layer of the same width: `depth` layers.
        stream = lambda inputs, k: eqx.nn.MLP(
            inputs,
            hidden,
            hidden,
            depth - 1,
            activation=jax.nn.silu,
            final_activation=jax.nn.silu,
            key=k,
        )
        self.time_features = TimeFeatures(frequencies, top_frequency)
        self.time = stream(self.time_features.width, time_key)
        self.latent = stream(latent, latent_key)
        self.norms = (
            eqx.nn.LayerNorm(hidden),
            eqx.nn.LayerNorm(hidden),
            eqx.nn.LayerNorm(condition),
        )
        self.trunk = stream(2 * hidden + condition, trunk_key)
        self.out = eqx.nn.Linear(hidden, latent, key=out_key)
        self.dropout = eqx.nn.Dropout(dropout)

    def __call__(
        self, t: Scalar, z: Latent, c: ConditionVector, *, key: PRNGKeyArray | None = None
    ) -> Latent:
        """Returns the velocity of one cell; dropout acts only if a key is given."""
        keys = (None, None) if key is None else jr.split(key)
        drop = lambda x, k: self.dropout(x, key=k, inference=k is None)
        time = self.norms[0](self.time(self.time_features(t)))
        latent = self.norms[1](drop(self.latent(z), keys[0]))
        joint = jnp.concatenate([time, latent, self.norms[2](c)])
        return self.out(drop(self.trunk(joint), keys[1]))
