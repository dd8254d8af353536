"""The sum of single effects, as much too large as it is in training."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from scbig.data import Condition, Screen

from ._closed_form import AbstractEffects
from ._combinations import Combinations
from ._simple import Additive


class ScaledAdditive(AbstractEffects):
    r"""Effects add up to a fraction of their sum, the same for every combination.

    The slope is that of the changes $y_c$ of the training combinations on the sums $s_c$ of their
    singles' changes, through the origin, by least squares over combinations and genes:
    $\sum_c s_c \cdot y_c / \sum_c s_c \cdot s_c$. Its direction, and so its correlation, is that of
    `Additive`. A single perturbation has its measured effect.

    **Fields:** `singles`, the additive predictor; `slope`.
    """

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]
    singles: Additive
    slope: float

    @classmethod
    def fit(
        cls,
        screen: Screen,
        *,
        missing: Literal["error", "perturbed_mean"] = "error",
    ) -> "ScaledAdditive":
        """Keeps the effects of the single perturbations, and finds the slope.

        It is 1 if no combination has all its perturbations measured alone.

        **Arguments:**

        - `screen`: training cells.
        - `missing`: as for `Additive`; what it stands in for plays no part in the slope.

        **Raises:** a ValueError if the screen has only controls.
        """
        found = screen.responses()
        singles = Additive.of_responses(found, screen.genes, missing=missing)
        seen = Combinations.of(found, singles)
        squares = np.sum(seen.sums**2)
        slope = float(np.sum(seen.sums * seen.changes) / squares) if squares > 0 else 1.0
        return cls(singles.genes, singles.control_mean, singles, slope)

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """Scaled sums of the single effects for combinations; none for the control.

        **Raises:** a ValueError for perturbations without a measured single effect, named.
        """
        scale = [self.slope if len(c.perturbations) > 1 else 1.0 for c in conditions]
        return self.singles.effects(conditions) * np.array(scale, np.float32)[:, None]
