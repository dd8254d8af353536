"""Which cells each step of stage 1 reads, and how they come to the device."""

import abc
import concurrent.futures
import dataclasses
import itertools
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from scbig._typing import Array, ExpressionBatch
from scbig.data import Screen
from scbig.sampling import Order

Fed = tuple[ExpressionBatch, Int[Array, "steps batch"]]
"""Cells on the device, and the rows of them that each step's batch has."""


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
    rows = np.arange(screen.num_cells)
    wanted = (rows[start : start + size] for start in range(0, len(rows), size))
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
