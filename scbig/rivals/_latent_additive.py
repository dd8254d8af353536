"""The latent of a control plus the code of a condition, decoded: PerturBench's latent additive."""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, Expression, ExpressionBatch, Float, PRNGKeyArray, Scalar
from scbig._value import real, whole
from scbig.objective import Adam, Metrics

from ._cells import Batch, Encoded, Facts
from ._mlp import Perceptron
from ._network import AbstractNetwork, AbstractNetworkRecipe
from ._training import Training


class LatentAdditiveNetwork(AbstractNetwork):
    """Three perceptrons.

    **Fields:** `encoder`, of a cell and its context; `codes`, of the perturbations of a condition;
    `decoder`, of a latent and the context.
    """

    emits: ClassVar[Literal["cells", "mean"]] = "mean"
    anew: ClassVar[bool] = False  # it never decodes a control in training: no change is known
    encoder: Perceptron
    codes: Perceptron
    decoder: Perceptron

    def carry(
        self, controls: ExpressionBatch, condition: Encoded, *, key: PRNGKeyArray
    ) -> ExpressionBatch:
        return jax.vmap(lambda cell: self._carry(cell, condition))(controls)

    def loss(self, batch: Batch, *, key: PRNGKeyArray) -> tuple[Scalar, Metrics]:
        """Mean squared error of each perturbed cell from what a control of its context becomes."""
        drawn, cells = batch.controls.shape[:2]
        keys = jr.split(key, (drawn, cells))
        of_group = jax.vmap(self._carry, in_axes=(0, None, 0))
        made = jax.vmap(of_group)(batch.controls, batch.condition, keys)
        return jnp.mean((made - batch.perturbed) ** 2), {}

    def _carry(
        self, cell: Expression, condition: Encoded, key: PRNGKeyArray | None = None
    ) -> Float[Array, " genes"]:
        own = (None, None, None) if key is None else tuple(jr.split(key, 3))
        latent = self.encoder(jnp.concatenate([cell, condition.context]), key=own[0])
        moved = latent + self.codes(condition.counts, key=own[1])
        decoded = self.decoder(jnp.concatenate([moved, condition.context]), key=own[2])
        return jax.nn.softplus(decoded)


class LatentAdditive(AbstractNetworkRecipe):
    """The latent additive model of PerturBench (Wu et al. 2024), trained by squared error.

    A perturbation that training never saw leads to untrained weights: what is predicted of it says
    nothing. Sizes are for small screens; the published ones for Norman 2019 are latents of 160,
    three layers of 3,072, a rate of 7e-5.

    **Fields:** `latent`, entries of a latent; `width` and `layers`, of the hidden layers of each
    network; `dropout`; `training`.
    """

    latent: int = whole(64)
    width: int = whole(256)
    layers: int = whole(1)
    dropout: float = real(0.1, least=0, below=1)
    training: Training = Training(optimiser=Adam(1e-3), groups=256, steps=1500)

    def build(self, facts: Facts, *, key: PRNGKeyArray) -> LatentAdditiveNetwork:
        genes, names = facts.screen.num_genes, len(facts.perturbations)
        contexts = len(facts.contexts)
        first, second, third = jr.split(key, 3)
        make = lambda inputs, outputs, key: Perceptron.of(
            inputs, self.width, outputs, self.layers, dropout=self.dropout, key=key
        )
        return LatentAdditiveNetwork(
            encoder=make(genes + contexts, self.latent, first),
            codes=make(names, self.latent, second),
            decoder=make(self.latent + contexts, genes, third),
        )
