"""How program tokens read each other: through a few inducing points (Eq. 3), or directly."""

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


class AbstractBlock(eqx.Module):
    """A layer in which the tokens of one cell read each other."""

    @abc.abstractmethod
    def __call__(
        self, tokens: Float[Array, "clusters width"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "clusters width"]:
        """Returns the updated tokens of one cell; dropout acts only if a key is given."""

    @abc.abstractmethod
    def attention(
        self, tokens: Float[Array, "clusters width"]
    ) -> tuple[Float[Array, "clusters width"], Float[Array, "heads readers clusters"]]:
        """The updated tokens without dropout, and how much each reader attends to each token.

        A reader's attention to all tokens sums to one. Readers are whatever reads the tokens: the
        inducing points of a layer, or the tokens themselves.
        """


def attending(
    module: eqx.nn.MultiheadAttention,
    queries: Float[Array, "readers width"],
    tokens: Float[Array, "clusters width"],
) -> tuple[Float[Array, "readers width"], Float[Array, "heads readers clusters"]]:
    """What an attention makes of the tokens, bit by bit as without looking, and its weights."""
    kept: list[Float[Array, "heads readers clusters"]] = []

    def look(query: Array, key: Array, value: Array) -> tuple[Array, Array, Array]:
        scale = query.shape[-1] ** -0.5
        kept.append(jax.nn.softmax(jnp.einsum("rhd,chd->hrc", query * scale, key), axis=-1))
        return query, key, value

    made = module(queries, tokens, tokens, process_heads=look)
    return made, kept[0]


class AbstractMixing(Value):
    """How tokens read each other in every layer, named in a configuration (Table 6a)."""

    @abc.abstractmethod
    def build(
        self,
        width: int,
        *,
        heads: int,
        mlp_width: int,
        dropout: float,
        norm: AbstractNormPlacement,
        key: PRNGKeyArray,
    ) -> AbstractBlock:
        """An untrained layer.

        **Arguments:** `width` of a token, a multiple of `heads`; `mlp_width`, of the one hidden
        layer of the token-wise MLP; `dropout`, of each step before its residual; `norm`, where the
        LayerNorms stand.
        """


def stack(
    tokens: Float[Array, "clusters width"],
    blocks: tuple[AbstractBlock, ...],
    *,
    key: PRNGKeyArray | None,
) -> Float[Array, "clusters width"]:
    """Applies the blocks in turn, each with a key of its own."""
    for number, block in enumerate(blocks):
        tokens = block(tokens, key=None if key is None else jr.fold_in(key, number))
    return jnp.asarray(tokens)
