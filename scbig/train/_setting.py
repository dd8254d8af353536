"""What terms and criteria are prepared from, and the cells of it on the device."""

import jax.numpy as jnp

from scbig._typing import LatentBatch
from scbig.anchor import AbstractFittedAnchor
from scbig.data import Condition, Screen
from scbig.method import ScBIGConfig
from scbig.model import ConditionTokens, ScBIG
from scbig.objective import FlowData, Setting
from scbig.priors import PathwayLibrary
from scbig.sampling import CellIndex
from scbig.service import Names

from ._latents import latents_of


def make_setting(
    model: ScBIG,
    names: Names,
    screen: Screen,
    config: ScBIGConfig,
    pathways: PathwayLibrary | None = None,
    *,
    controls: Screen | None = None,
    anchor: AbstractFittedAnchor | None = None,
) -> Setting:
    """What terms and criteria are prepared from.

    **Arguments:** `controls`, a screen with all controls of the training, by default `screen`;
    `anchor`, what moves them.
    """
    index = CellIndex.from_screen(screen)
    moves = None if anchor is None else anchor.moves(*_groups_of(screen, index))
    return Setting(
        screen=screen,
        index=index,
        tokens=group_tokens(names, screen, index, config.max_tokens),
        model=model,
        pathways=pathways,
        transport=config.transport,
        emission=config.emission,
        controls=controls,
        moves=moves,
    )


def _groups_of(screen: Screen, index: CellIndex) -> tuple[tuple[Condition, ...], tuple[str, ...]]:
    """The condition and the context of each group."""
    places = zip(index.condition.tolist(), index.context.tolist(), strict=True)
    pairs = [(screen.conditions[c], screen.contexts[x]) for c, x in places]
    conditions, contexts = zip(*pairs, strict=True)
    return conditions, contexts


def group_tokens(
    names: Names, screen: Screen, index: CellIndex, max_tokens: int
) -> ConditionTokens:
    """The condition of each group of a screen, in the group's context, as the model reads it."""
    conditions, contexts = _groups_of(screen, index)
    return names.tokens(conditions, max_tokens, contexts=contexts)


def flow_data(
    setting: Setting, trains: tuple[str, ...] = (), latents: LatentBatch | None = None
) -> FlowData:
    """The cells of a setting on the device.

    **Arguments:** `trains`, the parts of the model that train; `latents`, of the setting's cells
    by its model, if they are known.
    """
    changes = {"decoder", "encoder"} & set(trains)
    return FlowData(
        index=setting.index,
        tokens=setting.tokens,
        latents=latents_of(setting.model, setting.screen) if latents is None else latents,
        expression=jnp.asarray(setting.screen.dense()) if changes else None,
        encodes="encoder" in trains,
    )
