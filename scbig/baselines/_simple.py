"""Predictors without parameters of their own: no change, mean change, sum of single changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from anndata import AnnData
from jaxtyping import Float, PRNGKeyArray

from scbig.data import Condition, Screen

from ._effects import mean_effects
from ._emit import predict_cells, shortlist


@dataclass(frozen=True, eq=False)
class Control:
    """Nothing changes: the prediction is the control cells themselves."""

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]

    @classmethod
    def fit(cls, screen: Screen) -> "Control":
        """Keeps the genes and the control mean of the screen."""
        return cls(screen.genes, screen.mean(np.flatnonzero(screen.is_control)))

    def mean(self, condition: Condition) -> Float[np.ndarray, " genes"]:
        """Predicted mean profile in the training controls: the control mean."""
        return self.control_mean

    def predict(
        self,
        controls: AnnData,
        conditions: Sequence[str],
        *,
        key: PRNGKeyArray,
        cells: int | None = None,
        context_key: str | Sequence[str] | None = None,
    ) -> AnnData:
        """The control cells, under each condition's label; see `predict_cells`."""
        return predict_cells(
            None,
            self.genes,
            controls,
            conditions,
            key=key,
            cells=cells,
            context_key=context_key,
        )


@dataclass(frozen=True, eq=False)
class PerturbedMean:
    """Every perturbation does the same: the mean effect of the training perturbations.

    Each training perturbation weighs the same, whatever its number of cells.
    """

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]
    delta: Float[np.ndarray, " genes"]

    @classmethod
    def fit(cls, screen: Screen) -> "PerturbedMean":
        """Averages the effects of all perturbed conditions of the screen."""
        effects = mean_effects(screen)
        return cls(screen.genes, effects.control_mean, effects.deltas.mean(axis=0))

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """The mean effect for every perturbation, none for the control."""
        return np.stack([0.0 * self.delta if c.is_control else self.delta for c in conditions])

    def mean(self, condition: Condition) -> Float[np.ndarray, " genes"]:
        """Predicted mean profile in the training controls."""
        return self.control_mean + self.effects([condition])[0]

    def predict(
        self,
        controls: AnnData,
        conditions: Sequence[str],
        *,
        key: PRNGKeyArray,
        cells: int | None = None,
        context_key: str | Sequence[str] | None = None,
    ) -> AnnData:
        """Control cells moved to their mean plus the effect; see `predict_cells`."""
        return predict_cells(
            self.effects,
            self.genes,
            controls,
            conditions,
            key=key,
            cells=cells,
            context_key=context_key,
        )


@dataclass(frozen=True, eq=False)
class Additive:
    """Effects add up: that of `A+B` is the effect of `A` plus the effect of `B`."""

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
        """
        effects = mean_effects(screen)
        single = [i for i, c in enumerate(effects.conditions) if len(c.perturbations) == 1]
        return cls(
            screen.genes,
            effects.control_mean,
            tuple(effects.conditions[i].name for i in single),
            effects.deltas[single],
            effects.deltas.mean(axis=0) if missing == "perturbed_mean" else None,
        )

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """Sums of the single effects.

        **Raises:** a ValueError for perturbations without a measured single effect, named.
        """
        known = dict(zip(self.perturbations, self.deltas, strict=True))
        parts = [_parts(condition) for condition in conditions]
        wanted = {p for own in parts for p in own}
        absent = sorted(wanted - set(known))
        if absent and self.fallback is None:
            raise ValueError(
                f"Additive needs the effect of each perturbation alone; not measured: "
                f"{shortlist(absent)}. Fit with missing='perturbed_mean' for the mean effect."
            )
        none = np.zeros_like(self.control_mean)
        return np.stack([sum((known.get(p, self.fallback) for p in own), none) for own in parts])

    def mean(self, condition: Condition) -> Float[np.ndarray, " genes"]:
        """Predicted mean profile in the training controls; may be negative where effects sum up."""
        return self.control_mean + self.effects([condition])[0]

    def predict(
        self,
        controls: AnnData,
        conditions: Sequence[str],
        *,
        key: PRNGKeyArray,
        cells: int | None = None,
        context_key: str | Sequence[str] | None = None,
    ) -> AnnData:
        """Control cells moved to their mean plus the summed effects; see `predict_cells`."""
        return predict_cells(
            self.effects,
            self.genes,
            controls,
            conditions,
            key=key,
            cells=cells,
            context_key=context_key,
        )


def _parts(condition: Condition) -> list[str]:
    # By label, so that a perturbation at another dose would be another perturbation.
    return [] if condition.is_control else condition.name.split("+")


@dataclass(frozen=True, eq=False)
class MatchingMean:
    """A combination is as its parts are on average: `A+B` is the mean of the profiles of `A`, `B`.

    The mean, not the sum, of the matched single profiles; for a single perturbation its own
    profile (Systema, Nature Biotechnology 2025). For combinations of two its change has the
    direction of the additive one and half its length: the two differ in error, not in correlation.
    """

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
        """
        return cls(Additive.fit(screen, missing=missing))

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """Means of the single effects, none for the control.

        **Raises:** a ValueError for perturbations without an effect, named.
        """
        parts = np.array([max(len(c.perturbations), 1) for c in conditions], np.float32)
        return self.singles.effects(conditions) / parts[:, None]

    def mean(self, condition: Condition) -> Float[np.ndarray, " genes"]:
        """Predicted mean profile in the training controls."""
        return self.singles.control_mean + self.effects([condition])[0]

    def predict(
        self,
        controls: AnnData,
        conditions: Sequence[str],
        *,
        key: PRNGKeyArray,
        cells: int | None = None,
        context_key: str | Sequence[str] | None = None,
    ) -> AnnData:
        """Control cells moved to their mean plus the mean effect; see `predict_cells`."""
        return predict_cells(
            self.effects,
            self.singles.genes,
            controls,
            conditions,
            key=key,
            cells=cells,
            context_key=context_key,
        )
