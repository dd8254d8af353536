"""Which variances predict left-out responses best, and the solution for them."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float

from ._design import Design, Strengths, covariance

SWEEPS = 2
"""How often each part is chosen anew, given the choice of the others."""


class Band(eqx.Module):
    """Some principal components of the responses, with the variances that were chosen for them.

    **Fields:** `start`, the first component; `strengths`; `inverse`, of the covariance of the
    measured responses; `weights`, it times their scores; `unit`, the variance, by component, that
    the strengths are in units of.
    """

    start: int
    strengths: Strengths
    inverse: Float[np.ndarray, "rows rows"]
    weights: Float[np.ndarray, "rows components"]
    unit: Float[np.ndarray, " components"]

    @property
    def components(self) -> slice:
        """Which of the components."""
        return slice(self.start, self.start + self.weights.shape[1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidates:
    """What is chosen among.

    **Fields:** `grid`, of which every one is tried; `parts`, what is tried in place of the best so
    far, one part after another: all in one grid would be too many.
    """

    grid: Sequence[Strengths]
    parts: Sequence[Callable[[Strengths], Sequence[Strengths]]] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """Measured responses in principal components, and how noisy each is."""

    design: Design
    scores: Float[np.ndarray, "rows components"]
    noise: Float[np.ndarray, " rows"]

    def solve(
        self, candidates: Candidates, *, bands: Sequence[int], least: int
    ) -> tuple[tuple[Band, ...], tuple[Band, ...]]:
        """The bands for single perturbations and for combinations.

        **Arguments:** `bands`, after how many components another choice is made; `least`, rows of
        a kind that must be there to choose by, or all are judged.
        """
        combined = self.design.combined > 0
        edges = [edge for edge in (0, *bands) if edge < self.scores.shape[1]]
        slices = [slice(a, b) for a, b in itertools.pairwise((*edges, self.scores.shape[1]))]
        enough = lambda rows: rows if rows.sum() >= least else np.ones_like(rows)
        kinds = (enough(~combined), enough(combined))
        chosen = _Chosen(self, candidates, kinds)
        singles, combinations = (
            tuple(self.band(chosen.best(kind, band), band, rows) for band in slices)
            for kind, rows in enumerate(kinds)
        )
        return singles, combinations

    def band(self, strengths: Strengths, band: slice, judged: Bool[np.ndarray, " rows"]) -> Band:
        """The solution under these variances; their unit is that of the errors of `judged`."""
        inverse = self.inverse(strengths)
        errors, spread = self.left_out(inverse)
        return Band(
            start=band.start,
            strengths=strengths,
            inverse=inverse,
            weights=inverse @ self.scores[:, band],
            unit=np.mean(errors[judged, band] ** 2 / spread[judged, None], axis=0),
        )

    def inverse(self, strengths: Strengths) -> Float[np.ndarray, "rows rows"]:
        """Of the covariance of the measured responses."""
        own = covariance(self.design, self.design, strengths)
        return np.linalg.inv(own + strengths.noise * np.diag(self.noise))

    def left_out(
        self, inverse: Float[np.ndarray, "rows rows"]
    ) -> tuple[Float[np.ndarray, "rows components"], Float[np.ndarray, " rows"]]:
        """The error of each row as the others predict it, and its variance."""
        spread = 1 / np.diag(inverse)
        return inverse @ self.scores * spread[:, None], spread


@dataclasses.dataclass(frozen=True, eq=False)
class _Chosen:
    """The choices among candidates; what each loses is computed once for all kinds and bands."""

    measured: Measured
    candidates: Candidates
    kinds: tuple[Bool[np.ndarray, " rows"], Bool[np.ndarray, " rows"]]
    known: dict[Strengths, Float[np.ndarray, "2 components"]] = dataclasses.field(
        default_factory=dict
    )

    def lost(self, strengths: Strengths) -> Float[np.ndarray, "2 components"]:
        """The squared error, left out, of each kind and component."""
        if strengths not in self.known:
            errors, _ = self.measured.left_out(self.measured.inverse(strengths))
            squared = errors**2
            self.known[strengths] = np.stack([squared[rows].sum(axis=0) for rows in self.kinds])
        return self.known[strengths]

    def best(self, kind: int, band: slice) -> Strengths:
        """The candidate of least error in this kind and these components."""
        best = self._first_least(self.candidates.grid, kind, band)
        for _ in range(SWEEPS if self.candidates.parts else 0):
            before = best
            for part in self.candidates.parts:
                best = self._first_least([best, *part(best)], kind, band)
            if best == before:
                break
        return best

    def _first_least(self, tried: Sequence[Strengths], kind: int, band: slice) -> Strengths:
        errors = np.array([self.lost(one)[kind, band].sum() for one in tried])
        # Of equal ones, as of a single condition, the first.
        return tried[int(np.flatnonzero(errors <= errors.min() * (1 + 1e-9))[0])]
