"""The control cells of each context, as the anchor looks at them."""

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from scbig.data import Screen

MOST = 4096
"""Controls of a context that are looked at."""


class Controls(eqx.Module):
    """Controls of each context.

    **Fields:** `cells`, their expression; `scores`, less those of their context's mean control;
    `axes`, of the scores; `centres`, scores of the mean control of each context.
    """

    cells: tuple[Float[np.ndarray, "_cells genes"], ...]
    scores: tuple[Float[np.ndarray, "_cells components"], ...]
    axes: Float[np.ndarray, "components genes"]
    centres: Float[np.ndarray, "contexts components"]

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
        return cls(cells, tuple(own @ axes.T - centre for own, centre in pairs), axes, centres)


def evenly(rows: Int[np.ndarray, " rows"], most: int) -> Int[np.ndarray, " some"]:
    """At most so many of the rows, spread over all of them."""
    return rows if len(rows) <= most else rows[np.arange(most) * len(rows) // most]
