"""Attention between program tokens through a few inducing points (Eq. 3)."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.random as jr

from scbig._typing import Array, Float, PRNGKeyArray
from scbig._value import whole

from ._blocks import AbstractBlock, AbstractMixing, AbstractNormPlacement, Tokens, attending


class InducingPoints(AbstractMixing):
    """Through a few points that are learned: what a cost linear in the programs affords (Eq. 3).

    **Fields:** `points`, of each layer.
    """

    points: int = whole(8)

    def build(
        self,
        width: int,
        *,
        heads: int,
        mlp_width: int,
        dropout: float,
        norm: AbstractNormPlacement,
        key: PRNGKeyArray,
    ) -> "InducingBlock":
        return InducingBlock(
            width,
            heads=heads,
            inducing=self.points,
            mlp_width=mlp_width,
            dropout=dropout,
            norm=norm,
            key=key,
        )


class InducingBlock(AbstractBlock):
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
        return self._layer(tokens, lambda z, h: self.compress(z, h, h), key)

    def attention(
        self, tokens: Float[Array, "clusters width"]
    ) -> tuple[Float[Array, "clusters width"], Float[Array, "heads readers clusters"]]:
        """The updated tokens, and how much each inducing point attends to each of them."""
        kept: list[Array] = []

        def compress(z: Tokens, h: Float[Array, "others width"]) -> Tokens:
            made, weights = attending(self.compress, z, h)
            kept.append(weights)
            return made

        made = self._layer(tokens, compress, None)
        return made, kept[0]

    def _layer(
        self,
        tokens: Float[Array, "clusters width"],
        compress: Callable[[Tokens, Float[Array, "others width"]], Tokens],
        key: PRNGKeyArray | None,
    ) -> Float[Array, "clusters width"]:
        keys = (None,) * 4 if key is None else jr.split(key, 4)
        steps = (
            compress,
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
