"""The velocity field and the condition encoder of the authors' released code, layer by layer.

They are CellFlow's (Klein et al. 2025) with its defaults, and are here for what the published
parameter counts and step counts rest on; `VelocityFieldSpec` and `ConditionEncoderSpec` are what
this library would use.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import (
    Array,
    ConditionVector,
    Float,
    Latent,
    PRNGKeyArray,
    Scalar,
    TokenMask,
    TokenSet,
)
from scbig._value import real, require, whole

from ._specs import (
    AbstractConditionEncoder,
    AbstractConditionSpec,
    AbstractVelocity,
    AbstractVelocitySpec,
    Sizes,
)


class ReleasedVelocitySpec(AbstractVelocitySpec):
    """As released: geometric frequencies up to 10,000 rad, and streams joined without LayerNorms.

    An adaptive solver takes hundreds of steps through it, see docs/choices.md.

    **Fields:** `frequencies`, so many sines and as many cosines of flow time, from
    `top_frequency` (radians per unit of flow time) down to about one by a constant ratio;
    `hidden`, width of every layer; `depth`, layers of each stream and of the trunk; `dropout`,
    after the latent stream and after the trunk.
    """

    frequencies: int = whole(512)
    top_frequency: float = real(1e4, above=0)
    hidden: int = whole(1024)
    depth: int = whole(2)
    dropout: float = real(0.1, least=0, below=1)

    def build(self, sizes: Sizes, *, key: PRNGKeyArray) -> "ReleasedVelocity":
        return ReleasedVelocity(self, sizes.latent, sizes.condition, key=key)


class ReleasedVelocity(AbstractVelocity):
    """What `ReleasedVelocitySpec` builds. The last layer of the time stream is linear."""

    frequencies: int = eqx.field(static=True)
    top: float = eqx.field(static=True)
    time: eqx.nn.MLP
    latent: eqx.nn.MLP
    trunk: eqx.nn.MLP
    out: eqx.nn.Linear
    dropout: eqx.nn.Dropout

    def __init__(
        self, spec: ReleasedVelocitySpec, latent: int, condition: int, *, key: PRNGKeyArray
    ):
        hidden = spec.hidden
        time_key, latent_key, trunk_key, out_key = jr.split(key, 4)
        stream = lambda inputs, k, **last: eqx.nn.MLP(
            inputs, hidden, hidden, spec.depth - 1, activation=jax.nn.silu, **last, key=k
        )
        smooth = {"final_activation": jax.nn.silu}
        self.frequencies, self.top = spec.frequencies, spec.top_frequency
        self.time = stream(2 * spec.frequencies, time_key)
        self.latent = stream(latent, latent_key, **smooth)
        self.trunk = stream(2 * hidden + condition, trunk_key, **smooth)
        self.out = eqx.nn.Linear(hidden, latent, key=out_key)
        self.dropout = eqx.nn.Dropout(spec.dropout)

    def __call__(
        self, t: Scalar, z: Latent, c: ConditionVector, *, key: PRNGKeyArray | None = None
    ) -> Latent:
        keys = (None, None) if key is None else jr.split(key)
        drop = lambda x, k: self.dropout(x, key=k, inference=k is None)
        falling = -math.log(self.top) * jnp.arange(self.frequencies, dtype=t.dtype)
        phase = t * self.top * jnp.exp(falling / self.frequencies)
        time = self.time(jnp.concatenate([jnp.sin(phase), jnp.cos(phase)]))
        joint = jnp.concatenate([time, drop(self.latent(z), keys[0]), c])
        return self.out(drop(self.trunk(joint), keys[1]))


class ReleasedConditionSpec(AbstractConditionSpec):
    """As released: attention from one learnt seed to the tokens, and one linear map.

    **Fields:** `seed`, entries of the seed and of what it reads, a multiple of `heads`; `width`,
    entries of the encoded condition; `dropout` of it, drawn for each condition.
    """

    seed: int = whole(64)
    heads: int = whole(8)
    width: int = whole(256)
    dropout: float = real(0.9, least=0, below=1)

    def __check_init__(self) -> None:
        require(self.seed % self.heads == 0, self, "seed must be a multiple of heads")

    def build(self, sizes: Sizes, *, key: PRNGKeyArray) -> "ReleasedCondition":
        return ReleasedCondition(self, sizes.token, sizes.context, key=key)


class ReleasedCondition(AbstractConditionEncoder):
    """What `ReleasedConditionSpec` builds; an empty set (control) is read as zeros."""

    seed: Float[Array, "1 seed"]
    attention: eqx.nn.MultiheadAttention
    out: eqx.nn.Linear
    dropout: eqx.nn.Dropout

    def __init__(
        self, spec: ReleasedConditionSpec, features: int, context: int | None, *, key: PRNGKeyArray
    ):
        seed_key, attention_key, out_key = jr.split(key, 3)
        self.seed = 0.02 * jr.normal(seed_key, (1, spec.seed))
        self.attention = eqx.nn.MultiheadAttention(
            spec.heads,
            query_size=spec.seed,
            key_size=features,
            value_size=features,
            output_size=spec.seed,
            qk_size=spec.seed // spec.heads,
            vo_size=spec.seed // spec.heads,
            key=attention_key,
        )
        self.out = eqx.nn.Linear(spec.seed + (context or 0), spec.width, key=out_key)
        self.dropout = eqx.nn.Dropout(spec.dropout)

    def __call__(
        self,
        tokens: TokenSet,
        mask: TokenMask,
        context: Float[Array, " context_features"] | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> ConditionVector:
        read = self.attention(self.seed, tokens, tokens, mask=mask[None, :])[0]
        # A softmax over no key at all is not zero, the value of an empty set.
        read = jnp.where(jnp.any(mask), read, 0.0)
        if context is not None:
            read = jnp.concatenate([read, context])
        return self.dropout(self.out(read), key=key, inference=key is None)
