"""From transported latents to the cells of a prediction."""

import abc

import jax.numpy as jnp

from scbig._typing import Array, Bool, ExpressionBatch, Scalar
from scbig._value import Value, real


class AbstractEmission(Value):
    """What a predicted cell is made of."""

    @abc.abstractmethod
    def __call__(
        self,
        starts: ExpressionBatch,
        before: ExpressionBatch,
        after: ExpressionBatch,
        perturbed: Bool[Array, ""],
        share: Scalar,
    ) -> ExpressionBatch:
        """Returns predicted cells, which may be negative.

        **Arguments:** `starts`, what is predicted without a flow; `before`, the latents that the
        flow started from, decoded; `after`, their transported latents, decoded; `perturbed`,
        whether the condition has a perturbation; `share`, of the change of the mean, which of a
        condition whose mean was measured is none.
        """


class Decoded(AbstractEmission):
    """The decoded latent: as published. What the autoencoder loses of a cell counts as a change."""

    def __call__(
        self,
        starts: ExpressionBatch,
        before: ExpressionBatch,
        after: ExpressionBatch,
        perturbed: Bool[Array, ""],
        share: Scalar,
    ) -> ExpressionBatch:
        return after


class Changed(AbstractEmission):
    """The cell that the flow started from, plus what the flow changed of it, decoded.

    What the autoencoder loses of a cell is in it, and its bias cancels; without a perturbation the
    cell comes back as it was.

    **Fields:** `mean`, the share of the change of the population's mean that is let in: 1 all of
    it; 0 leaves the mean to the anchor, and only differences between cells to the flow, as it
    is for conditions whose mean was measured.
    """

    mean: float = real(1.0, least=0, most=1)

    def __call__(
        self,
        starts: ExpressionBatch,
        before: ExpressionBatch,
        after: ExpressionBatch,
        perturbed: Bool[Array, ""],
        share: Scalar,
    ) -> ExpressionBatch:
        change = after - before
        change = change - (1 - self.mean * share) * jnp.mean(change, axis=0, keepdims=True)
        return starts + jnp.where(perturbed, change, 0.0)
