"""What the closed-form predictors share: effects in, cells out."""

import abc
from collections.abc import Sequence
from typing import final

import equinox as eqx
import numpy as np
from anndata import AnnData
from jaxtyping import Float

from scbig._typing import PRNGKeyArray
from scbig.data import Columns, Condition, Screen

from ._emit import predict_cells


class AbstractEffects(eqx.Module):
    """A predictor that knows how each condition changes the mean profile, in any context alike.

    A subclass has the fields `genes` and `control_mean`, the mean of the training controls, and
    says what `effects` are; `mean` and `predict` follow.
    """

    genes: eqx.AbstractVar[tuple[str, ...]]
    control_mean: eqx.AbstractVar[Float[np.ndarray, " genes"]]

    @abc.abstractmethod
    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """Changes of the mean profile in log units, a row for each condition; 0 for the control.

        **Raises:** a ValueError that names what it cannot predict.
        """

    @final
    def mean(self, condition: Condition) -> Float[np.ndarray, " genes"]:
        """Predicted mean profile in the training controls; may be negative."""
        return self.control_mean + self.effects([condition])[0]

    @final
    def predict(
        self,
        controls: Screen | AnnData,
        conditions: Sequence[str],
        columns: Columns = Columns(),
        *,
        key: PRNGKeyArray,
        cells: int | None = None,
    ) -> AnnData:
        """Control cells moved to their mean plus the effect: see `predict_cells`."""
        return predict_cells(
            self.effects,
            self.genes,
            controls,
            conditions,
            columns,
            key=key,
            cells=cells,
        )
