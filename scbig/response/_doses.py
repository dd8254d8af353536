"""How much of the effect of a perturbation there is at a dose."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from scbig._value import Value, real
from scbig.data import Condition


class Hill(Value):
    r"""The share of the full effect at a dose, $d^n / (d^n + e^n)$: it rises with the dose.

    **Fields:** `half`, $e$, the dose of half the effect, in units of the perturbation's usual one;
    `steep`, $n$.

    Hill, The possible effects of the aggregation of the molecules of haemoglobin (1910).
    """

    half: float = real(1.0, above=0)
    steep: float = real(1.0, above=0)

    def __call__(self, logs: Float[np.ndarray, "*doses"]) -> Float[np.ndarray, "*doses"]:
        """**Arguments:** `logs`, of the doses over the usual one; infinite for the full effect."""
        return expit(self.steep * (logs - math.log(self.half)))


@dataclasses.dataclass(frozen=True)
class DoseScale:
    """The usual dose of each perturbation: the geometric mean of those that it was given at.

    Each perturbation has its own, since their units may differ.

    **Fields:** `centres`, logarithms of the usual doses; `other`, of a perturbation that has none,
    or `None` if no condition had any dose.
    """

    centres: dict[str, float]
    other: float | None

    @classmethod
    def of(cls, conditions: Sequence[Condition]) -> "DoseScale":
        """That of these conditions, in which every dose counts once."""
        given: dict[str, set[float]] = {}
        for condition in conditions:
            for name, dose in zip(condition.perturbations, condition.doses, strict=True):
                if dose is not None:
                    given.setdefault(name, set()).add(math.log(dose))
        # Sorted, so that the sums do not depend on the order of the conditions.
        centres = {name: float(np.mean(sorted(logs))) for name, logs in sorted(given.items())}
        return cls(centres, float(np.mean([*centres.values()])) if centres else None)

    def logs(self, condition: Condition) -> list[float]:
        """The logarithm of each dose over the usual one; infinite where there is no dose.

        Where no dose was ever measured, none says how much of the effect there is: all of it.
        """
        return [
            math.inf if dose is None or centre is None else math.log(dose) - centre
            for dose, centre in (
                (dose, self.centres.get(name, self.other))
                for name, dose in zip(condition.perturbations, condition.doses, strict=True)
            )
        ]
