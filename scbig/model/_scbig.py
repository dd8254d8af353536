"""The model: one pytree of arrays, and the pure functions on it."""

import equinox as eqx
import jax
import jax.numpy as jnp

from scbig._typing import (
    Array,
    ConditionVector,
    Expression,
    ExpressionBatch,
    Float,
    Latent,
    LatentBatch,
    PRNGKeyArray,
)
from scbig.anchor import Moves
from scbig.flow import Transport, Transported
from scbig.nn import (
    AbstractConditionEncoder,
    AbstractDecoder,
    AbstractEncoder,
    AbstractVelocity,
    ProgramFacts,
)
from scbig.programs import AbstractPartition

from ._emission import AbstractEmission, Decoded
from ._tokens import ConditionTokens


class ScBIG(eqx.Module):
    """Gene programs, autoencoder, condition tables and velocity field.

    `encode`, `decode` and `condition` act on one cell or one condition: `vmap` them. Latents are
    shifted and scaled to mean 0 and variance 1 over the training cells, if the method says so.

    **Fields:** `partition`, the gene programs; `facts`, what is known of them; `mean`, the
    training cells' mean expression; `shift` and `scale` of latents; `tokens`, the vector of each
    perturbation; `contexts`, the vector of each context, `None` for a model that does not tell
    contexts apart; and the four networks.
    """

    partition: AbstractPartition
    facts: ProgramFacts
    mean: Expression
    encoder: AbstractEncoder
    decoder: AbstractDecoder
    shift: Latent
    scale: Latent
    tokens: Float[Array, "perturbations features"]
    contexts: Float[Array, "contexts context_features"] | None
    condition_encoder: AbstractConditionEncoder
    velocity: AbstractVelocity

    def encode(self, expression: Expression, *, key: PRNGKeyArray | None = None) -> Latent:
        """Latent of one cell of log-normalised expression; dropout acts if a key is given."""
        slots = self.partition.gather(expression - self.mean)
        return (self.encoder(slots, self.facts, key=key) - self.shift) / self.scale

    def decode(self, latent: Latent, *, key: PRNGKeyArray | None = None) -> Expression:
        """Log-normalised expression of one latent; dropout acts if a key is given."""
        slots = self.decoder(latent * self.scale + self.shift, self.facts, key=key)
        return self.partition.scatter(slots) + self.mean

    def condition(
        self, tokens: ConditionTokens, *, key: PRNGKeyArray | None = None
    ) -> ConditionVector:
        """Encoded condition, in its context, of what names were resolved to."""
        vectors = jnp.concatenate([self.tokens[tokens.rows], tokens.doses], axis=1)
        context = None if self.contexts is None else self.contexts[tokens.context]
        return self.condition_encoder(vectors, tokens.mask, context, key=key)

    def transport(
        self,
        latents: Float[Array, "groups cells latent"],
        conditions: Float[Array, "groups condition"],
        solve: Transport,
        *,
        throw: bool = True,
    ) -> Transported:
        """Latents carried along the flow, each group under its own encoded condition.

        **Arguments:** `solve`, how the flow is solved; `throw`, whether a solve that ran out of
        steps is an error or a flag of the result.
        """
        return solve(self.velocity, latents, conditions, throw=throw)

    def predict(
        self,
        starts: ExpressionBatch,
        latents: LatentBatch,
        tokens: ConditionTokens,
        solve: Transport,
        emission: AbstractEmission,
        moves: Moves | None = None,
        *,
        batch: int = 256,
    ) -> tuple[ExpressionBatch, Transported]:
        """The cells that one condition makes of some cells, which may be negative, and the solve.

        **Arguments:** `starts`, cells of log-normalised expression, and the `latents` of them that
        the flow starts from; `tokens`, of the condition in its context; `moves`, what made the
        latents' cells of controls, if there is an anchor: `starts` are then those of
        `moves.whole`; `batch`, cells that are decoded at once.
        """
        condition = self.condition(tokens)
        moved = self.transport(latents[None], condition[None], solve, throw=False)
        decode = lambda x: jax.lax.map(self.decode, x, batch_size=min(batch, x.shape[0]))
        after = decode(moved.latents[0])
        before = after if isinstance(emission, Decoded) else decode(latents)
        share = jnp.ones(()) if moves is None else moves.open
        return emission(starts, before, after, jnp.any(tokens.mask), share), moved

    def encode_cells(self, expression: ExpressionBatch, *, batch: int = 256) -> LatentBatch:
        """Latents of many cells, `batch` at a time; without dropout."""
        return _encode_cells(self, expression, batch)

    def decode_cells(self, latents: LatentBatch, *, batch: int = 256) -> ExpressionBatch:
        """Expression of many latents, `batch` at a time; without dropout."""
        return _decode_cells(self, latents, batch)


@eqx.filter_jit
def _encode_cells(model: ScBIG, expression: ExpressionBatch, batch: int) -> LatentBatch:
    return jax.lax.map(model.encode, expression, batch_size=min(batch, expression.shape[0]))


@eqx.filter_jit
def _decode_cells(model: ScBIG, latents: LatentBatch, batch: int) -> ExpressionBatch:
    return jax.lax.map(model.decode, latents, batch_size=min(batch, latents.shape[0]))
