"""Cells of a count model, in pieces that do not depend on who asks for them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from jaxtyping import Float32, Int
from scipy import sparse

from ._count_model import CountModel

PIECE = 256
"""Cells drawn together, from a random stream of their own."""
COMMON = 3.0
"""Mean count, in any condition, from which a gene is drawn by gamma and Poisson."""
LARGE = 50.0
"""Mean count from which one entry of a rare gene is drawn so too."""
WORKERS = 2
"""Threads: NumPy lets go of the interpreter in all that takes time here."""
ORDER, DRAWS = 0, 1


class Draws:
    """The cells of a model under a seed: any range of them, the same however it is asked for."""

    def __init__(self, model: CountModel, seed: int) -> None:
        if seed < 0:
            raise ValueError(f"The seed must not be negative: got {seed}.")
        self.model = model
        self.seed = seed
        rates = model.rates
        rare = rates.max(axis=0) * model.config.library_size < COMMON
        self._rare, self._common = np.flatnonzero(rare), np.flatnonzero(~rare)
        half_variance = 0.5 * np.square(model.loadings).sum(axis=0)
        self._log_rates = (np.log(rates) - half_variance).astype(np.float32)
        self._rest = np.maximum(1 - rates.sum(axis=1), 0)
        self.groups: Int[np.ndarray, " cells"] = np.repeat(
            np.arange(len(model.cells), dtype=np.int32), model.cells
        )
        if model.config.shuffle:
            self.groups = self._stream(ORDER).permutation(self.groups)

    def blocks(
        self, size: int
    ) -> Iterator[tuple[sparse.csr_matrix, Float32[np.ndarray, " cells"]]]:
        """Counts and totals of the cells in order, in blocks of whole pieces."""
        places = range(-(-len(self.groups) // PIECE))
        together = max(size // PIECE, 1)
        with ThreadPoolExecutor(WORKERS) as pool:
            for start in range(0, len(places), together):
                yield _joined(list(pool.map(self._piece, places[start : start + together])))

    def _stream(self, *key: int) -> np.random.Generator:
        return np.random.Generator(
            np.random.SFC64(np.random.SeedSequence(self.seed, spawn_key=key))
        )

    def _piece(self, place: int) -> tuple[sparse.csr_matrix, Float32[np.ndarray, " cells"]]:
        config, rng = self.model.config, self._stream(DRAWS, place)
        groups = self.groups[place * PIECE : (place + 1) * PIECE]
        cells, programs = len(groups), len(self.model.loadings)
        spread = config.library_spread * rng.standard_normal(cells, np.float32)
        log_library = np.float32(np.log(config.library_size)) + spread
        activity = rng.standard_normal((cells, programs), np.float32)
        mean = self._log_rates[groups]
        # Not `@`: the threads of a matrix product cost more than they give at this size, and its
        # rounding may depend on their number.
        mean += np.einsum("cp,pg->cg", activity, self.model.loadings)
        mean += log_library[:, None]
        np.exp(mean, out=mean)
        common = mean[:, self._common]
        # A mean of zero keeps the common genes out of the draw of the rare ones.
        mean[:, self._common] = 0
        counts = np.zeros(mean.shape, np.float32)
        _draw_rare(counts.reshape(-1), mean.reshape(-1), config.dispersion, rng)
        shape = rng.standard_gamma(1 / config.dispersion, common.shape)
        counts[:, self._common] = rng.poisson(shape * (config.dispersion * common))
        rest = rng.poisson(np.exp(log_library) * self._rest[groups])
        totals = (counts.sum(axis=1, dtype=np.float64) + rest).astype(np.float32)
        return _compressed(counts), totals


def _joined(
    pieces: list[tuple[sparse.csr_matrix, Float32[np.ndarray, " _"]]],
) -> tuple[sparse.csr_matrix, Float32[np.ndarray, " cells"]]:
    counts = sparse.csr_matrix(sparse.vstack([part for part, _ in pieces], format="csr"))
    return counts, np.concatenate([totals for _, totals in pieces])


def _compressed(counts: Float32[np.ndarray, "cells genes"]) -> sparse.csr_matrix:
    """As `scipy.sparse.csr_matrix`, several times as fast."""
    cells, genes = counts.shape
    places = np.flatnonzero(counts.reshape(-1) != 0)
    starts = np.searchsorted(places, np.arange(cells + 1) * genes).astype(np.int32)
    columns = (places % genes).astype(np.int32)
    values = counts.reshape(-1)[places]
    return sparse.csr_matrix((values, columns, starts), shape=counts.shape)


def _draw_rare(
    counts: Float32[np.ndarray, " entries"],
    mean: Float32[np.ndarray, " entries"],
    dispersion: float,
    rng: np.random.Generator,
) -> None:
    """Fills in the counts above zero, by inversion of the upper tail.

    The work beyond one uniform number for each entry is in proportion to the few that can be above
    zero: the probability of that is below the mean.
    """
    uniform = rng.random(mean.shape, np.float32)
    # The centre of its step of 2^-24, so that the search below the tail ends.
    uniform += np.float32(2.0**-25)
    places: Any = np.flatnonzero(uniform < mean)
    m, u = mean[places].astype(np.float64), uniform[places].astype(np.float64)
    # Where the search would be long; a count of zero could have no probability in floating point.
    large = m > LARGE
    drawn = rng.standard_gamma(1 / dispersion, np.count_nonzero(large)) * dispersion * m[large]
    counts[places[large]], u[large] = rng.poisson(drawn), 1.0
    odds = dispersion * m
    log_none = np.log1p(odds) / -dispersion
    tail = -np.expm1(log_none)
    mass, ratio = np.exp(log_none) * m / (1 + odds), odds / (1 + odds)
    k = 0
    while True:
        more = np.flatnonzero(u < tail)
        if more.size == 0:
            return
        places, u, tail, mass, ratio = (x[more] for x in (places, u, tail, mass, ratio))
        k += 1
        counts[places] = k
        # From the probability of more than k - 1, and of k, to those of one count more.
        tail = tail - mass
        mass = mass * ratio * ((k + 1 / dispersion) / (k + 1))
