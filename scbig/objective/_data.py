"""What a step of stage 2 reads, and what a term is prepared from."""

import dataclasses
from typing import Any

import equinox as eqx
import jax

from scbig._typing import (
    Array,
    ExpressionBatch,
    Float,
    Int,
    LatentBatch,
    PRNGKeyArray,
)
from scbig.data import Screen
from scbig.flow import Transport
from scbig.model import ConditionTokens, ScBIG
from scbig.priors import PathwayLibrary
from scbig.sampling import CellIndex


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """What terms and criteria are prepared from, on the host.

    **Fields:** `screen`, the cells to train or to be judged on; `index`, their groups, a condition
    in a context each; `tokens`, each group's condition as numbers; `model`, as stage 1 left it;
    `pathways`, gene sets, if there are any; `transport`, the solve of inference.
    """

    screen: Screen
    index: CellIndex
    tokens: ConditionTokens
    model: ScBIG
    pathways: PathwayLibrary | None
    transport: Transport

    def group_names(self) -> tuple[str, ...]:
        """The condition of each group, in its context."""
        places = zip(self.index.condition.tolist(), self.index.context.tolist(), strict=True)
        names = self.screen.conditions, self.screen.contexts
        told = [(names[0][c].name, names[1][x]) for c, x in places]
        return tuple(f"{name} in {context}" if context else name for name, context in told)


class FlowData(eqx.Module):
    """Everything that a stage-2 step reads, on the device.

    **Fields:** `index`, draws rows by condition and context; `tokens`, each group's condition in
    its context; `latents`, of all cells, by the encoder as stage 1 left it; `expression`, of all
    cells, only where the decoder or the encoder trains; `own`, what the term's own `prepare` made;
    `encodes`, whether the encoder trains, so that latents are made afresh.
    """

    index: CellIndex
    tokens: ConditionTokens
    latents: LatentBatch
    expression: ExpressionBatch | None
    own: Any = None
    encodes: bool = eqx.field(static=True, default=False)

    def latents_of(
        self, model: ScBIG, rows: Int[Array, "groups cells"]
    ) -> Float[Array, "groups cells latent"]:
        """Latents of some cells, by the model as it is."""
        if not self.encodes:
            return self.latents[rows]
        assert self.expression is not None
        return jax.vmap(jax.vmap(model.encode))(self.expression[rows])

    def conditions(
        self, model: ScBIG, groups: Int[Array, " groups"], *, key: PRNGKeyArray | None
    ) -> Float[Array, "groups condition"]:
        """Encoded conditions of some groups, each in its own context; dropout acts with a key."""
        tokens = self.tokens[groups]
        if key is None:
            return jax.vmap(model.condition)(tokens)
        keys = jax.random.split(key, groups.shape[0])
        return jax.vmap(lambda t, k: model.condition(t, key=k))(tokens, keys)
