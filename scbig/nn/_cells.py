"""The Gene-Cluster-Aware Encoder of one cell, and its decoder (Eq. 2 to 4)."""

import abc
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, Float, Latent, PRNGKeyArray, Slots

from ._inducing import InducingBlock, stack
from ._pooling import AbstractPooling, make_pooling


class AbstractSemantics(eqx.Module):
    """The embedding stream `e_k` of Eq. 2."""

    @abc.abstractmethod
    def __call__(self, slots: Slots) -> Float[Array, "clusters features"]:
        """Returns one vector for each program of a cell."""


class MeanSemantics(AbstractSemantics):
    """`e_k`: the mean embedding of the program's genes, the same for all cells."""

    vectors: Float[Array, "clusters features"]

    def __call__(self, slots: Slots) -> Float[Array, "clusters features"]:
        return self.vectors


class WeightedSemantics(AbstractSemantics):
    """`e_k = sum_c X_kc E_g(k,c) / C`: the genes' embeddings weighted by the cell's expression."""

    vectors: Float[Array, "clusters slots features"]

    def __call__(self, slots: Slots) -> Float[Array, "clusters features"]:
        return jnp.einsum("kc,kcd->kd", slots, self.vectors) / slots.shape[1]


class ProgramPriors(eqx.Module):
    """What is known of each program beside its genes' expression; never trained.

    **Fields:** `centroids`, the normalised mean embedding `p_k` of each program; `semantics`, the
    embedding stream of Eq. 2, or `None` for an encoder that reads expression alone.
    """

    centroids: Float[Array, "clusters features"]
    semantics: AbstractSemantics | None


class PositionEncoding(eqx.Module):
    """Relational position encoding `LayerNorm(W_p p_k)`, without bias (section 3.2)."""

    linear: eqx.nn.Linear
    norm: eqx.nn.LayerNorm

    def __init__(self, features: int, width: int, *, key: PRNGKeyArray):
        self.linear = eqx.nn.Linear(features, width, use_bias=False, key=key)
        self.norm = eqx.nn.LayerNorm(width)

    def __call__(
        self, centroids: Float[Array, "clusters features"]
    ) -> Float[Array, "clusters width"]:
        return jax.vmap(lambda p: self.norm(self.linear(p)))(centroids)


class GeneClusterEncoder(eqx.Module):
    """From the expression of one cell, gathered into programs, to its latent (Eq. 2 to 4)."""

    expression: eqx.nn.Linear
    semantic: eqx.nn.Linear | None
    position: PositionEncoding
    blocks: tuple[InducingBlock, ...]
    pooling: AbstractPooling
    latent: eqx.nn.Linear

    def __init__(
        self,
        slots: int,
        features: int,
        *,
        width: int,
        heads: int,
        layers: int,
        inducing: int,
        latent: int,
        mlp_width: int,
        dropout: float,
        norm: Literal["post", "pre"],
        semantics: Literal["mean", "weighted", "none"],
        pooling: Literal["mean", "attention", "pma"],
        key: PRNGKeyArray,
    ):
        expression, semantic, position, pool, out, block = jr.split(key, 6)
        self.expression = eqx.nn.Linear(slots, width, key=expression)
        self.semantic = (
            None
            if semantics == "none"
            else eqx.nn.Linear(features, width, use_bias=False, key=semantic)
        )
        self.position = PositionEncoding(features, width, key=position)
        self.blocks = _blocks(layers, width, heads, inducing, mlp_width, dropout, norm, key=block)
        self.pooling = make_pooling(pooling, width, heads, key=pool)
        self.latent = eqx.nn.Linear(width, latent, key=out)

    def __call__(
        self, slots: Slots, priors: ProgramPriors, *, key: PRNGKeyArray | None = None
    ) -> Latent:
        """Returns the latent `z` of one cell.

        **Arguments:** `slots`, centred log expression by program and slot, padding zero; `priors`,
        the programs' embeddings; `key`, for dropout, which acts only if it is given.
        """
        tokens = jax.vmap(self.expression)(slots)
        if self.semantic is not None and priors.semantics is not None:
            tokens = tokens + jax.vmap(self.semantic)(priors.semantics(slots))
        tokens = tokens + self.position(priors.centroids)
        tokens = stack(tokens, self.blocks, key=key)
        everyone = jnp.ones(tokens.shape[0], bool)
        return self.latent(self.pooling(tokens, everyone))


class GeneClusterDecoder(eqx.Module):
    """From a latent back to one cell's expression by program and slot: the encoder's mirror."""

    expand: eqx.nn.Linear
    position: PositionEncoding
    blocks: tuple[InducingBlock, ...]
    expression: eqx.nn.Linear

    def __init__(
        self,
        slots: int,
        features: int,
        *,
        width: int,
        heads: int,
        layers: int,
        inducing: int,
        latent: int,
        mlp_width: int,
        dropout: float,
        norm: Literal["post", "pre"],
        key: PRNGKeyArray,
    ):
        expand, position, block, out = jr.split(key, 4)
        self.expand = eqx.nn.Linear(latent, width, key=expand)
        self.position = PositionEncoding(features, width, key=position)
        self.blocks = _blocks(layers, width, heads, inducing, mlp_width, dropout, norm, key=block)
        self.expression = eqx.nn.Linear(width, slots, key=out)

    def __call__(
        self, latent: Latent, priors: ProgramPriors, *, key: PRNGKeyArray | None = None
    ) -> Slots:
        """Returns centred log expression by program and slot; unused slots hold anything."""
        position = self.position(priors.centroids)
        tokens = jnp.broadcast_to(self.expand(latent)[None, :], position.shape) + position
        tokens = stack(tokens, self.blocks, key=key)
        return jax.vmap(self.expression)(tokens)


def _blocks(layers, width, heads, inducing, mlp_width, dropout, norm, *, key):
    return tuple(
        InducingBlock(
            width,
            heads=heads,
            inducing=inducing,
            mlp_width=mlp_width,
            dropout=dropout,
            norm=norm,
            key=block_key,
        )
        for block_key in jr.split(key, layers)
    )
