"""The model: one pytree with everything that a prediction needs."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import anndata as ad
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from scbig._typing import (
    Array,
    ConditionVector,
    Expression,
    ExpressionBatch,
    Float,
    Int,
    Latent,
    LatentBatch,
    PRNGKeyArray,
)
from scbig.config import ScBIGConfig, TransportConfig
from scbig.data import check_log_normalised, expression_of
from scbig.flow import Transport, make_transport
from scbig.nn import (
    AbstractVelocity,
    ConditionEncoder,
    GeneClusterDecoder,
    GeneClusterEncoder,
    ProgramPriors,
)
from scbig.programs import AbstractPartition

from ._names import Names
from ._populations import Populations, assemble
from ._tokens import ConditionTokens


class ScBIG(eqx.Module):
    """Gene programs, autoencoder, condition tables and velocity field, with their names.

    `encode`, `decode` and `condition` act on one cell or one condition: `vmap` them. Latents are
    shifted and scaled to mean 0 and variance 1 over the training cells, if the config says so.
    """

    partition: AbstractPartition
    priors: ProgramPriors
    mean: Expression
    encoder: GeneClusterEncoder
    decoder: GeneClusterDecoder
    shift: Latent
    scale: Latent
    tokens: Float[Array, "perturbations features"]
    contexts: Float[Array, "contexts context_features"] | None
    condition_encoder: ConditionEncoder
    velocity: AbstractVelocity
    names: Names = eqx.field(static=True)
    config: ScBIGConfig = eqx.field(static=True)

    def encode(self, expression: Expression, *, key: PRNGKeyArray | None = None) -> Latent:
        """Latent of one cell of log-normalised expression; dropout acts if a key is given."""
        slots = self.partition.gather(expression - self.mean)
        return (self.encoder(slots, self.priors, key=key) - self.shift) / self.scale

    def decode(self, latent: Latent, *, key: PRNGKeyArray | None = None) -> Expression:
        """Log-normalised expression of one latent; dropout acts if a key is given."""
        slots = self.decoder(latent * self.scale + self.shift, self.priors, key=key)
        return self.partition.scatter(slots) + self.mean

    def condition(
        self, tokens: ConditionTokens, *, key: PRNGKeyArray | None = None
    ) -> ConditionVector:
        """Encoded condition, in its context, of what `names.tokens` makes of one label."""
        vectors = jnp.concatenate([self.tokens[tokens.rows], tokens.doses], axis=1)
        context = None if self.contexts is None else self.contexts[tokens.context]
        return self.condition_encoder(vectors, tokens.mask, context, key=key)

    def encode_cells(self, expression: ExpressionBatch, *, batch: int = 256) -> LatentBatch:
        """Latents of many cells, `batch` at a time; without dropout."""
        return _encode_cells(self, expression, batch)

    def decode_cells(self, latents: LatentBatch, *, batch: int = 256) -> ExpressionBatch:
        """Expression of many latents, `batch` at a time; without dropout."""
        return _decode_cells(self, latents, batch)

    def predict(
        self,
        controls: ad.AnnData,
        conditions: Sequence[str],
        *,
        context_key: str | Sequence[str] | None = None,
        key: PRNGKeyArray,
        cells: int | None = None,
        nonnegative: bool = True,
        extra: Literal["error", "ignore"] = "error",
        transport: TransportConfig | None = None,
    ) -> ad.AnnData:
        """Predicts the population that each condition makes of the given control cells.

        With `context_key`, of the control cells of each context.

        **Arguments:**

        - `controls`: log-normalised control cells with the model's genes in any order.
        - `conditions`: labels such as `"CEBPE+KLF1"` or `"Panobinostat@0.1"`; the order within a
            label does not matter. `"control"` is the flow of an empty set, which no training cell
            has shown the model.
        - `context_key`: the column of `obs` with the context of each control cell, or several, as
            in training. Each condition is then predicted in each context, from that context's
            controls alone. A model that was trained with vectors of contexts needs it.
        - `key`: draws the controls if `cells` is given.
        - `cells`: control cells to transport for each condition, in each context; all of them by
            default, drawn with replacement if there are fewer. The result is dense: choose a
            number where many conditions meet many controls.
        - `nonnegative`: whether predicted expression below zero becomes zero.
        - `extra`: whether genes that the model does not have are an error or are left out.
        - `transport`: the solve; the model's own by default.

        **Returns:** an AnnData of predicted cells with the model's genes; `obs["condition"]` is
        the label as given, `obs["source"]` the control cell, whose other columns of `obs`, the
        context's among them, are kept, and `uns["transport"]` the solver's steps for each
        population. One program is compiled for each number of cells, so with `cells` only one.

        **Raises:** `ValueError` naming unknown perturbations, unknown contexts or missing genes,
        or saying why the controls are not log-normalised.
        """
        if isinstance(conditions, str):
            raise ValueError(f"conditions must be a list of labels; got the string {conditions!r}.")
        if not conditions or not controls.n_obs or (cells is not None and cells < 1):
            raise ValueError(
                f"Nothing to predict: {len(conditions)} conditions, {controls.n_obs} controls, "
                f"cells={cells}; each must be at least one."
            )
        if self.contexts is not None and context_key is None:
            raise ValueError(
                "The model tells contexts apart: pass `context_key`, the column of obs with the "
                f"context of each control. It knows {', '.join(self.names.contexts[:10])}."
            )
        wanted = Populations.of(controls, conditions, context_key, cells, key=key)
        tokens = self.names.tokens(
            wanted.conditions, self.config.max_tokens, contexts=wanted.contexts
        )
        expression = expression_of(controls, self.names.genes, extra=extra)
        check_log_normalised(csr_matrix(expression), self.names.genes)
        latents = self.encode_cells(jnp.asarray(expression))
        solve = make_transport(**dataclasses.asdict(transport or self.config.transport))
        parts, steps = [], []
        for place, rows in enumerate(wanted.rows):
            moved = _carry(self, solve, latents[rows], tokens[place])
            values = np.asarray(moved[0])
            parts.append(np.maximum(values, 0.0) if nonnegative else values)
            steps.append((int(moved[1]), int(moved[2])))
        return assemble(wanted, parts, self.names.genes, pd.DataFrame(controls.obs), steps)


@eqx.filter_jit
def _encode_cells(model: ScBIG, expression: ExpressionBatch, batch: int) -> LatentBatch:
    return jax.lax.map(model.encode, expression, batch_size=min(batch, expression.shape[0]))


@eqx.filter_jit
def _decode_cells(model: ScBIG, latents: LatentBatch, batch: int) -> ExpressionBatch:
    return jax.lax.map(model.decode, latents, batch_size=min(batch, latents.shape[0]))


@eqx.filter_jit
def _carry(
    model: ScBIG,
    transport: Transport,
    latents: LatentBatch,
    tokens: ConditionTokens,
) -> tuple[ExpressionBatch, Int[Array, ""], Int[Array, ""]]:
    """Transports and decodes one population; returns expression, solver steps, rejected steps."""
    condition = model.condition(tokens)
    moved = transport(model.velocity, latents[None], condition[None])
    return model.decode_cells(moved.latents[0]), moved.steps, moved.rejected
