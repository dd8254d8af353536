"""The closed-form model of responses as a predictor of cells."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from scbig.data import Condition, Screen
from scbig.response import FittedEffects, MixedEffects

from ._closed_form import AbstractEffects


class MixedResponses(AbstractEffects):
    """Effects of perturbations and of their combinations, shrunk by what left-out conditions say.

    Any condition can be asked for: one that was seen has its measured effect, shrunk, and a
    perturbation that was never seen the effect that all share.

    **Fields:** `fitted`, see `scbig.response.MixedEffects`.
    """

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]
    fitted: FittedEffects

    @classmethod
    def fit(cls, screen: Screen, method: MixedEffects = MixedEffects()) -> "MixedResponses":
        """Fits the model to the responses of a screen, each averaged over its contexts.

        **Raises:** a ValueError if the screen has only controls.
        """
        found = screen.responses()
        cells = np.zeros(len(found.conditions))
        np.add.at(cells, found.condition_index, found.cells)
        fitted = method.fit(
            found.perturbed,
            found.by_condition(),
            cells=cells[np.unique(found.condition_index)],
            origin=found.control_mean(),
            genes=screen.genes,
        )
        return cls(screen.genes, found.control_mean(), fitted)

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """Expected changes; none for the control."""
        return self.fitted.means(conditions).astype(np.float32)
