"""From a set of tokens to one vector."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, Float, PRNGKeyArray, TokenMask
from scbig._value import Value, require, whole


class AbstractPool(eqx.Module):
    """Reduces a masked set of tokens to one vector, whatever their order."""

    @abc.abstractmethod
    def __call__(
        self, tokens: Float[Array, "tokens width"], mask: TokenMask
    ) -> Float[Array, " width"]:
        """Returns the pooled vector; an empty set gives zeros."""


class AbstractPooling(Value):
    """A way of pooling, named in a configuration; `build` makes it for tokens of a width.

    One without parameters of its own can be its own pool, as `MeanPooling` is.
    """

    @abc.abstractmethod
    def build(self, width: int, *, key: PRNGKeyArray) -> AbstractPool:
        """The pool of tokens of `width` entries."""


class SumPooling(AbstractPooling, AbstractPool):
    """The sum of the tokens."""

    def build(self, width: int, *, key: PRNGKeyArray) -> "SumPooling":
        return self

    def __call__(
        self, tokens: Float[Array, "tokens width"], mask: TokenMask
    ) -> Float[Array, " width"]:
        return jnp.sum(jnp.where(mask[:, None], tokens, 0.0), axis=0)


class MeanPooling(AbstractPooling, AbstractPool):
    """The mean of the tokens (Eq. 4)."""

    def build(self, width: int, *, key: PRNGKeyArray) -> "MeanPooling":
        return self

    def __call__(
        self, tokens: Float[Array, "tokens width"], mask: TokenMask
    ) -> Float[Array, " width"]:
        count = jnp.maximum(jnp.sum(mask), 1).astype(tokens.dtype)
        return jnp.sum(jnp.where(mask[:, None], tokens, 0.0), axis=0) / count


class AttentionPooling(AbstractPooling):
    """A mean weighted by the softmax of a learnt score (Table 10)."""

    def build(self, width: int, *, key: PRNGKeyArray) -> "AttentionPool":
        return AttentionPool(width, key=key)


class AttentionPool(AbstractPool):
    """What `AttentionPooling` builds."""

    score: eqx.nn.MLP

    def __init__(self, width: int, *, key: PRNGKeyArray):
        self.score = eqx.nn.MLP(width, "scalar", width, 1, activation=jnp.tanh, key=key)

    def __call__(
        self, tokens: Float[Array, "tokens width"], mask: TokenMask
    ) -> Float[Array, " width"]:
        weights = masked_softmax(jax.vmap(self.score)(tokens), mask)
        return jnp.sum(weights[:, None] * jnp.where(mask[:, None], tokens, 0.0), axis=0)


class SeedPooling(AbstractPooling):
    """Pooling by multi-head attention from one learnt seed (Set Transformer, Table 10).

    **Fields:** `heads`, of the attention; the tokens' width is a multiple of it.
    """

    heads: int = whole(8)

    def build(self, width: int, *, key: PRNGKeyArray) -> "SeedPool":
        fits = width % self.heads == 0
        require(fits, self, f"heads={self.heads} must divide the tokens' width, {width}")
        return SeedPool(width, self.heads, key=key)


class SeedPool(AbstractPool):
    """What `SeedPooling` builds."""

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
