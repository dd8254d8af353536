"""Sparse additive shifts of a variational latent, decoded to counts: samsVAE."""

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import (
    Array,
    Expression,
    ExpressionBatch,
    Float,
    Latent,
    PRNGKeyArray,
    Scalar,
)
from scbig._value import real, whole
from scbig.objective import Adam, Metrics

from ._cell_decoder import CellDecoder
from ._cells import Batch, Encoded, Facts
from ._likelihoods import AbstractLikelihood, NegativeBinomial
from ._mlp import Perceptron
from ._network import AbstractNetwork, AbstractNetworkRecipe
from ._training import Training


class SparseShifts(eqx.Module):
    """A posterior of the shift of each perturbation, most of whose entries are masked out.

    An entry that the mask leaves out has the prior, a standard normal, of which nothing is read.

    **Fields:** `mean` and `log_scale`, of entries that the mask leaves in; `logits`, of the mask;
    `prior`, probability that it leaves one in; `temperature`, of the gradient through a mask.
    """

    mean: Float[Array, "perturbations latent"]
    log_scale: Float[Array, "perturbations latent"]
    logits: Float[Array, "perturbations latent"]
    prior: float = eqx.field(static=True)
    temperature: float = eqx.field(static=True)

    def draw(self, *, key: PRNGKeyArray) -> Float[Array, "perturbations latent"]:
        """A draw of all, whose gradient is that of a relaxed mask."""
        noise, toss = jr.split(key)
        shape, dtype = self.mean.shape, self.mean.dtype
        drawn = self.mean + jnp.exp(self.log_scale) * jr.normal(noise, shape, dtype)
        tossed = self.logits + jr.logistic(toss, shape, dtype)
        soft = jax.nn.sigmoid(tossed / self.temperature)
        mask = soft + jax.lax.stop_gradient((tossed > 0).astype(dtype) - soft)
        return drawn * mask

    def expected(self) -> Float[Array, "perturbations latent"]:
        """The posterior means; 0 for a perturbation that was not trained."""
        return self.mean * jax.nn.sigmoid(self.logits)

    def divergence(self) -> Scalar:
        """Kullback-Leibler divergence of the posterior from the prior, summed over all entries."""
        chance = jax.nn.sigmoid(self.logits)
        kept = chance * (jax.nn.log_sigmoid(self.logits) - jnp.log(self.prior))
        left = (1.0 - chance) * (jax.nn.log_sigmoid(-self.logits) - jnp.log1p(-self.prior))
        return jnp.sum(kept + left + chance * divergence(self.mean, self.log_scale))


class SamsVAENetwork(AbstractNetwork):
    """**Fields:** `encoder`, of a cell and its shift; `shifts`; `decoder`; `cells`, in training."""

    emits: ClassVar[Literal["cells", "mean"]] = "cells"
    anew: ClassVar[bool] = True
    encoder: Perceptron
    shifts: SparseShifts
    decoder: CellDecoder
    cells: int = eqx.field(static=True)

    def loss(self, batch: Batch, *, key: PRNGKeyArray) -> tuple[Scalar, Metrics]:
        """Less the evidence lower bound of a cell, for each gene."""
        shift_key, key = jr.split(key)
        table = self.shifts.draw(key=shift_key)
        moved = batch.condition.counts @ table
        both = jnp.stack([batch.controls, batch.perturbed], axis=1)
        shift = jnp.stack([jnp.zeros_like(moved), moved], axis=1)
        keys = jr.split(key, both.shape[:3])
        bound = jax.vmap(jax.vmap(jax.vmap(self._bound, in_axes=(0, None, 0))))
        fits, basal = bound(both, shift, keys)
        shared = self.shifts.divergence() / self.cells
        genes = both.shape[-1]
        metrics = {"basal": jnp.mean(basal), "shared": shared}
        return (jnp.mean(basal - fits) + shared) / genes, metrics

    def carry(
        self, controls: ExpressionBatch, condition: Encoded, *, key: PRNGKeyArray
    ) -> ExpressionBatch:
        shift = condition.counts @ self.shifts.expected()

        def one(cell: Expression, key: PRNGKeyArray) -> Expression:
            latent_key, draw_key = jr.split(key)
            mean, log_scale = self._encoded(cell, jnp.zeros_like(shift), None)
            basal = mean + jnp.exp(log_scale) * jr.normal(latent_key, mean.shape, mean.dtype)
            return self.decoder.draw(cell, basal, basal + shift, key=draw_key)

        return jax.vmap(one)(controls, jr.split(key, len(controls)))

    def _bound(self, cell: Expression, shift: Latent, key: PRNGKeyArray) -> tuple[Scalar, Scalar]:
        """Log probability of a cell at a draw of its basal latent, and that latent's divergence."""
        first, second, third = jr.split(key, 3)
        mean, log_scale = self._encoded(cell, shift, first)
        basal = mean + jnp.exp(log_scale) * jr.normal(second, mean.shape, mean.dtype)
        fits = self.decoder.log_prob(cell, basal + shift, key=third)
        return fits, jnp.sum(divergence(mean, log_scale))

    def _encoded(
        self, cell: Expression, shift: Latent, key: PRNGKeyArray | None
    ) -> tuple[Latent, Latent]:
        mean, log_scale = jnp.split(self.encoder(jnp.concatenate([cell, shift]), key=key), 2)
        return mean, jnp.clip(log_scale, -6.0, 2.0)


class SamsVAE(AbstractNetworkRecipe):
    """samsVAE (Bereket and Karaletsos, NeurIPS 2023, arXiv 2311.02794).

    A cell's latent is a basal part, of its own, and the sum of the shifts of its perturbations,
    each masked to few entries. Both have posteriors, trained by the evidence lower bound, in which
    what all cells share counts once: as one cell in the number of training cells. A control
    becomes a perturbed cell by a draw of its basal latent, the posterior mean of the shift, and
    drawn counts. A perturbation that training never saw keeps its prior mean, 0: it is predicted
    as controls are. Two doses are two perturbations.

    What differs: masks are drawn hard, with the gradient of a relaxed draw; layers have layer norm
    without parameters; conditions are drawn alike however many their cells, with as many controls;
    one draw of what is shared serves a whole batch. Published sizes for Norman 2019 are latents of
    200, four layers of 400, Adam at 3e-4 for 30,000 steps of 512 cells and a prior of 0.01.

    **Fields:** `latent`, entries of a latent; `width` and `layers`, of the hidden layers of encoder
    and decoder; `dropout`; `prior`, probability that a mask leaves an entry in; `temperature`, of
    the relaxed mask; `likelihood`; `training`.
    """

    latent: int = whole(32)
    width: int = whole(256)
    layers: int = whole(1)
    dropout: float = real(0.0, least=0, below=1)
    prior: float = real(0.01, above=0, below=1)
    temperature: float = real(1.0, above=0)
    likelihood: AbstractLikelihood = NegativeBinomial()
    training: Training = Training(optimiser=Adam(3e-3), groups=128, steps=2500)

    def build(self, facts: Facts, *, key: PRNGKeyArray) -> SamsVAENetwork:
        """The untrained network.

        **Raises:** a ValueError for cells that cannot have the likelihood.
        """
        first, second = jr.split(key)
        genes, latent = facts.screen.num_genes, self.latent
        make = lambda inputs, outputs, key: Perceptron.of(
            inputs, self.width, outputs, self.layers, dropout=self.dropout, key=key
        )
        blank = jnp.zeros((len(facts.perturbations), latent))
        return SamsVAENetwork(
            encoder=make(genes + latent, 2 * latent, first),
            shifts=SparseShifts(blank, blank - 2.0, blank, self.prior, self.temperature),
            decoder=CellDecoder.of(make(latent, genes, second), self.likelihood, facts),
            cells=facts.screen.num_cells,
        )


def divergence(mean: Array, log_scale: Array) -> Array:
    """Kullback-Leibler divergence of normals from the standard one, entry by entry."""
    return 0.5 * (mean**2 + jnp.exp(2.0 * log_scale) - 1.0) - log_scale
