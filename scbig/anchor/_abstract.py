"""What the flow starts from."""

import abc
from collections.abc import Sequence

import equinox as eqx
from jaxtyping import Float
from numpy import ndarray

from scbig._value import Value
from scbig.data import Condition, Screen
from scbig.priors import EmbeddingTable, PathwayLibrary

from ._moves import Moves


class AbstractFittedAnchor(eqx.Module):
    """What an anchor has learned of a screen; saved with the model that owns it."""

    @abc.abstractmethod
    def moves(self, conditions: Sequence[Condition], contexts: Sequence[str]) -> Moves:
        """How control cells are moved, a group for each condition in its context.

        The control is not moved. Every condition has an answer, also one that was not seen.
        """

    @abc.abstractmethod
    def deviations(
        self, conditions: Sequence[Condition], contexts: Sequence[str]
    ) -> Float[ndarray, "groups genes"]:
        """Standard deviation of the true mean around the predicted one, in log units."""


class AbstractAnchor(Value):
    """A closed-form prediction of populations, which the flow starts from.

    With one, the flow carries control cells that have been moved to where the anchor expects the
    perturbed ones: the same as a velocity `v = b(c) + g`, with the shift `b(c)` of the condition,
    seen from a frame that moves with it.
    """

    @abc.abstractmethod
    def fit(
        self,
        screen: Screen,
        *,
        pathways: PathwayLibrary | None = None,
        vectors: EmbeddingTable | None = None,
    ) -> AbstractFittedAnchor:
        """Learns from the cells of a screen.

        **Arguments:** `pathways`, gene sets, for an anchor that `reads` them; `vectors`, of what
        can be perturbed, each feature standardised: a training always has them.

        **Raises:** `ValueError` if the screen has only controls.
        """
