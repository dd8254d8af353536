"""Measured cells as the autoencoder has them, made where they are asked for."""

import dataclasses
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from scbig._typing import Float, Int, LatentBatch
from scbig.data import Screen
from scbig.model import ScBIG
from scbig.sampling import CellIndex

CHUNK = 4096
"""Cells that are on the device, and dense, at once."""


@dataclasses.dataclass(frozen=True, eq=False)
class DenoisedCells:
    """The cells of a screen, encoded and decoded: a `MeasuredCells` for alignment losses.

    Predictions are outputs of the decoder, which lack the noise of measured cells: what is compared
    with them must lack it too. Nothing is kept: each request passes over its cells, some thousand
    at a time.

    **Fields:** `model`, whose encoder and decoder are used, without dropout; `screen`, the cells.
    """

    model: ScBIG
    screen: Screen

    @property
    def genes(self) -> tuple[str, ...]:
        """The names of the genes."""
        return self.screen.genes

    def project(
        self,
        matrix: Float[np.ndarray, "genes features"],
        rows: Int[np.ndarray, " rows"] | None = None,
    ) -> Float[np.ndarray, "rows features"]:
        """Decoded expression of some rows, or of all cells, times a matrix, in its precision."""
        wanted = self._rows(rows)
        found = np.empty((len(wanted), matrix.shape[1]), matrix.dtype)
        for places, decoded in self._decoded(wanted):
            found[places] = decoded.astype(matrix.dtype) @ matrix
        return found

    def dense(
        self, rows: Int[np.ndarray, " rows"] | None = None
    ) -> Float[np.ndarray, "rows genes"]:
        """Decoded expression of some rows, or of all cells."""
        wanted = self._rows(rows)
        found = np.empty((len(wanted), len(self.genes)), np.float32)
        for places, decoded in self._decoded(wanted):
            found[places] = decoded
        return found

    def _rows(self, rows: Int[np.ndarray, " rows"] | None) -> Int[np.ndarray, " wanted"]:
        return np.arange(self.screen.num_cells) if rows is None else rows

    def _decoded(
        self, rows: Int[np.ndarray, " rows"]
    ) -> Iterator[tuple[Int[np.ndarray, " places"], Float[np.ndarray, "places genes"]]]:
        """Pieces of the rows by their places among them, and the decoded cells of each piece."""
        # In the file's order, in which a disk reads fast.
        order = np.argsort(rows, kind="stable")
        for places in (order[start : start + CHUNK] for start in range(0, len(order), CHUNK)):
            latents = self.model.encode_cells(jnp.asarray(self.screen.dense(rows[places])))
            yield places, np.asarray(self.model.decode_cells(latents))


def control_latents(
    model: ScBIG, screen: Screen, index: CellIndex
) -> tuple[LatentBatch, CellIndex]:
    """Latents of the control cells, and an index whose controls are their rows.

    **Arguments:** `screen`, the cells; `index`, their groups.
    """
    rows = np.asarray(index.control_order)
    pieces = (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))
    latents = [model.encode_cells(jnp.asarray(screen.dense(piece))) for piece in pieces]
    places = jnp.arange(len(rows), dtype=index.control_order.dtype)
    return jnp.concatenate(latents), dataclasses.replace(index, control_order=places)
