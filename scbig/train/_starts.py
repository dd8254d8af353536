"""Latents that the flow of each group starts from."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from scbig._typing import Array, Float, Int, LatentBatch
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
    assert setting.moves is not None
    rows = setting.control_rows(_pool(setting))
    cells = jnp.asarray(np.stack([setting.all_controls.dense(own) for own in rows]))
    centres = jnp.asarray(setting.origin)
    return _encoded(setting.model, setting.moves, cells, centres, setting.index.context)


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
def _encoded(
    model: ScBIG,
    moves: Moves,
    cells: Float[Array, "contexts pool genes"],
    centres: Float[Array, "contexts genes"],
    contexts: Int[Array, " groups"],
) -> Float[Array, "groups pool latent"]:
    def one(group: Int[Array, ""]) -> LatentBatch:
        context = contexts[group]
        own, given, centre = moves[group], cells[context], centres[context]
        moved = own(given[own.drawn(given, centre)], centre)
        return jax.lax.map(model.encode, moved, batch_size=min(256, moved.shape[0]))

    return jax.lax.map(one, jnp.arange(contexts.shape[0]))
