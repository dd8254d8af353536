"""The order in which stage 1 reads the cells of a screen."""

import dataclasses
from collections.abc import Iterator

import jax.random as jr
import numpy as np
from jaxtyping import Int

from scbig._typing import PRNGKeyArray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """The cells of each batch: a function of the key and of the call's number, and of no past.

    An epoch visits every cell at most once. With `block` above 1, cells that lie together in the
    file are drawn together, so that a disk can deliver them, and the cells of a call are then
    shuffled among its batches.

    **Fields:** `cells`, in all; `batch`, cells of a step; `steps`, of a compiled call; `block`,
    neighbouring cells that are drawn together; `key`.
    """

    cells: int
    batch: int
    steps: int
    block: int
    key: PRNGKeyArray

    @classmethod
    def of(
        cls, cells: int, batch: int, buffer: int | None, block: int, *, key: PRNGKeyArray
    ) -> "Order":
        """An epoch in as few equal calls as `buffer` cells allow, or in one without it."""
        batch = min(batch, cells)
        batches = cells // batch
        calls = 1 if buffer is None else -(-batches // max(buffer // batch, 1))
        steps = batches // calls
        return cls(cells=cells, batch=batch, steps=steps, block=block, key=key)

    @property
    def buffer(self) -> int:
        """Cells of a call."""
        return self.steps * self.batch

    @property
    def calls_per_epoch(self) -> int:
        """Compiled calls in an epoch; the cells left over wait for another epoch."""
        return self.cells // self.buffer

    def calls(self, start: int) -> Iterator[Int[np.ndarray, "{self.steps} {self.batch}"]]:
        """The cells of each batch of the calls from `start` on, without an end."""
        epoch, first = divmod(start, self.calls_per_epoch)
        while True:
            key = jr.fold_in(self.key, epoch)
            order = self._drawn(key)
            for part in range(first, self.calls_per_epoch):
                own = order[part * self.buffer : (part + 1) * self.buffer]
                if self.block > 1:
                    own = own[np.asarray(jr.permutation(jr.fold_in(key, part), self.buffer))]
                yield own.reshape(self.steps, self.batch)
            epoch, first = epoch + 1, 0

    def _drawn(self, key: PRNGKeyArray) -> np.ndarray:
        """All cells, block after block, the blocks in random order."""
        blocks = np.asarray(jr.permutation(key, -(-self.cells // self.block)))
        rows = blocks[:, None] * self.block + np.arange(self.block)
        return rows[rows < self.cells]
