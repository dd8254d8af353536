"""From a set of tokens to one vector."""

import abc
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, Float, PRNGKeyArray, TokenMask


class AbstractPooling(eqx.Module):
    """Reduces a masked set of tokens to one vector, whatever their order."""

    @abc.abstractmethod
    def __call__(
        self, tokens: Float[Array, "tokens width"], mask: TokenMask
    ) -> Float[Array, " width"]:
        """Returns the pooled vector; an empty set gives zeros."""


class SumPooling(AbstractPooling):
    """The sum of the tokens."""

    def __call__(
        self, tokens: Float[Array, "tokens width"], mask: TokenMask
    ) -> Float[Array, " width"]:
        return jnp.sum(jnp.where(mask[:, None], tokens, 0.0), axis=0)


class MeanPooling(AbstractPooling):
    """The mean of the tokens (Eq. 4)."""

    def __call__(
        self, tokens: Float[Array, "tokens width"], mask: TokenMask
    ) -> Float[Array, " width"]:
        count = jnp.maximum(jnp.sum(mask), 1).astype(tokens.dtype)
        return jnp.sum(jnp.where(mask[:, None], tokens, 0.0), axis=0) / count


class AttentionPooling(AbstractPooling):
    """A mean weighted by the softmax of a learnt score (Table 10)."""

    score: eqx.nn.MLP

    def __init__(self, width: int, *, key: PRNGKeyArray):
        self.score = eqx.nn.MLP(width, "scalar", width, 1, activation=jnp.tanh, key=key)

    def __call__(
        self, tokens: Float[Array, "tokens width"], mask: TokenMask
    ) -> Float[Array, " width"]:
        weights = masked_softmax(jax.vmap(self.score)(tokens), mask)
        return jnp.sum(weights[:, None] * jnp.where(mask[:, None], tokens, 0.0), axis=0)


class SeedPooling(AbstractPooling):
    """Pooling by multi-head attention from one learnt seed (Set Transformer, Table 10)."""

    seed: Float[Array, "1 width"]
    attention: eqx.nn.MultiheadAttention

    def __init__(self, width: int, heads: int, *, key: PRNGKeyArray):
        seed_key, attention_key = jr.split(key)
        self.seed = 0.02 * jr.normal(seed_key, (1, width))
        self.attention = eqx.nn.MultiheadAttention(heads, width, key=attention_key)

    def __call__(
        self, tokens: Float[Array, "tokens width"], mask: TokenMask
    ) -> Float[Array, " width"]:
        pooled = self.attention(self.seed, tokens, tokens, mask=mask[None, :])[0]
        # A softmax over no key at all is not zero, the value of an empty set.
        return jnp.where(jnp.any(mask), pooled, 0.0)


def masked_softmax(scores: Float[Array, " tokens"], mask: TokenMask) -> Float[Array, " tokens"]:
    """Softmax over the entries where `mask` holds; zeros where it does not, or never does."""
    lowest = jnp.finfo(scores.dtype).min
    peak = jax.lax.stop_gradient(jnp.max(jnp.where(mask, scores, lowest)))
    weights = jnp.where(mask, jnp.exp(jnp.where(mask, scores - peak, 0.0)), 0.0)
    return weights / jnp.maximum(jnp.sum(weights), jnp.finfo(scores.dtype).tiny)


def make_pooling(
    kind: Literal["mean", "sum", "attention", "pma"], width: int, heads: int, *, key: PRNGKeyArray
) -> AbstractPooling:
    """The pooling that a configuration names."""
    match kind:
        case "mean":
            return MeanPooling()
        case "sum":
            return SumPooling()
        case "attention":
            return AttentionPooling(width, key=key)
        case "pma":
            return SeedPooling(width, heads, key=key)
