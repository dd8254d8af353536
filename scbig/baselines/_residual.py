"""The sum of single effects, and what its perturbations did besides in other combinations."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from scbig.data import Condition, Screen

from ._closed_form import AbstractEffects
from ._combinations import Combinations, counts_of
from ._simple import Additive


class ResidualTransfer(AbstractEffects):
    r"""What `A+C` deviated from the sum of `A` and `C` informs `A+B`.

    The effect of a combination is the sum of its single effects and, for each of its perturbations
    $p$, half of the shrunk mean residual $\sum_c r_c / (n_p + s)$ over the $n_p$ training
    combinations $c$ that contain $p$. The residual $r_c$ is the measured change of $c$ minus the
    sum of its singles' changes; combinations with a part that was not measured alone have none.
    Half, as each part of a pair explains half of its residual. A perturbation in no such
    combination adds nothing: without any, this is `Additive`.

    **Fields:** `singles`, the additive predictor; `transfer`, what each of its perturbations adds
    to a combination.
    """

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]
    singles: Additive
    transfer: Float[np.ndarray, "perturbations genes"]

    @classmethod
    def fit(
        cls,
        screen: Screen,
        *,
        shrink: float = 1.5,
        missing: Literal["error", "perturbed_mean"] = "error",
    ) -> "ResidualTransfer":
        """Keeps the effects of the single perturbations and their mean residuals.

        **Arguments:**

        - `screen`: training cells.
        - `shrink`: `s`, in combinations: as many without any residual are added to those measured.
            The default is in the middle of the 1 to 2 that suit left-out doubles of Norman 2019.
        - `missing`: as for `Additive`; what it stands in for has no residual.

        **Raises:** a ValueError if the screen has only controls, or for a `shrink` that is negative
        or no number.
        """
        if not 0 <= shrink < np.inf:
            raise ValueError(f"shrink must be a number that is not negative: got {shrink}.")
        found = screen.responses()
        singles = Additive.of_responses(found, screen.genes, missing=missing)
        seen = Combinations.of(found, singles)
        numbers = seen.counts.sum(axis=0)
        sums = seen.counts.T @ (seen.changes - seen.sums)
        # Where there is no combination the sum is zero, whatever it is divided by.
        weights = 0.5 / np.where(numbers > 0, numbers + shrink, 1.0)
        return cls(singles.genes, singles.control_mean, singles, weights[:, None] * sums)

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """Sums of the single effects, with residuals for combinations; none for the control.

        **Raises:** a ValueError for perturbations without a measured single effect, named.
        """
        counts = counts_of(conditions, self.singles.perturbations)
        combined = np.array([len(c.perturbations) > 1 for c in conditions], np.float64)
        residuals = (combined[:, None] * counts) @ self.transfer
        return (self.singles.effects(conditions) + residuals).astype(np.float32)
