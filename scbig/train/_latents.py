"""Latents of all cells, made once: in memory, or in a file that is mapped into it."""

import hashlib
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from scbig._files import atomic
from scbig._typing import LatentBatch
from scbig.data import Screen
from scbig.model import ScBIG

from ._feed import chunks

CHUNK = 16_384


def latents_of(model: ScBIG, screen: Screen, *, folder: pathlib.Path | None = None) -> LatentBatch:
    """Latents of all cells of a screen, read and encoded some thousand at a time.

    **Arguments:** `folder`, where the latents are written under the name of this encoder and of
    these cells, so that a run that goes on finds them; they are mapped into memory and moved to
    the device.

    **Raises:** `ValueError` if the file of that name is not whole.
    """
    parts = (model.encode_cells(cells) for cells in chunks(screen, CHUNK))
    if folder is None:
        return jnp.concatenate(list(parts))
    path = folder / f"latents-{_checksum(model, screen)}.npy"
    shape = (screen.num_cells, model.shift.shape[0])
    if not path.exists():
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        # Written and not mapped: on a full disk a mapped page kills the process.
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(np.asarray(part).astype("<f4").tobytes())
    found = np.load(path, mmap_mode="r")
    if found.shape != shape:
        raise ValueError(f"{path} has the shape {found.shape} instead of {shape}. Remove it.")
    return jnp.asarray(found)


def _checksum(model: ScBIG, screen: Screen) -> str:
    """What tells one encoder's latents of some cells from all others."""
    digest = hashlib.sha256("\n".join(screen.cells).encode())
    parts = (model.encoder, model.facts, model.partition, model.mean, model.shift, model.scale)
    for leaf in jax.tree.leaves(eqx.filter(parts, eqx.is_array)):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]
