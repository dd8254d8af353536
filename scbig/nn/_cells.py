"""The Gene-Cluster-Aware Encoder of one cell, and its decoder (Eq. 2 to 4)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, Float, Latent, PRNGKeyArray, Slots
from scbig._value import real, require, whole

from ._blocks import AbstractBlock, AbstractMixing, AbstractNormPlacement, PostNorm, stack
from ._facts import (
    AbstractPosition,
    AbstractPositions,
    AbstractSemantics,
    MeanSemantics,
    ProgramFacts,
    ProgramSlots,
    RelationalPosition,
)
from ._inducing import InducingPoints
from ._pooling import AbstractPool, AbstractPooling, MeanPooling
from ._specs import (
    AbstractDecoder,
    AbstractDecoderSpec,
    AbstractEncoder,
    AbstractEncoderSpec,
    Sizes,
)


class GeneClusterEncoderSpec(AbstractEncoderSpec):
    """The Gene-Cluster-Aware Encoder (section 3.2, Eq. 2 to 4).

    **Fields:** `width` of a token, a multiple of `heads`; `layers`, in each of which tokens read
    each other by `mixing` (Table 6a) and then themselves in an MLP of `mlp_width`; `dropout`, in
    every layer; `latent`, entries of the latent; `norm`, where the LayerNorms stand; `semantics`,
    the embedding stream of Eq. 2, `None` for expression alone; `position`, how programs are told
    apart; `pooling`, how tokens become one latent (Table 10).
    """

    width: int = whole(256)
    heads: int = whole(8)
    layers: int = whole(3, least=0)
    mixing: AbstractMixing = InducingPoints()
    latent: int = whole(50)
    mlp_width: int = whole(512)
    dropout: float = real(0.1, least=0, below=1)
    norm: AbstractNormPlacement = PostNorm()
    semantics: AbstractSemantics | None = MeanSemantics()
    position: AbstractPosition = RelationalPosition()
    pooling: AbstractPooling = MeanPooling()

    def __check_init__(self) -> None:
        require(self.width % self.heads == 0, self, "width must be a multiple of heads")

    @property
    def reads(self) -> tuple[str, ...]:
        """The priors that it needs."""
        return () if self.semantics is None else ("genes",)

    def build(self, sizes: Sizes, *, key: PRNGKeyArray) -> "GeneClusterEncoder":
        return GeneClusterEncoder(self, sizes, key=key)

    def prepare(
        self, programs: ProgramSlots, embeddings: Float[Array, "genes features"] | None
    ) -> Any:
        if self.semantics is None:
            return None
        require(embeddings is not None, self, "semantics reads gene embeddings: there are none")
        assert embeddings is not None
        return self.semantics.prepare(programs, embeddings)


class GeneClusterEncoder(AbstractEncoder):
    """From the expression of one cell, gathered into programs, to its latent (Eq. 2 to 4)."""

    expression: eqx.nn.Linear
    semantics: AbstractSemantics | None
    semantic: eqx.nn.Linear | None
    position: AbstractPositions
    blocks: tuple[AbstractBlock, ...]
    pooling: AbstractPool
    latent: eqx.nn.Linear

    def __init__(self, spec: GeneClusterEncoderSpec, sizes: Sizes, *, key: PRNGKeyArray):
        expression, semantic, position, pool, out, block = jr.split(key, 6)
        self.expression = eqx.nn.Linear(sizes.slots, spec.width, key=expression)
        self.semantics, self.semantic = spec.semantics, None
        if spec.semantics is not None:
            require(sizes.embedding is not None, spec, "semantics needs gene embeddings")
            self.semantic = eqx.nn.Linear(
                sizes.embedding or 0, spec.width, use_bias=False, key=semantic
            )
        self.position = spec.position.build(
            sizes.programs, sizes.embedding, spec.width, key=position
        )
        self.blocks = _blocks(spec, key=block)
        self.pooling = spec.pooling.build(spec.width, key=pool)
        self.latent = eqx.nn.Linear(spec.width, spec.latent, key=out)

    def __call__(
        self, slots: Slots, facts: ProgramFacts, *, key: PRNGKeyArray | None = None
    ) -> Latent:
        tokens = stack(self._tokens(slots, facts), self.blocks, key=key)
        everyone = jnp.ones(tokens.shape[0], bool)
        return self.latent(self.pooling(tokens, everyone))

    def attention(
        self, slots: Slots, facts: ProgramFacts
    ) -> Float[Array, "layers heads readers clusters"]:
        """How much each reader of each layer attends to the token of each program, for one cell."""
        tokens, found = self._tokens(slots, facts), []
        for block in self.blocks:
            tokens, weights = block.attention(tokens)
            found.append(weights)
        return jnp.stack(found)

    def _tokens(self, slots: Slots, facts: ProgramFacts) -> Float[Array, "clusters width"]:
        """What the first layer reads (Eq. 2)."""
        tokens = jax.vmap(self.expression)(slots)
        if self.semantic is not None and self.semantics is not None:
            tokens = tokens + jax.vmap(self.semantic)(self.semantics(slots, facts.own))
        return tokens + self.position(facts.centroids)


class GeneClusterDecoderSpec(AbstractDecoderSpec):
    """The encoder's mirror (section 3.2); fields as in `GeneClusterEncoderSpec`."""

    width: int = whole(256)
    heads: int = whole(8)
    layers: int = whole(3, least=0)
    mixing: AbstractMixing = InducingPoints()
    mlp_width: int = whole(512)
    dropout: float = real(0.1, least=0, below=1)
    norm: AbstractNormPlacement = PostNorm()
    position: AbstractPosition = RelationalPosition()

    def __check_init__(self) -> None:
        require(self.width % self.heads == 0, self, "width must be a multiple of heads")

    def build(self, sizes: Sizes, *, key: PRNGKeyArray) -> "GeneClusterDecoder":
        return GeneClusterDecoder(self, sizes, key=key)


class GeneClusterDecoder(AbstractDecoder):
    """From a latent back to one cell's expression by program and slot: the encoder's mirror."""

    expand: eqx.nn.Linear
    position: AbstractPositions
    blocks: tuple[AbstractBlock, ...]
    expression: eqx.nn.Linear

    def __init__(self, spec: GeneClusterDecoderSpec, sizes: Sizes, *, key: PRNGKeyArray):
        expand, position, block, out = jr.split(key, 4)
        self.expand = eqx.nn.Linear(sizes.latent, spec.width, key=expand)
        self.position = spec.position.build(
            sizes.programs, sizes.embedding, spec.width, key=position
        )
        self.blocks = _blocks(spec, key=block)
        self.expression = eqx.nn.Linear(spec.width, sizes.slots, key=out)

    def __call__(
        self, latent: Latent, facts: ProgramFacts, *, key: PRNGKeyArray | None = None
    ) -> Slots:
        position = self.position(facts.centroids)
        tokens = jnp.broadcast_to(self.expand(latent)[None, :], position.shape) + position
        tokens = stack(tokens, self.blocks, key=key)
        return jax.vmap(self.expression)(tokens)


def _blocks(
    spec: GeneClusterEncoderSpec | GeneClusterDecoderSpec, *, key: PRNGKeyArray
) -> tuple[AbstractBlock, ...]:
    return tuple(
        spec.mixing.build(
            spec.width,
            heads=spec.heads,
            mlp_width=spec.mlp_width,
            dropout=spec.dropout,
            norm=spec.norm,
            key=block_key,
        )
        for block_key in jr.split(key, spec.layers)
    )
