"""What the encoder and the decoder read of each gene program's embeddings (section 3.2)."""

import abc
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp

from scbig._typing import Array, Expression, Float, PRNGKeyArray, Slots
from scbig._value import Value


@runtime_checkable
class ProgramSlots(Protocol):
    """Genes in the slots of programs, as `scbig.programs.AbstractPartition` has them."""

    def gather(self, x: Expression) -> Slots:
        """Genes in their slots; zero in the padding."""
        ...

    def average(self, x: Expression) -> Float[Array, " clusters"]:
        """Mean over the genes of each program."""
        ...


class ProgramFacts(eqx.Module):
    """What is known of each program beside its genes' expression; never trained.

    **Fields:** `centroids`, the normalised mean embedding `p_k` of each program, zero where none of
    its genes has an embedding, `None` without gene embeddings; `own`, what the encoder's spec
    prepared.
    """

    centroids: Float[Array, "clusters features"] | None
    own: Any = None


class AbstractSemantics(Value):
    """The embedding stream `e_k` of Eq. 2."""

    @abc.abstractmethod
    def prepare(
        self, programs: ProgramSlots, embeddings: Float[Array, "genes features"]
    ) -> Float[Array, "clusters ..."]:
        """What is kept of the genes' embeddings."""

    @abc.abstractmethod
    def __call__(
        self, slots: Slots, kept: Float[Array, "clusters ..."]
    ) -> Float[Array, "clusters features"]:
        """Returns one vector for each program of a cell, from its slots and what was kept."""


class MeanSemantics(AbstractSemantics):
    """`e_k`: the mean embedding of the program's genes, the same for all cells."""

    def prepare(
        self, programs: ProgramSlots, embeddings: Float[Array, "genes features"]
    ) -> Float[Array, "clusters features"]:
        return jax.vmap(programs.average, in_axes=1, out_axes=1)(embeddings)

    def __call__(
        self, slots: Slots, kept: Float[Array, "clusters features"]
    ) -> Float[Array, "clusters features"]:
        return kept


class WeightedSemantics(AbstractSemantics):
    """`e_k = sum_c X_kc E_g(k,c) / C`: the genes' embeddings weighted by the cell's expression."""

    def prepare(
        self, programs: ProgramSlots, embeddings: Float[Array, "genes features"]
    ) -> Float[Array, "clusters slots features"]:
        return jax.vmap(programs.gather, in_axes=1, out_axes=2)(embeddings)

    def __call__(
        self, slots: Slots, kept: Float[Array, "clusters slots features"]
    ) -> Float[Array, "clusters features"]:
        return jnp.einsum("kc,kcd->kd", slots, kept) / slots.shape[1]


class AbstractPositions(eqx.Module):
    """One vector for each program, added to its token."""

    @abc.abstractmethod
    def __call__(
        self, centroids: Float[Array, "clusters features"] | None
    ) -> Float[Array, "clusters width"]:
        """Returns the vectors, given the programs' centroids."""


class AbstractPosition(Value):
    """How programs are told apart; `build` makes it for tokens of a width."""

    @abc.abstractmethod
    def build(
        self, programs: int, embedding: int | None, width: int, *, key: PRNGKeyArray
    ) -> AbstractPositions:
        """The positions of so many programs, of embeddings of so many entries."""


class RelationalPosition(AbstractPosition):
    """By what their genes are: a map of the centroid of each program's embeddings.

    A program of which no gene has an embedding has no centroid, and a trained vector in its place.
    """

    reads = ("genes",)

    def build(
        self, programs: int, embedding: int | None, width: int, *, key: PRNGKeyArray
    ) -> "PositionEncoding":
        if embedding is None:
            raise ValueError(
                "RelationalPosition reads gene embeddings, and there are none: give Priors "
                "genes=, or choose LearnedPosition() in the encoder and the decoder."
            )
        return PositionEncoding(programs, embedding, width, key=key)


class PositionEncoding(AbstractPositions):
    """Relational position encoding `LayerNorm(W_p p_k)`, without bias (section 3.2).

    **Fields:** `vectors`, of which a program whose centroid is zero takes its own instead: mapped,
    such centroids would give one position to them all, which a decoder could not tell apart.
    """

    linear: eqx.nn.Linear
    norm: eqx.nn.LayerNorm
    vectors: Float[Array, "clusters width"]

    def __init__(self, programs: int, features: int, width: int, *, key: PRNGKeyArray):
        linear, vectors = jax.random.split(key)
        self.linear = eqx.nn.Linear(features, width, use_bias=False, key=linear)
        self.norm = eqx.nn.LayerNorm(width)
        self.vectors = _vectors(programs, width, key=vectors)

    def __call__(
        self, centroids: Float[Array, "clusters features"] | None
    ) -> Float[Array, "clusters width"]:
        assert centroids is not None  # `build` was told that there are embeddings
        known = jnp.any(centroids != 0, axis=1, keepdims=True)
        mapped = jax.vmap(lambda p: self.norm(self.linear(p)))(centroids)
        return jnp.where(known, mapped, self.vectors)


class LearnedPosition(AbstractPosition):
    """By their number alone: a trained vector for each program; needs no embeddings."""

    def build(
        self, programs: int, embedding: int | None, width: int, *, key: PRNGKeyArray
    ) -> "LearnedPositions":
        return LearnedPositions(_vectors(programs, width, key=key))


class LearnedPositions(AbstractPositions):
    """What `LearnedPosition` builds."""

    vectors: Float[Array, "clusters width"]

    def __call__(
        self, centroids: Float[Array, "clusters features"] | None
    ) -> Float[Array, "clusters width"]:
        return self.vectors


def _vectors(programs: int, width: int, *, key: PRNGKeyArray) -> Float[Array, "{programs} {width}"]:
    """Untrained positions."""
    return 0.02 * jax.random.normal(key, (programs, width))
