"""What a step of stage 2 reads, and what a term is prepared from."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np

from scbig._typing import (
    Array,
    ExpressionBatch,
    Float,
    Int,
    LatentBatch,
    PRNGKeyArray,
)
from scbig.anchor import Moves
from scbig.data import Screen
from scbig.flow import Transport
from scbig.model import AbstractEmission, ConditionTokens, Decoded, ScBIG
from scbig.priors import PathwayLibrary
from scbig.sampling import CellIndex


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """What terms and criteria are prepared from, on the host.

    **Fields:** `screen`, the cells to train or to be judged on; `index`, their groups, a condition
    in a context each; `tokens`, each group's condition as numbers; `model`, as stage 1 left it;
    `pathways`, gene sets, if there are any; `transport`, the solve of inference; `emission`, what
    a predicted cell is made of; `controls`, a screen with all controls of the training, by default
    `screen`; `moves`, how each group's controls are moved before the flow, `None` for a model
    without an anchor; `latents`, of all cells; `starts`, of some controls, moved, for each group.
    The last two only for training cells.
    """

    screen: Screen
    index: CellIndex
    tokens: ConditionTokens
    model: ScBIG
    pathways: PathwayLibrary | None
    transport: Transport
    emission: AbstractEmission = Decoded()
    controls: Screen | None = None
    moves: Moves | None = None
    latents: LatentBatch | None = None
    starts: Float[Array, "groups pool latent"] | None = None

    @property
    def origin(self) -> Float[np.ndarray, "contexts genes"]:
        """Mean expression of all controls, by context of `screen`."""
        cells, contexts = self.all_controls, self.screen.contexts
        return np.stack([cells.mean(cells.rows("control", own)) for own in contexts])

    @property
    def all_controls(self) -> Screen:
        """Of the training."""
        return self.screen if self.controls is None else self.controls

    def control_rows(self, most: int) -> list[Int[np.ndarray, " {most}"]]:
        """Rows of `all_controls` in each context of `screen`: spread evenly, or again and again."""
        found = []
        for context in self.screen.contexts:
            rows = self.all_controls.rows("control", context)
            spread = np.arange(most) * len(rows) // most if len(rows) > most else np.arange(most)
            found.append(rows[spread % len(rows)])
        return found

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
    cells, only where the decoder or the encoder trains; `starts`, latents of some controls, moved
    by each group's anchor, `None` without one; `own`, what the term's own `prepare` made;
    `encodes`, whether the encoder trains, so that latents are made afresh.
    """

    index: CellIndex
    tokens: ConditionTokens
    latents: LatentBatch
    expression: ExpressionBatch | None
    starts: Float[Array, "all_groups pool latent"] | None = None
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

    def draw_starts(
        self, model: ScBIG, groups: Int[Array, " groups"], cells: int, *, key: PRNGKeyArray
    ) -> Float[Array, "groups {cells} latent"]:
        """Latents that the flow starts from: of drawn controls of each group's context."""
        if self.starts is None:
            return self.latents_of(model, self.index.draw_controls(groups, cells, key=key))
        places = jax.random.randint(key, (groups.shape[0], cells), 0, self.starts.shape[1])
        return self.starts[groups[:, None], places]

    def conditions(
        self, model: ScBIG, groups: Int[Array, " groups"], *, key: PRNGKeyArray | None
    ) -> Float[Array, "groups condition"]:
        """Encoded conditions of some groups, each in its own context; dropout acts with a key."""
        tokens = self.tokens[groups]
        if key is None:
            return jax.vmap(model.condition)(tokens)
        keys = jax.random.split(key, groups.shape[0])
        return jax.vmap(lambda t, k: model.condition(t, key=k))(tokens, keys)
