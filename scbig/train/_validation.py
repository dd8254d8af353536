"""What selects the best parameters of stage 2."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from scbig._typing import Array, Expression, Float, Int, PRNGKeyArray, Scalar
from scbig.config import ScBIGConfig
from scbig.data import Screen
from scbig.flow import Transport
from scbig.model import ConditionTokens, ScBIG

from ._flow import AbstractValidation, FlowData, group_tokens, matching
from ._index import CellIndex


class ResponseValidation(AbstractValidation):
    """Mean Pearson delta of predicted populations over the groups of a validation screen.

    **Fields:** `controls`, expression of control cells by context; `context` and `tokens` of
    each group; `origin`, mean control expression by context; `response`, each group's observed mean
    expression less its context's origin.
    """

    transport: Transport
    controls: Float[Array, "contexts cells genes"]
    origin: Float[Array, "contexts genes"]
    context: Int[Array, " groups"]
    tokens: ConditionTokens
    response: Float[Array, "groups genes"]

    @classmethod
    def from_screen(
        cls,
        screen: Screen,
        model: ScBIG,
        transport: Transport,
        *,
        cells: int,
        key: PRNGKeyArray,
    ) -> "ResponseValidation":
        """Draws the control cells, once, and measures the observed responses."""
        index = CellIndex.from_screen(screen)
        condition, context = np.asarray(index.condition), np.asarray(index.context)
        rows = [
            np.flatnonzero(screen.is_control & (screen.context_index == c))
            for c in range(len(screen.contexts))
        ]
        contexts = np.where(screen.is_control, screen.context_index, -1)
        origin = screen.means(contexts, len(rows))
        draw = lambda r, k: r[np.asarray(jr.randint(k, (cells,), 0, len(r)))]
        drawn = [draw(r, jr.fold_in(key, c)) for c, r in enumerate(rows)]
        # Which group each cell is of: one pass over the cells, not one for each group.
        places = np.full((len(screen.conditions), len(screen.contexts)), -1, np.int32)
        places[condition, context] = np.arange(index.num_groups)
        groups = places[screen.condition_index, screen.context_index]
        means = screen.means(groups, index.num_groups)
        return cls(
            transport=transport,
            controls=jnp.asarray(np.stack([screen.dense(r) for r in drawn])),
            origin=jnp.asarray(origin),
            context=index.context,
            tokens=group_tokens(model, screen, index),
            response=jnp.asarray(means - origin[context]),
        )

    def predicted(self, model: ScBIG) -> Float[Array, "groups genes"]:
        """The model's mean response for each group."""
        starts = jax.lax.map(jax.vmap(model.encode), self.controls)

        def response(group: Int[Array, ""]) -> Expression:
            context = self.context[group]
            condition = model.condition(self.tokens[group])
            moved = self.transport(model.velocity, starts[context][None], condition[None])
            predicted = jnp.mean(jax.vmap(model.decode)(moved.latents[0]), axis=0)
            return predicted - self.origin[context]

        return jax.lax.map(response, jnp.arange(self.context.shape[0]))

    def __call__(self, model: ScBIG) -> Scalar:
        return jnp.mean(jax.vmap(pearson)(self.predicted(model), self.response))


class FlowValidation(AbstractValidation):
    """Minus the flow-matching loss over all groups of a validation screen, on fixed draws."""

    data: FlowData
    config: ScBIGConfig = eqx.field(static=True)

    def __call__(self, model: ScBIG) -> Scalar:
        def loss(group: Int[Array, ""]) -> Scalar:
            key = jr.fold_in(jr.key(0), group)
            one = group[None]
            return matching(model, self.data, self.config, groups=one, key=key, dropout=False)[0]

        return -jnp.mean(jax.lax.map(loss, jnp.arange(self.data.index.num_groups)))


def pearson(x: Expression, y: Expression) -> Scalar:
    """Pearson correlation over genes; 0 if either is constant."""
    x, y = x - jnp.mean(x), y - jnp.mean(y)
    power = jnp.sum(x**2) * jnp.sum(y**2)
    return jnp.where(power > 0, jnp.sum(x * y) * jax.lax.rsqrt(jnp.where(power > 0, power, 1.0)), 0)
