"""A basal latent that tells nothing of what was done, plus codes of that: CPA."""

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from scbig._typing import (
    Array,
    Bool,
    Expression,
    ExpressionBatch,
    Float,
    Int,
    Latent,
    PRNGKeyArray,
    Scalar,
)
from scbig._value import real, whole
from scbig.data import Condition
from scbig.objective import Adam, Metrics
from scbig.response import DoseScale

from ._cell_decoder import CellDecoder
from ._cells import Batch, Encoded, Facts
from ._gene_table import bare_names
from ._likelihoods import AbstractLikelihood, NegativeBinomial
from ._mlp import Perceptron
from ._network import AbstractNetwork, AbstractNetworkRecipe
from ._training import Fixed, Training


class Codes(eqx.Module):
    """A code of each perturbation, of which there is more or less by its dose.

    **Fields:** `table`; `half`, logarithm of the dose with half of the code, and `steep`, logarithm
    of the steepness there, of each perturbation; `owner`, the perturbation of each label;
    `logs`, of each label's dose over the usual one, infinite without a dose.
    """

    table: Float[Array, "names latent"]
    half: Float[Array, " names"]
    steep: Float[Array, " names"]
    owner: Int[Array, " perturbations"]
    logs: Fixed

    @classmethod
    def of(cls, facts: Facts, latent: int) -> "Codes":
        """Zeros, which is what a perturbation keeps that training never sees."""
        names, owner, _ = bare_names(facts)
        scale = DoseScale.of(facts.screen.conditions)
        labels = [Condition.parse(label) for label in facts.perturbations]
        logs = np.array([scale.logs(label)[0] for label in labels], np.float32)
        blank = jnp.zeros(len(names))
        return cls(
            table=jnp.zeros((len(names), latent)),
            half=blank,
            steep=blank,
            owner=jnp.asarray(owner, jnp.int32),
            logs=Fixed(jnp.asarray(logs)),
        )

    def __call__(self, counts: Float[Array, " perturbations"]) -> Latent:
        """The sum of the codes of a condition's perturbations."""
        return (counts * self._shares()) @ self.table[self.owner]

    def names(self, counts: Float[Array, " perturbations"]) -> Float[Array, " names"]:
        """One for each perturbation of a condition, whatever its dose."""
        return jnp.zeros(len(self.table)).at[self.owner].add(counts)

    def _shares(self) -> Float[Array, " perturbations"]:
        dosed = jnp.isfinite(self.logs.value)
        logs = jnp.where(dosed, self.logs.value, 0.0)
        steep, half = jnp.exp(self.steep)[self.owner], self.half[self.owner]
        share = jax.nn.sigmoid(steep * (logs - half))
        return jnp.where(dosed, share, 1.0)


class CPANetwork(AbstractNetwork):
    """**Fields:**

    - `encoder`, of a cell to its basal latent; `codes`, of perturbations; `contexts`, a code each;
        `decoder`, of the sum.
    - `accusers`, which guess the perturbation of a basal latent and its context.
    - `strength`, times a nat of a guess counts for the encoder as a nat of a cell's probability.
    """

    emits: ClassVar[Literal["cells", "mean"]] = "cells"
    anew: ClassVar[bool] = True
    encoder: Perceptron
    codes: Codes
    contexts: Float[Array, "contexts latent"]
    decoder: CellDecoder
    accusers: tuple[Perceptron, Perceptron]
    strength: float = eqx.field(static=True)

    def loss(self, batch: Batch, *, key: PRNGKeyArray) -> tuple[Scalar, Metrics]:
        """Less the log probability of a cell, for each gene, and what the accusers are off by.

        They descend that, and the encoder ascends it.
        """
        both = jnp.stack([batch.controls, batch.perturbed], axis=1)
        counts = jnp.stack([jnp.zeros_like(batch.condition.counts), batch.condition.counts], axis=1)
        context = jnp.stack([batch.condition.context] * 2, axis=1)
        each = jax.vmap(jax.vmap(jax.vmap(self._terms, in_axes=(0, None, 0))))
        keys = jr.split(key, both.shape[:3])
        fits, what, where = each(both, Encoded(counts, context), keys)
        metrics = {"fit": jnp.mean(fits), "which": jnp.mean(what), "context": jnp.mean(where)}
        return jnp.mean(what) + jnp.mean(where) - jnp.mean(fits) / both.shape[-1], metrics

    def carry(
        self, controls: ExpressionBatch, condition: Encoded, *, key: PRNGKeyArray
    ) -> ExpressionBatch:
        moved = self.codes(condition.counts)
        context = condition.context @ self.contexts

        def one(cell: Expression, key: PRNGKeyArray) -> Expression:
            origin = self.encoder(cell) + context
            return self.decoder.draw(cell, origin, origin + moved, key=key)

        return jax.vmap(one)(controls, jr.split(key, len(controls)))

    def _terms(
        self, cell: Expression, condition: Encoded, key: PRNGKeyArray
    ) -> tuple[Scalar, Scalar, Scalar]:
        """Log probability of a cell, and surprise of both accusers at what was done to it."""
        first, second = jr.split(key)
        basal = self.encoder(cell, key=first)
        latent = basal + self.codes(condition.counts) + condition.context @ self.contexts
        fits = self.decoder.log_prob(cell, latent, key=second)
        shown = reversed_gradient(basal, self.strength / cell.shape[0])
        named = self.codes.names(condition.counts)
        done = jnp.append(named, jnp.where(jnp.any(named > 0), 0.0, 1.0))  # the last: nothing
        which, where = self.accusers
        return fits, surprise(which(shown), done), surprise(where(shown), condition.context)


class CPA(AbstractNetworkRecipe):
    """The compositional perturbation autoencoder (Lotfollahi et al., Mol. Syst. Biol. 2023).

    Cells, perturbed ones and controls, are made from their own basal latent, codes of their
    perturbations and a code of their context. The basal latent is to tell neither: two networks
    guess them from it, and the encoder learns to make them fail. A control becomes a perturbed
    cell by its own basal latent with other codes. A perturbation that training never saw has a
    code of zeros, and so has a context: it is predicted as controls are. Where perturbations have
    doses, they share the code of the perturbation, of which a trained sigmoid takes a share.

    What differs: both sides of the game descend at once, through a reversed gradient, where the
    original alternates and bounds the accusers' gradient; a combination is guessed by its parts;
    layers have layer norm without parameters; a control needs no code of its own; no cells are
    mixed; the dose's sigmoid is in its logarithm. Published sizes for Norman 2019 are latents of
    32, four layers of 256 in the encoder and two in the decoder, accusers of two layers of 128 at
    a strength of 10 and batches of 2,048.

    **Fields:** `latent`, entries of a latent; `width` and `layers`, of the hidden layers of encoder
    and decoder; `accuser`, width of the one hidden layer of the networks that guess; `strength`,
    times a nat of a guess counts as a nat of a cell's probability; `dropout`, of encoder and
    decoder; `likelihood`; `training`.
    """

    latent: int = whole(32)
    width: int = whole(256)
    layers: int = whole(1)
    accuser: int = whole(128)
    strength: float = real(10.0, least=0)
    dropout: float = real(0.0, least=0, below=1)
    likelihood: AbstractLikelihood = NegativeBinomial()
    training: Training = Training(optimiser=Adam(3e-3), groups=128, steps=1500)

    def knows(self, facts: Facts) -> Bool[np.ndarray, " perturbations"]:
        """Also other doses of what training has."""
        _, owner, seen = bare_names(facts)
        return seen[owner]

    def build(self, facts: Facts, *, key: PRNGKeyArray) -> CPANetwork:
        """The untrained network.

        **Raises:** a ValueError for cells that cannot have the likelihood.
        """
        keys = jr.split(key, 4)
        genes, contexts, latent = facts.screen.num_genes, len(facts.contexts), self.latent
        codes = Codes.of(facts, latent)
        make = lambda inputs, outputs, key: Perceptron.of(
            inputs, self.width, outputs, self.layers, dropout=self.dropout, key=key
        )
        accuse = lambda outputs, key: Perceptron.of(latent, self.accuser, outputs, 1, key=key)
        return CPANetwork(
            encoder=make(genes, latent, keys[0]),
            codes=codes,
            contexts=jnp.zeros((contexts, latent)),
            decoder=CellDecoder.of(make(latent, genes, keys[1]), self.likelihood, facts),
            accusers=(accuse(len(codes.table) + 1, keys[2]), accuse(contexts, keys[3])),
            strength=self.strength,
        )


def reversed_gradient(x: Latent, strength: float) -> Latent:
    """The same, but what descends a loss of it ascends that loss in what it is made of."""
    still = jax.lax.stop_gradient(x)
    return still - strength * (x - still)


def surprise(logits: Float[Array, " classes"], truth: Float[Array, " classes"]) -> Scalar:
    """Cross entropy of a guess; several true classes have equal shares, and none is no surprise."""
    share = truth / jnp.maximum(jnp.sum(truth), 1.0)
    return -jnp.sum(share * jax.nn.log_softmax(logits))
