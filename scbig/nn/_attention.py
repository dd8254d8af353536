"""A block of a transformer, of programs, cells or genes."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, Bool, Float, PRNGKeyArray

from ._blocks import AbstractBlock, AbstractMixing, AbstractNormPlacement, attending

Tokens = Float[Array, "tokens width"]


class SelfAttention(AbstractMixing):
    """Directly, as in a plain transformer: the encoder called Normal in Table 6a."""

    def build(
        self,
        width: int,
        *,
        heads: int,
        mlp_width: int,
        dropout: float,
        norm: AbstractNormPlacement,
        key: PRNGKeyArray,
    ) -> "AttentionBlock":
        trained: Any = {"trained_norms": True, "dropout": dropout, "activation": jax.nn.gelu}
        return AttentionBlock.of(width, heads, mlp_width, norm, **trained, key=key)


class AttentionBlock(AbstractBlock):
    """Each token reads all of them, then itself; a residual around both.

    There are no positions: tokens in another order give the same in that order.

    **Fields:** `norms`, of both steps, where `placement` says; `dropout`, of what they add.
    """

    attends: eqx.nn.MultiheadAttention
    mlp: eqx.nn.MLP
    norms: tuple[eqx.nn.LayerNorm, eqx.nn.LayerNorm]
    dropout: eqx.nn.Dropout
    placement: AbstractNormPlacement

    @classmethod
    def of(
        cls,
        width: int,
        heads: int,
        hidden: int,
        placement: AbstractNormPlacement,
        *,
        activation: Callable[[Array], Array] = jax.nn.relu,
        trained_norms: bool = False,
        dropout: float = 0.0,
        key: PRNGKeyArray,
    ) -> "AttentionBlock":
        """Untrained, with an MLP of one hidden layer."""
        first, second = jr.split(key)
        norm = eqx.nn.LayerNorm(width, use_weight=trained_norms, use_bias=trained_norms)
        return cls(
            eqx.nn.MultiheadAttention(heads, width, key=first),
            eqx.nn.MLP(width, width, hidden, 1, activation=activation, key=second),
            (norm, norm),
            eqx.nn.Dropout(dropout),
            placement,
        )

    def __call__(
        self,
        tokens: Tokens,
        there: Bool[Array, " tokens"] | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Tokens:
        """Nothing reads tokens that are not there; dropout acts only if a key is given."""
        mask = None if there is None else jnp.broadcast_to(there[None, :], (len(there),) * 2)
        return self._layer(tokens, lambda x, _: self.attends(x, x, x, mask=mask), key)

    def attention(self, tokens: Tokens) -> tuple[Tokens, Float[Array, "heads readers tokens"]]:
        """The updated tokens, and how much each of them attends to each."""
        kept: list[Array] = []

        def read(x: Tokens, _: Tokens) -> Tokens:
            made, weights = attending(self.attends, x, x)
            kept.append(weights)
            return made

        made = self._layer(tokens, read, None)
        return made, kept[0]

    def _layer(
        self,
        tokens: Tokens,
        read: Callable[[Tokens, Tokens], Tokens],
        key: PRNGKeyArray | None,
    ) -> Tokens:
        steps = (
            read,
            lambda x, _: jax.vmap(self.mlp)(x),
        )
        keys = (None, None) if key is None else tuple(jr.split(key))
        for step, norm, own in zip(steps, self.norms, keys, strict=True):
            drop = lambda x, own=own: self.dropout(x, key=own, inference=own is None)
            tokens = self.placement(step, jax.vmap(norm), drop, tokens, tokens)
        return tokens
