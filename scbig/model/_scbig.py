"""The model: one pytree of arrays, and the pure functions on it."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

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
from ._identities import Identities
from ._tokens import ConditionTokens


class ScBIG(eqx.Module):
    """Gene programs, autoencoder, condition tables and velocity field.

    `encode`, `decode` and `condition` act on one cell or one condition: `vmap` them. Latents are
    shifted and scaled to mean 0 and variance 1 over the training cells, if the method says so.

    **Fields:** `partition`, the gene programs; `facts`, what is known of them; `mean`, the
    training cells' mean expression; `shift` and `scale` of latents; `tokens`, the vector of each
    perturbation; `contexts`, the vector of each context, `None` for a model that does not tell
    contexts apart; the four networks; and `identities`, learned vectors beside those of `tokens`,
    `None` for a model without.
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
    identities: Identities | None = None

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
        parts = [self.tokens[tokens.rows], tokens.doses]
        if self.identities is not None:
            parts.append(self.identities(tokens.rows, tokens.mask))
        vectors = jnp.concatenate(parts, axis=1)
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
        """Latents of many cells, `batch` at a time; without dropout. Not to be compiled."""
        return _in_pieces(_encode_cells, self, expression, batch)

    def decode_cells(self, latents: LatentBatch, *, batch: int = 256) -> ExpressionBatch:
        """Expression of many latents, `batch` at a time; without dropout. Not to be compiled."""
        return _in_pieces(_decode_cells, self, latents, batch)


def _in_pieces(
    apply: Callable[[ScBIG, Float[Array, "batch inputs"]], Float[Array, "batch outputs"]],
    model: ScBIG,
    values: Float[Array, "rows inputs"],
    batch: int,
) -> Float[Array, "rows outputs"]:
    """Pieces of equal size, so that any number of cells is the same compiled program."""
    rows = values.shape[0]
    given = np.pad(np.asarray(values), ((0, -rows % batch), (0, 0)))
    found = [apply(model, jnp.asarray(piece)) for piece in np.split(given, len(given) // batch)]
    return jnp.asarray(np.concatenate([np.asarray(part) for part in found])[:rows])


@eqx.filter_jit
def _encode_cells(model: ScBIG, expression: ExpressionBatch) -> LatentBatch:
    return jax.vmap(model.encode)(expression)


@eqx.filter_jit
def _decode_cells(model: ScBIG, latents: LatentBatch) -> ExpressionBatch:
    return jax.vmap(model.decode)(latents)
