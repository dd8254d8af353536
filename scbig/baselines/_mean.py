"""The mean of predictors whose errors are others."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from scbig.data import Condition, Screen
from scbig.response import MixedEffects

from ._closed_form import AbstractEffects
from ._mixed import MixedResponses
from ._process import ResidualProcess
from ._residual import ResidualTransfer


class MeanOfPredictors(AbstractEffects):
    """The effect of a condition is the mean of what several predictors say.

    Each weighs the same. Of `MixedResponses` it is what all training contexts share.

    **Fields:** `members`, the predictors.
    """

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]
    members: tuple[AbstractEffects | MixedResponses, ...]

    @classmethod
    def of(cls, members: Sequence[AbstractEffects | MixedResponses]) -> "MeanOfPredictors":
        """Puts predictors together that were fitted to the same cells.

        **Arguments:** `members`, at least one.

        **Raises:** a ValueError if there is none, or one has other genes or another control mean
        than the first; it says which.
        """
        if not members:
            raise ValueError("A mean of predictors needs at least one.")
        first = members[0]
        for place, member in enumerate(members):
            name = f"predictor {place}, {type(member).__name__}"
            if member.genes != first.genes:
                raise ValueError(
                    f"Of {name}, the genes or their order are not those of the first, "
                    f"{type(first).__name__}: fit all of them to the same cells."
                )
            # Sums of float32 in another order.
            if not np.allclose(member.control_mean, first.control_mean, rtol=1e-4, atol=1e-5):
                raise ValueError(
                    f"Of {name}, the control mean is not that of the first, "
                    f"{type(first).__name__}: fit all of them to the same cells."
                )
        return cls(first.genes, first.control_mean, tuple(members))

    @classmethod
    def fit(cls, screen: Screen) -> "MeanOfPredictors":
        """The mean of residual transfer, mixed effects and a Gaussian process on residuals.

        The mixed effects are without their own `transfer`, as the first of the three is that. Any
        condition can be asked for: where a perturbation was not measured, it has the mean effect.

        **Raises:** a ValueError if the screen has only controls.
        """
        mixed = MixedResponses.fit(screen, MixedEffects(transfer=False))
        transfer = ResidualTransfer.fit(screen, missing="perturbed_mean")
        return cls.of([transfer, mixed, ResidualProcess.fit(screen, mixed)])

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """The mean of the members' effects; none for the control.

        **Raises:** a ValueError for what one of them cannot predict.
        """
        said = [member.effects(conditions).astype(np.float64) for member in self.members]
        return np.mean(said, axis=0).astype(np.float32)
