"""What happens to the controls themselves as their states move: to their mean and covariance."""

from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Float

from scbig.data import Screen

from ._local import Local, evenly
from ._spread import Displaced

MOST = 4096
"""Controls of a context that are looked at."""


class Drift(eqx.Module):
    """By how much the mean of controls moves before it is shifted.

    **Fields:** `groups`, for each group; `common`, for one that was not seen, by context.
    """

    groups: Float[np.ndarray, "groups genes"]
    common: Float[np.ndarray, "contexts genes"]


class Controls(eqx.Module):
    """Controls of each context.

    **Fields:** `cells`, their expression; `scores`, less those of their context's mean control;
    `axes`, of the scores.
    """

    cells: tuple[Float[np.ndarray, "_cells genes"], ...]
    scores: tuple[Float[np.ndarray, "_cells components"], ...]
    axes: Float[np.ndarray, "components genes"]

    @classmethod
    def of(
        cls,
        screen: Screen,
        axes: Float[np.ndarray, "components genes"],
        centres: Float[np.ndarray, "contexts components"],
    ) -> "Controls":
        """Some thousand of each context, spread over all of them."""
        rows = [evenly(screen.rows("control", name), MOST) for name in screen.contexts]
        cells = tuple(screen.dense(own) for own in rows)
        pairs = zip(cells, centres, strict=True)
        return cls(cells, tuple(own @ axes.T - centre for own, centre in pairs), axes)

    def displaced(self, local: Local, pairs: Sequence[tuple[int, int]]) -> Displaced:
        """What moving the states does to the covariance of the controls."""
        plain = [np.cov(own.T, ddof=0) for own in self.scores]

        def change(context: int, *given: np.ndarray) -> np.ndarray:
            weights, moved = self._moved(local, context, *given)
            centred = moved - weights @ moved
            return centred.T @ (weights[:, None] * centred) - plain[context]

        own = [change(c, local.local[k], local.weights[k]) for k, (_, c) in enumerate(pairs)]
        usual = [change(c, local.common[c], local.rarer[c]) for c in range(len(self.cells))]
        return Displaced(np.stack(own), np.stack(usual))

    def drifts(
        self,
        local: Local,
        pairs: Sequence[tuple[int, int]],
        stretch: Float[np.ndarray, "groups components components"],
        common: Float[np.ndarray, "contexts components components"],
    ) -> Drift:
        """What moving the states and stretching does to the mean of the controls."""

        def change(context: int, by: np.ndarray, moves: np.ndarray, left: np.ndarray) -> np.ndarray:
            weights, moved = self._moved(local, context, moves, left)
            cells = self.cells[context]
            along = weights @ (moved - self.scores[context]) + (weights @ moved) @ by.T
            return weights @ cells - cells.mean(axis=0) + along @ self.axes

        own = [
            change(c, stretch[k], local.local[k], local.weights[k])
            for k, (_, c) in enumerate(pairs)
        ]
        usual = [change(c, common[c], local.common[c], local.rarer[c]) for c in range(len(common))]
        return Drift(np.stack(own), np.stack(usual))

    def _moved(
        self,
        local: Local,
        context: int,
        changes: Float[np.ndarray, "states components"],
        left: Float[np.ndarray, " states"],
    ) -> tuple[Float[np.ndarray, " cells"], Float[np.ndarray, "cells components"]]:
        """How much each control counts, and the scores that it moves to."""
        scores = self.scores[context]
        shares = local.shares(scores, context)
        weights = shares @ np.exp(left) if shares.shape[1] else np.ones(len(scores))
        return weights / weights.sum(), scores + shares @ changes
