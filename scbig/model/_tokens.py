"""Conditions in contexts as numbers: rows of the model's tables, and doses on a common scale."""

import dataclasses
from collections.abc import Iterable

import equinox as eqx
import jax
import numpy as np

from scbig._typing import Array, Bool, Float, Int
from scbig.data import Condition


class ConditionTokens(eqx.Module):
    """What the condition encoder reads: of one condition in one context, or of many at once.

    **Fields:** `rows` of the token table, padded; `mask`, true where a token is real; `doses`, the
    features of each token's dose, none of them in a model without doses; `context`, the row of the
    context table, 0 in a model without one.
    """

    rows: Int[Array, "*groups tokens"]
    mask: Bool[Array, "*groups tokens"]
    doses: Float[Array, "*groups tokens dose_features"]
    context: Int[Array, "*groups"]

    def __getitem__(self, places: int | Int[Array, "..."]) -> "ConditionTokens":
        """One of many, or some of them."""
        return jax.tree.map(lambda values: values[places], self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dosing:
    """How a dose becomes features: whether there is one, and its logarithm, standardised.

    **Fields:** `mean` and `scale` of the logarithms of the distinct doses of a screen, in which a
    dose that many cells got counts once; `always`, whether every perturbation of it had a dose.
    """

    mean: float
    scale: float
    always: bool

    @classmethod
    def of(cls, conditions: Iterable[Condition]) -> "Dosing | None":
        """The scale of these conditions' doses; `None` if there are none."""
        given = [dose for condition in conditions for dose in condition.doses]
        distinct = sorted({dose for dose in given if dose is not None})
        if not distinct:
            return None
        logs = np.log(distinct)
        # A single dose has no spread: other doses then count in natural logarithms.
        scale = float(logs.std()) if len(distinct) > 1 else 1.0
        return cls(mean=float(logs.mean()), scale=scale, always=None not in given)

    def features(self, dose: float | None) -> tuple[float, float]:
        """Of one token. Zeros for none, which is not the same as a dose at the mean."""
        return (0.0, 0.0) if dose is None else (1.0, (float(np.log(dose)) - self.mean) / self.scale)
