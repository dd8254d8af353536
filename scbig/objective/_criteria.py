"""What selects the best parameters of stage 2."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from scbig._typing import Array, Bool, Expression, Float, Int, PRNGKeyArray, Scalar
from scbig._value import Value, whole
from scbig.flow import Transport
from scbig.model import ScBIG

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

    **Fields:** `controls`, expression of control cells by context; `origin`, mean control
    expression by context; `response`, each group's measured mean expression less its context's
    origin; `transport`, the solve.
    """

    controls: Float[Array, "contexts cells genes"]
    origin: Float[Array, "contexts genes"]
    response: Float[Array, "groups genes"]
    transport: Transport


class ResponseCriterion(AbstractCriterion):
    """Mean Pearson delta of predicted populations over the groups of the validation cells.

    A group whose solve runs out of steps scores 0, and is counted.

    **Fields:** `cells`, controls of each context that are transported; `transport`, how, `None`
    for the model's own solve of inference.
    """

    cells: int = whole(256)
    transport: Transport | None = None

    def prepare(self, setting: Setting, *, key: PRNGKeyArray) -> ResponseFacts:
        """Draws the control cells, once, and measures the observed responses."""
        screen, measured = setting.screen, setting.screen.responses()
        rows = [screen.rows("control", context) for context in screen.contexts]
        draw = lambda r, k: r[np.asarray(jr.randint(k, (self.cells,), 0, len(r)))]
        drawn = [draw(r, jr.fold_in(key, c)) for c, r in enumerate(rows)]
        return ResponseFacts(
            controls=jnp.asarray(np.stack([screen.dense(r) for r in drawn])),
            origin=jnp.asarray(measured.origins),
            response=jnp.asarray(measured.changes),
            transport=setting.transport if self.transport is None else self.transport,
        )

    def __call__(self, model: ScBIG, data: FlowData) -> tuple[Scalar, Metrics]:
        predicted, solved = predicted_responses(model, data)
        scores = jax.vmap(pearson_or_zero)(predicted, data.own.response)
        failed = jnp.where(solved, 0.0, 1.0)
        return jnp.mean(jnp.where(solved, scores, 0.0)), {
            "validation_unsolved": failed,
            "validation_unsolved_share": jnp.mean(failed),
        }


def predicted_responses(
    model: ScBIG, data: FlowData
) -> tuple[Float[Array, "groups genes"], Bool[Array, " groups"]]:
    """The model's mean response for each group of `ResponseFacts`, and whether it was solved."""
    facts, contexts = data.own, data.index.context
    starts = jax.lax.map(jax.vmap(model.encode), facts.controls)

    def response(group: Int[Array, ""]) -> tuple[Expression, Bool[Array, ""]]:
        context = contexts[group]
        condition = model.condition(data.tokens[group])
        moved = model.transport(
            starts[context][None], condition[None], facts.transport, throw=False
        )
        predicted = jnp.mean(jax.vmap(model.decode)(moved.latents[0]), axis=0)
        return predicted - facts.origin[context], moved.solved

    return jax.lax.map(response, jnp.arange(contexts.shape[0]))


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
