"""Latents that the flow of each group starts from."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from scbig._typing import Array, Expression, ExpressionBatch, Float, LatentBatch
from scbig.anchor import Moves
from scbig.method import ScBIGConfig
from scbig.model import ScBIG
from scbig.objective import FlowData, Setting

MOST = 1024
"""Controls of a context that are moved and encoded for each of its groups."""


def needs_starts(config: ScBIGConfig) -> bool:
    """Whether what the flow starts from is made once, before training."""
    planned = (getattr(part.term, "reads_latents", False) for part in config.objective)
    return config.anchor is not None or any(planned)


def starts_of(setting: Setting) -> Float[Array, "groups pool latent"]:
    """Latents of controls, moved by each group's anchor; a group's do not depend on the others."""
    moves = setting.moves
    assert moves is not None
    rows = setting.control_rows(_pool(setting))
    cells = [jnp.asarray(setting.all_controls.dense(own)) for own in rows]
    centres = jnp.asarray(setting.origin)
    # One program for any number of groups.
    one = lambda n, own: _encoded(setting.model, moves[n], cells[own], centres[own])
    return jnp.stack([one(n, own) for n, own in enumerate(setting.index.context.tolist())])


def own_starts(setting: Setting, data: FlowData) -> Float[Array, "groups pool latent"]:
    """Latents of the controls of each group's context, as they are."""
    index, number = setting.index, _pool(setting)
    size, order = index.control_size[:, None], jnp.arange(number)[None]
    # Spread evenly over more controls, and again and again over fewer.
    # `order * size // number`, which itself may not fit into 32 bits.
    evenly = order * (size // number) + order * (size % number) // number
    spread = jnp.where(size > number, evenly, order % size)
    return data.latents[index.control_order[index.control_start[:, None] + spread]]


def _pool(setting: Setting) -> int:
    return min(MOST, int(np.max(np.asarray(setting.index.control_size))))


@eqx.filter_jit
def _encoded(model: ScBIG, moves: Moves, cells: ExpressionBatch, centre: Expression) -> LatentBatch:
    moved = moves(cells[moves.drawn(cells, centre)], centre)
    return jax.lax.map(model.encode, moved, batch_size=min(256, moved.shape[0]))
