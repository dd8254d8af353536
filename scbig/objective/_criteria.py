"""What selects the best parameters of stage 2."""

import abc
from collections.abc import Callable
from typing import Any

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
    PRNGKeyArray,
    Scalar,
)
from scbig._value import Value, whole
from scbig.anchor import Moves, nonnegative
from scbig.flow import Transport
from scbig.model import AbstractEmission, ScBIG

from ._data import FlowData, Setting
from ._terms import FlowMatching, Metrics


class AbstractCriterion(Value):
    """Scores a model on cells that it does not train on."""

    @abc.abstractmethod
    def prepare(self, setting: Setting, *, key: PRNGKeyArray) -> Any:
        """What the criterion reads of the cells to be judged on, made once on the host."""

    @abc.abstractmethod
    def __call__(self, model: ScBIG, data: FlowData) -> tuple[Scalar, Metrics]:
        """The score of a model, higher is better, and what to log beside it."""


class ResponseFacts(eqx.Module):
    """What `ResponseCriterion` caches.

    **Fields:** `controls`, expression of control cells by context; `origin`, mean expression of
    all training controls by context; `response`, each group's measured mean expression less its
    context's origin; `transport`, the solve; `emission`, what a predicted cell is made of;
    `moves`, of each group's controls before the flow, if there is an anchor.
    """

    controls: Float[Array, "contexts cells genes"]
    origin: Float[Array, "contexts genes"]
    response: Float[Array, "groups genes"]
    transport: Transport
    emission: AbstractEmission
    moves: Moves | None

    @classmethod
    def of(cls, setting: Setting, cells: int, transport: Transport | None) -> "ResponseFacts":
        """Takes so many training controls of each context, and measures the observed responses.

        **Arguments:** `cells`, spread evenly over all of a context; `transport`, `None` for the
        solve of inference.
        """
        measured, origin = setting.screen.responses(), setting.origin
        drawn = [setting.all_controls.dense(rows) for rows in setting.control_rows(cells)]
        # Few cells that judge have a noisy mean of controls, which both sides would share.
        moved = measured.origins - origin
        return cls(
            controls=jnp.asarray(np.stack(drawn)),
            origin=jnp.asarray(origin),
            response=jnp.asarray(measured.changes + moved[measured.context_index]),
            transport=setting.transport if transport is None else transport,
            emission=setting.emission,
            moves=setting.moves,
        )

    def starts(self, group: Int[Array, ""], context: Int[Array, ""]) -> ExpressionBatch:
        """The cells of a group as they are predicted without any flow."""
        controls = self.controls[context]
        if self.moves is None:
            return controls
        moves, centre = self.moves[group], self.origin[context]
        return moves.whole(controls[moves.drawn(controls, centre)], centre)


class ResponseCriterion(AbstractCriterion):
    """Mean Pearson delta of predicted populations over the groups of the validation cells.

    A group whose solve runs out of steps scores 0, and is counted.

    **Fields:** `cells`, training controls of each context that are transported; `transport`, how,
    `None` for the model's own solve of inference.
    """

    cells: int = whole(256)
    transport: Transport | None = None

    def prepare(self, setting: Setting, *, key: PRNGKeyArray) -> ResponseFacts:
        """Takes control cells, once, and measures the observed responses."""
        return ResponseFacts.of(setting, self.cells, self.transport)

    def __call__(self, model: ScBIG, data: FlowData) -> tuple[Scalar, Metrics]:
        predicted, solved = predicted_responses(model, data)
        scores = jax.vmap(pearson_or_zero)(predicted, data.own.response)
        return jnp.mean(jnp.where(solved, scores, 0.0)), unsolved(solved)


def unsolved(solved: Bool[Array, " groups"]) -> Metrics:
    """What a criterion logs of solves that ran out of steps."""
    failed = jnp.where(solved, 0.0, 1.0)
    return {"validation_unsolved": failed, "validation_unsolved_share": jnp.mean(failed)}


def predicted_responses(
    model: ScBIG, data: FlowData
) -> tuple[Float[Array, "groups genes"], Bool[Array, " groups"]]:
    """The model's mean response for each group of `ResponseFacts`, and whether it was solved."""
    contexts, origin = data.index.context, data.own.origin

    def response(
        group: Int[Array, ""], cells: ExpressionBatch, solved: Bool[Array, ""]
    ) -> tuple[Expression, Bool[Array, ""]]:
        return jnp.mean(cells, axis=0) - origin[contexts[group]], solved

    return for_each_group(model, data, data.own, response)


def for_each_group(
    model: ScBIG,
    data: FlowData,
    facts: ResponseFacts,
    use: Callable[[Int[Array, ""], ExpressionBatch, Bool[Array, ""]], Any],
) -> Any:
    """What is made of each group's predicted cells, as `predict` emits them, one after the other.

    **Arguments:** `use`, from a group, its cells, and whether the solve reached its end.
    """
    contexts = data.index.context
    # Without an anchor the groups of a context start from the same cells.
    known = None
    if facts.moves is None:
        known = jax.lax.map(jax.vmap(model.encode), facts.controls)

    def one(group: Int[Array, ""]) -> Any:
        starts = facts.starts(group, contexts[group])
        moves = None if facts.moves is None else facts.moves[group]
        if known is not None:
            latents = known[contexts[group]]
        else:
            assert moves is not None
            latents = jax.vmap(model.encode)(starts - moves.rest[None])
        given = data.tokens[group], facts.transport, facts.emission, moves
        cells, moved = model.predict(starts, latents, *given)
        return use(group, nonnegative(cells), moved.solved)

    return jax.lax.map(one, jnp.arange(contexts.shape[0]))


class FlowCriterion(AbstractCriterion):
    """Minus the flow-matching loss over all groups of the validation cells, on fixed draws.

    **Fields:** `matching`, the loss; its `groups` play no part.
    """

    matching: FlowMatching = FlowMatching()

    def prepare(self, setting: Setting, *, key: PRNGKeyArray) -> None:
        """Nothing: the cells are all it reads."""

    def __call__(self, model: ScBIG, data: FlowData) -> tuple[Scalar, Metrics]:
        def loss(group: Int[Array, ""]) -> Scalar:
            key = jr.fold_in(jr.key(0), group)
            return self.matching.on_groups(model, data, group[None], key=key, dropout=False)[0]

        return -jnp.mean(jax.lax.map(loss, jnp.arange(data.index.num_groups))), {}


def pearson_or_zero(x: Expression, y: Expression) -> Scalar:
    """Pearson correlation over genes; 0 if either is constant."""
    x, y = x - jnp.mean(x), y - jnp.mean(y)
    power = jnp.sum(x**2) * jnp.sum(y**2)
    # What is not finite must stay so: it is an error, and no score.
    still = power == 0
    return jnp.where(still, 0.0, jnp.sum(x * y) * jax.lax.rsqrt(jnp.where(still, 1.0, power)))
