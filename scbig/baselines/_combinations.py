"""What training shows of combinations beyond the sum of their parts."""

import dataclasses

import numpy as np
from jaxtyping import Float

from scbig.data import Responses
from scbig.response import Design

from ._simple import Additive


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Combinations:
    """The training combinations whose perturbations were all measured alone.

    **Fields:** `counts`, which of the perturbations of the additive predictor each one has;
    `changes`, measured; `sums`, of the changes of their parts.
    """

    counts: Float[np.ndarray, "combinations perturbations"]
    changes: Float[np.ndarray, "combinations genes"]
    sums: Float[np.ndarray, "combinations genes"]

    @classmethod
    def of(cls, found: Responses, singles: Additive) -> "Combinations":
        """Those among the responses of a screen.

        **Arguments:** `singles`, fitted to the same responses.

        **Raises:** a ValueError if there are only controls.
        """
        known = set(singles.perturbations)
        rows = [
            row
            for row, condition in enumerate(found.perturbed)
            if len(condition.perturbations) > 1 and known.issuperset(condition.labels)
        ]
        counts = Design.of([found.perturbed[row] for row in rows], singles.perturbations).counts
        return cls(
            counts=counts,
            changes=found.by_condition()[rows].astype(np.float64),
            sums=counts @ singles.deltas,
        )
