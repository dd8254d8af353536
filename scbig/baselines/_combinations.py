"""What training shows of combinations beyond the sum of their parts."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from scbig.data import Condition, Responses

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
        counts = counts_of([found.perturbed[row] for row in rows], singles.perturbations)
        return cls(
            counts=counts,
            changes=found.by_condition()[rows].astype(np.float64),
            sums=counts @ singles.deltas,
        )


def counts_of(
    conditions: Sequence[Condition], known: Sequence[str]
) -> Float[np.ndarray, "conditions perturbations"]:
    """Which of the known perturbations each condition has; at another dose it is another one."""
    place = {label: column for column, label in enumerate(known)}
    counts = np.zeros((len(conditions), len(known)))
    for row, condition in enumerate(conditions):
        counts[row, [place[label] for label in condition.labels if label in place]] = 1.0
    return counts
