"""The conditional velocity field of one cell in latent space."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, ConditionVector, Float, Latent, PRNGKeyArray, Scalar
from scbig._value import real, whole

from ._specs import AbstractVelocity, AbstractVelocitySpec, Sizes


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


class VelocityFieldSpec(AbstractVelocitySpec):
    """Time and latent streams, then a trunk (section 3.3).

    **Fields:** `frequencies`, so many sines and as many cosines of flow time; `top_frequency`, the
    highest one, in radians per unit of flow time, which sets the solver's cost; `hidden`, width of
    every layer; `depth`, hidden layers of each stream and of the trunk; `dropout`; `still`, whether
    the last layer is zero at first, so that an untrained field moves nothing.
    """

    frequencies: int = whole(32)
    top_frequency: float = real(6.0, above=0)
    hidden: int = whole(1024)
    depth: int = whole(2)
    dropout: float = real(0.1, least=0, below=1)
    still: bool = False

    def build(self, sizes: Sizes, *, key: PRNGKeyArray) -> "VelocityField":
        return VelocityField(self, sizes.latent, sizes.condition, key=key)


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

    def __init__(self, spec: VelocityFieldSpec, latent: int, condition: int, *, key: PRNGKeyArray):
        hidden = spec.hidden
        time_key, latent_key, trunk_key, out_key = jr.split(key, 4)
        # `depth - 1` hidden layers and an output layer of the same width: `depth` layers.
        stream = lambda inputs, k: eqx.nn.MLP(
            inputs,
            hidden,
            hidden,
            spec.depth - 1,
            activation=jax.nn.silu,
            final_activation=jax.nn.silu,
            key=k,
        )
        self.time_features = TimeFeatures(spec.frequencies, spec.top_frequency)
        self.time = stream(self.time_features.width, time_key)
        self.latent = stream(latent, latent_key)
        self.norms = (
            eqx.nn.LayerNorm(hidden),
            eqx.nn.LayerNorm(hidden),
            eqx.nn.LayerNorm(condition),
        )
        self.trunk = stream(2 * hidden + condition, trunk_key)
        out = eqx.nn.Linear(hidden, latent, key=out_key)
        self.out = jax.tree.map(jnp.zeros_like, out) if spec.still else out
        self.dropout = eqx.nn.Dropout(spec.dropout)

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
