"""What every network of the method is, and the specs that a configuration names them by."""

import abc
from typing import Any, Protocol, runtime_checkable

import equinox as eqx

from scbig._typing import (
    Array,
    ConditionVector,
    Float,
    Latent,
    PRNGKeyArray,
    Scalar,
    Slots,
    TokenMask,
    TokenSet,
)
from scbig._value import Value

from ._facts import ProgramFacts, ProgramSlots


class Sizes(eqx.Module):
    """The sizes that the data decide, and those that networks agree on.

    **Fields:** `programs` and `slots` of a gene partition; `embedding`, entries of a gene's
    embedding, `None` without embeddings; `token`, entries of a perturbation's vector with its dose;
    `context`, entries of a context's vector, `None` without contexts; `latent` and `condition`,
    entries of a latent and of an encoded condition.
    """

    programs: int
    slots: int
    embedding: int | None
    token: int
    context: int | None
    latent: int
    condition: int


class AbstractEncoder(eqx.Module):
    """From one cell's expression, gathered into programs, to its latent."""

    @abc.abstractmethod
    def __call__(
        self, slots: Slots, facts: ProgramFacts, *, key: PRNGKeyArray | None = None
    ) -> Latent:
        """Returns the latent of one cell.

        **Arguments:** `slots`, centred log expression by program and slot, padding zero; `facts`,
        what is known of the programs; `key`, for dropout, which acts only if it is given.
        """


class AbstractDecoder(eqx.Module):
    """From a latent back to one cell's expression by program and slot."""

    @abc.abstractmethod
    def __call__(
        self, latent: Latent, facts: ProgramFacts, *, key: PRNGKeyArray | None = None
    ) -> Slots:
        """Returns centred log expression by program and slot; unused slots hold anything."""


@runtime_checkable
class InClosedForm(Protocol):
    """An encoder or a decoder that stage 1 fits to principal components, in place of training it.

    It may train in stage 2 all the same.
    """

    def fitted(self, axes: Float[Array, "latent clusters slots"]) -> Any:
        """Returns the network of these components.

        **Arguments:** `axes`, of length one and at right angles, each gathered into programs as a
        cell is, padding zero; the first has most of the training cells' variance.
        """
        ...


class AbstractConditionEncoder(eqx.Module):
    """From a set of perturbations, and the context that they meet, to one vector."""

    @abc.abstractmethod
    def __call__(
        self,
        tokens: TokenSet,
        mask: TokenMask,
        context: Float[Array, " context_features"] | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> ConditionVector:
        """Returns the encoded condition; dropout acts only if a key is given.

        **Arguments:** `tokens`, one vector for each perturbation, padded: its pretrained embedding,
        and its dose where there are doses; `mask`, true where a token is real; `context`, the
        vector of the cells' context, for an encoder that was made with contexts.
        """


class AbstractVelocity(eqx.Module):
    """A vector field `v(t, z, c)`."""

    @abc.abstractmethod
    def __call__(
        self, t: Scalar, z: Latent, c: ConditionVector, *, key: PRNGKeyArray | None = None
    ) -> Latent:
        """Returns `dz/dt` of one cell at flow time `t` in [0, 1]."""


class AbstractEncoderSpec(Value):
    """Describes an encoder. Every spec has `latent`, the entries of the latent that it makes."""

    latent: eqx.AbstractVar[int]

    @abc.abstractmethod
    def build(self, sizes: Sizes, *, key: PRNGKeyArray) -> AbstractEncoder:
        """The untrained encoder."""

    @abc.abstractmethod
    def prepare(
        self, programs: ProgramSlots, embeddings: Float[Array, "genes features"] | None
    ) -> Any:
        """Arrays that the encoder reads and never trains, found as `facts.own`; or `None`.

        **Arguments:** `embeddings`, if there are any: each feature standardised over the genes
        that have an embedding, zeros for the others.
        """


class AbstractDecoderSpec(Value):
    """Describes a decoder."""

    @abc.abstractmethod
    def build(self, sizes: Sizes, *, key: PRNGKeyArray) -> AbstractDecoder:
        """The untrained decoder."""


class AbstractConditionSpec(Value):
    """Describes a condition encoder. Every spec has `width`, the entries of what it makes."""

    width: eqx.AbstractVar[int]

    @abc.abstractmethod
    def build(self, sizes: Sizes, *, key: PRNGKeyArray) -> AbstractConditionEncoder:
        """The untrained condition encoder."""


class AbstractVelocitySpec(Value):
    """Describes a velocity field."""

    @abc.abstractmethod
    def build(self, sizes: Sizes, *, key: PRNGKeyArray) -> AbstractVelocity:
        """The untrained velocity field."""
