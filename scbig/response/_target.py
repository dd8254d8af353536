"""What a perturbation does to the gene that it targets."""

from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Float

from scbig.data import Condition


class TargetEffect(eqx.Module):
    """The change of a perturbed gene itself, a line in its mean control expression.

    A gene that is knocked down falls by about what it has; one that is activated rises from little.

    **Fields:** `intercept`, `slope`.
    """

    intercept: float
    slope: float

    @classmethod
    def fit(
        cls,
        conditions: Sequence[Condition],
        changes: Float[np.ndarray, "conditions genes"],
        origin: Float[np.ndarray, " genes"],
        genes: Sequence[str],
        *,
        least: int = 5,
    ) -> "TargetEffect | None":
        """Least squares over the single perturbations, without dose, whose gene was measured.

        **Arguments:** `origin`, mean control expression; `least`, how many there must be.

        **Returns:** `None` where there are fewer, or all have the same expression.
        """
        place = {gene: column for column, gene in enumerate(genes)}
        own = [
            (row, place[condition.perturbations[0]])
            for row, condition in enumerate(conditions)
            if condition.doses == (None,) and condition.perturbations[0] in place
        ]
        if len(own) < least:
            return None
        rows, columns = map(np.array, zip(*own, strict=True))
        expression = np.asarray(origin, np.float64)[columns]
        if np.ptp(expression) == 0:
            return None
        slope, intercept = np.polyfit(expression, changes[rows, columns], 1)
        return cls(float(intercept), float(slope))

    def __call__(self, expression: float) -> float:
        """The change of a perturbed gene of this mean control expression."""
        return self.intercept + self.slope * expression
