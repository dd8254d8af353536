"""Attention between program tokens through a few inducing points (Eq. 3)."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, Float, PRNGKeyArray
from scbig._value import Value

Tokens = Float[Array, "points width"]


class AbstractNormPlacement(Value):
    """Where the LayerNorm of a residual block stands."""

    @abc.abstractmethod
    def __call__(
        self,
        step: Callable[[Tokens, Float[Array, "others width"]], Tokens],
        normalise: Callable[[Float[Array, "any width"]], Float[Array, "any width"]],
        drop: Callable[[Tokens], Tokens],
        tokens: Tokens,
        others: Float[Array, "others width"],
    ) -> Tokens:
        """The tokens after the block `step(tokens, others)`, its residual and its norm."""


class PostNorm(AbstractNormPlacement):
    """After each residual: `norm(x + step(x, others))`, as in the paper."""

    def __call__(
        self,
        step: Callable[[Tokens, Float[Array, "others width"]], Tokens],
        normalise: Callable[[Float[Array, "any width"]], Float[Array, "any width"]],
        drop: Callable[[Tokens], Tokens],
        tokens: Tokens,
        others: Float[Array, "others width"],
    ) -> Tokens:
        return normalise(tokens + drop(step(tokens, others)))


class PreNorm(AbstractNormPlacement):
    """Before each step: `x + step(norm(x), norm(others))`."""

    def __call__(
        self,
        step: Callable[[Tokens, Float[Array, "others width"]], Tokens],
        normalise: Callable[[Float[Array, "any width"]], Float[Array, "any width"]],
        drop: Callable[[Tokens], Tokens],
        tokens: Tokens,
        others: Float[Array, "others width"],
    ) -> Tokens:
        # In the compress step the others are of another number: both sides share the norm.
        return tokens + drop(step(normalise(tokens), normalise(others)))


class InducingBlock(eqx.Module):
    """Compress, process, broadcast, then a token-wise MLP; a residual around each (Eq. 3).

    With inducing points `I` and tokens `H`: `Z = I + Attn(I, H, H)`, `Z = Z + Attn(Z, Z, Z)`,
    `H = H + Attn(H, Z, Z)`, `H = H + MLP(H)`. `norm` says where the LayerNorms stand.
    """

    inducing: Float[Array, "inducing width"]
    compress: eqx.nn.MultiheadAttention
    process: eqx.nn.MultiheadAttention
    broadcast: eqx.nn.MultiheadAttention
    mlp: eqx.nn.MLP
    norms: tuple[eqx.nn.LayerNorm, ...]
    dropout: eqx.nn.Dropout
    norm: AbstractNormPlacement

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        inducing: int,
        mlp_width: int,
        dropout: float,
        norm: AbstractNormPlacement,
        key: PRNGKeyArray,
    ):
        points, compress, process, broadcast, mlp = jr.split(key, 5)
        attention = lambda k: eqx.nn.MultiheadAttention(heads, width, key=k)
        self.inducing = 0.02 * jr.normal(points, (inducing, width))
        self.compress = attention(compress)
        self.process = attention(process)
        self.broadcast = attention(broadcast)
        self.mlp = eqx.nn.MLP(width, width, mlp_width, 1, activation=jax.nn.gelu, key=mlp)
        self.norms = tuple(eqx.nn.LayerNorm(width) for _ in range(4))
        self.dropout = eqx.nn.Dropout(dropout)
        self.norm = norm

    def __call__(
        self, tokens: Float[Array, "clusters width"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "clusters width"]:
        """Returns the updated tokens of one cell; dropout acts if a key is given."""
        keys = (None,) * 4 if key is None else jr.split(key, 4)
        steps = (
            lambda z, h: self.compress(z, h, h),
            lambda z, _: self.process(z, z, z),
            lambda h, z: self.broadcast(h, z, z),
            lambda h, _: jax.vmap(self.mlp)(h),
        )
        points = self._residual(0, steps[0], self.inducing, tokens, keys[0])
        points = self._residual(1, steps[1], points, points, keys[1])
        tokens = self._residual(2, steps[2], tokens, points, keys[2])
        return self._residual(3, steps[3], tokens, points, keys[3])

    def _residual(
        self,
        place: int,
        step: Callable[[Tokens, Float[Array, "others width"]], Tokens],
        tokens: Tokens,
        others: Float[Array, "others width"],
        key: PRNGKeyArray | None,
    ) -> Tokens:
        normalise = jax.vmap(self.norms[place])
        drop = lambda y: self.dropout(y, key=key, inference=key is None)
        return self.norm(step, normalise, drop, tokens, others)


def stack(
    tokens: Float[Array, "clusters width"],
    blocks: tuple[InducingBlock, ...],
    *,
    key: PRNGKeyArray | None,
) -> Float[Array, "clusters width"]:
    """Applies the blocks in turn, each with a key of its own."""
    for number, block in enumerate(blocks):
        tokens = block(tokens, key=None if key is None else jr.fold_in(key, number))
    return jnp.asarray(tokens)
