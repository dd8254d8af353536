"""What stage 1 has in closed form: principal components of the training cells."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scbig.data import Screen
from scbig.metrics import fit_projection
from scbig.model import ScBIG
from scbig.nn import InClosedForm

from ._feed import chunks

CHUNK = 4096


def with_components(model: ScBIG, cells: Screen) -> ScBIG:
    """The model, with an encoder or a decoder `InClosedForm` of the principal components of cells.

    **Raises:** a ValueError for latents of more entries than the cells have components.
    """
    parts = ("encoder", "decoder")
    wanted = [name for name in parts if isinstance(getattr(model, name), InClosedForm)]
    if not wanted:
        return model
    latent = model.shift.shape[0]
    blocks = (np.asarray(block) for block in chunks(cells, CHUNK))
    axes = fit_projection(blocks, latent).axes
    if len(axes) < latent:
        raise ValueError(
            f"{cells.num_cells} training cells of {cells.num_genes} genes have {len(axes)} "
            f"principal components, and the encoder's latent={latent}: choose a smaller one."
        )
    gathered = jax.vmap(model.partition.gather)(jnp.asarray(axes, jnp.float32))
    found: dict[str, Any] = {name: getattr(model, name).fitted(gathered) for name in wanted}
    return dataclasses.replace(model, **found)
