"""Predictors without parameters of their own: no change, mean change, sum of single changes."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float

from scbig._names import examples
from scbig.data import Condition, Responses, Screen

from ._closed_form import AbstractEffects


class Control(AbstractEffects):
    """Nothing changes: the prediction is the control cells themselves."""

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]

    @classmethod
    def fit(cls, screen: Screen) -> "Control":
        """Keeps the genes and the control mean of the screen."""
        return cls(screen.genes, screen.mean(np.flatnonzero(screen.is_control)))

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """No change."""
        return np.zeros((len(conditions), len(self.genes)), np.float32)


class PerturbedMean(AbstractEffects):
    """Every perturbation does the same: the mean effect of the training perturbations.

    Each training perturbation weighs the same, whatever its number of cells.
    """

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]
    delta: Float[np.ndarray, " genes"]

    @classmethod
    def fit(cls, screen: Screen) -> "PerturbedMean":
        """Averages the effects of all perturbed conditions of the screen.

        **Raises:** a ValueError if there is none.
        """
        found = screen.responses()
        return cls(screen.genes, found.control_mean(), found.by_condition().mean(axis=0))

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """The mean effect for every perturbation, none for the control."""
        return np.stack([0.0 * self.delta if c.is_control else self.delta for c in conditions])


class Additive(AbstractEffects):
    """Effects add up: that of `A+B` is the effect of `A` plus the effect of `B`.

    **Fields:** `perturbations`, those measured alone, with their doses as in `Condition.labels`;
    `deltas`, their effects; `fallback`, the effect of any other, `None` if it is an error.
    """

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]
    perturbations: tuple[str, ...]
    deltas: Float[np.ndarray, "perturbations genes"]
    fallback: Float[np.ndarray, " genes"] | None

    @classmethod
    def fit(
        cls,
        screen: Screen,
        *,
        missing: Literal["error", "perturbed_mean"] = "error",
    ) -> "Additive":
        """Keeps the effects of the single perturbations of the screen.

        **Arguments:**

        - `screen`: training cells.
        - `missing`: for a perturbation that was not measured alone: `"error"`, or the mean effect
            of all perturbed conditions in its place.

        **Raises:** a ValueError if the screen has only controls.
        """
        return cls.of_responses(screen.responses(), screen.genes, missing=missing)

    @classmethod
    def of_responses(
        cls,
        found: Responses,
        genes: tuple[str, ...],
        *,
        missing: Literal["error", "perturbed_mean"] = "error",
    ) -> "Additive":
        """As `fit`, of responses that have been measured: for whom other ones count too.

        **Arguments:** `found`, the responses of a screen; `genes`, its genes; `missing` as there.

        **Raises:** as `fit`.
        """
        deltas = found.by_condition()
        single = [i for i, c in enumerate(found.perturbed) if len(c.perturbations) == 1]
        return cls(
            genes,
            found.control_mean(),
            tuple(found.perturbed[i].name for i in single),
            deltas[single],
            deltas.mean(axis=0) if missing == "perturbed_mean" else None,
        )

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """Sums of the single effects; a perturbation at another dose is another perturbation.

        **Raises:** a ValueError for perturbations without a measured single effect, named.
        """
        known = dict(zip(self.perturbations, self.deltas, strict=True))
        absent = sorted({p for c in conditions for p in c.labels} - set(known))
        if absent and self.fallback is None:
            raise ValueError(
                f"Additive needs the effect of each perturbation alone; {len(absent)} were not "
                f"measured: {examples(absent)}. Fit with missing='perturbed_mean' for the mean "
                "effect."
            )
        none = np.zeros_like(self.control_mean)
        return np.stack(
            [sum((known.get(p, self.fallback) for p in c.labels), none) for c in conditions]
        )


class MatchingMean(AbstractEffects):
    """A combination is as its parts are on average: `A+B` is the mean of the profiles of `A`, `B`.

    The mean, not the sum, of the matched single profiles; for a single perturbation its own
    profile (Systema, Nature Biotechnology 2025). For combinations of two its change has the
    direction of the additive one and half its length: the two differ in error, not in correlation.
    """

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]
    singles: Additive

    @classmethod
    def fit(
        cls,
        screen: Screen,
        *,
        missing: Literal["error", "perturbed_mean"] = "perturbed_mean",
    ) -> "MatchingMean":
        """Keeps the effects of the single perturbations of the screen.

        **Arguments:**

        - `screen`: training cells.
        - `missing`: for a perturbation that was not measured alone: the mean effect of all
            perturbed conditions in its place, or `"error"`.

        **Raises:** a ValueError if the screen has only controls.
        """
        singles = Additive.fit(screen, missing=missing)
        return cls(singles.genes, singles.control_mean, singles)

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """Means of the single effects, none for the control.

        **Raises:** a ValueError for perturbations without an effect, named.
        """
        parts = np.array([max(len(c.perturbations), 1) for c in conditions], np.float32)
        return self.singles.effects(conditions) / parts[:, None]
