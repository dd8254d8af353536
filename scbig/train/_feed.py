"""Which cells each step of stage 1 reads, and how they come to the device."""

import abc
import concurrent.futures
import dataclasses
import itertools
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Int

from scbig._typing import Array, ExpressionBatch, PRNGKeyArray
from scbig.data import Screen

Fed = tuple[ExpressionBatch, Int[Array, "steps batch"]]
"""Cells on the device, and the rows of them that each step's batch has."""


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


class AbstractFeed(abc.ABC):
    """Brings each call its cells."""

    @abc.abstractmethod
    def __call__(self, start: int) -> Iterator[Fed]:
        """What the calls from `start` on read, without an end."""


@dataclasses.dataclass(frozen=True, eq=False)
class ResidentFeed(AbstractFeed):
    """All cells lie on the device; only the rows change."""

    cells: ExpressionBatch
    order: Order

    def __call__(self, start: int) -> Iterator[Fed]:
        for rows in self.order.calls(start):
            yield self.cells, jnp.asarray(rows, jnp.int32)


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedFeed(AbstractFeed):
    """A call's cells are read from disk, in the order of its batches, while the last one runs."""

    screen: Screen
    order: Order

    def __call__(self, start: int) -> Iterator[Fed]:
        places = jnp.arange(self.order.buffer).reshape(self.order.steps, self.order.batch)
        wanted = map(np.ravel, self.order.calls(start))
        for cells in _ahead(self.screen.dense, wanted):
            yield jnp.asarray(cells), places


def make_feed(screen: Screen, order: Order) -> AbstractFeed:
    """From memory where the screen is there, else from disk."""
    if screen.stored:
        return StreamedFeed(screen, order)
    return ResidentFeed(jnp.asarray(screen.dense()), order)


def chunks(screen: Screen, size: int) -> Iterator[ExpressionBatch]:
    """All cells of a screen on the device, `size` at a time, the next read while one is used."""
    whole = np.arange(screen.num_cells)
    wanted = (whole[start : start + size] for start in range(0, len(whole), size))
    yield from map(jnp.asarray, _ahead(screen.dense, wanted))


def _ahead(
    read: Callable[[np.ndarray], np.ndarray], wanted: Iterator[np.ndarray]
) -> Iterator[np.ndarray]:
    """What is read for each of the wanted rows, one ahead of what is used."""
    with concurrent.futures.ThreadPoolExecutor(1) as reader:
        coming = [reader.submit(read, rows) for rows in itertools.islice(wanted, 1)]
        while coming:
            found = coming.pop().result()
            coming += [reader.submit(read, rows) for rows in itertools.islice(wanted, 1)]
            yield found
