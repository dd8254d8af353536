"""The closed-form model of responses as a predictor of cells."""

from collections.abc import Sequence

import equinox as eqx
import numpy as np
from anndata import AnnData
from jaxtyping import Float

from scbig._typing import PRNGKeyArray
from scbig.data import Columns, Condition, Screen
from scbig.response import AbstractRelation, FittedEffects, MixedEffects

from ._emit import predict_in_contexts


class MixedResponses(eqx.Module):
    """Effects of perturbations and of their combinations, shrunk by what left-out conditions say.

    Any condition can be asked for: one that was seen has its measured effect, shrunk, and a
    perturbation that was never seen the effect that all share. In each context of the training
    cells it has what all contexts share and what is of this one; in any other what they share.

    **Fields:** `genes`; `control_mean`, of the training controls; `fitted`, see
    `scbig.response.MixedEffects`.
    """

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]
    fitted: FittedEffects

    @classmethod
    def fit(
        cls,
        screen: Screen,
        method: MixedEffects = MixedEffects(),
        *,
        relation: AbstractRelation | None = None,
    ) -> "MixedResponses":
        """Fits the model to the responses of a screen in each of its contexts.

        **Arguments:** `relation`, which perturbations are alike, for those that were never seen.

        **Raises:** a ValueError if the screen has only controls.
        """
        found = screen.responses()
        fitted = method.fit(
            [found.conditions[place] for place in found.condition_index],
            found.changes,
            contexts=[found.contexts[place] for place in found.context_index],
            cells=found.cells.astype(np.float64),
            origin=found.control_mean(),
            genes=screen.genes,
            relation=relation,
        )
        return cls(screen.genes, found.control_mean(), fitted)

    def effects(
        self, conditions: Sequence[Condition], context: str | None = None
    ) -> Float[np.ndarray, "conditions genes"]:
        """Expected changes in log units; none for the control.

        **Arguments:** `context`, of all of them; by default, what the training contexts share.
        """
        contexts = None if context is None else [context] * len(conditions)
        return self.fitted.means(conditions, contexts).astype(np.float32)

    def mean(self, condition: Condition) -> Float[np.ndarray, " genes"]:
        """Predicted mean profile in the training controls; may be negative."""
        return self.control_mean + self.effects([condition])[0]

    def predict(
        self,
        controls: Screen | AnnData,
        conditions: Sequence[str],
        columns: Columns = Columns(),
        *,
        key: PRNGKeyArray,
        cells: int | None = None,
    ) -> AnnData:
        """Control cells moved to their mean plus the effect in their context: see `predict_cells`.

        Controls without a context are moved by what the training contexts share.
        """
        return predict_in_contexts(
            lambda asked, contexts: [self.effects(asked, context) for context in contexts],
            self.genes,
            controls,
            conditions,
            columns,
            key=key,
            cells=cells,
        )
