"""Conditions as rows of a linear model with random effects, and how much two have in common."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from scbig._value import Value, real
from scbig.data import Condition


class Strengths(Value):
    """Variances of the parts of a response, in units of that of one perturbation's own effect.

    **Fields:** `common`, of the effect that all perturbations share; `together`, of what a
    perturbation does besides where it is combined with others; `pair`, of what one combination
    does besides; `noise`, of the measured mean of a condition with an average number of cells.
    `across` is no variance but the share of all parts but the noise that every context has in
    common, the rest being of each context alone.
    """

    common: float = real(0.1, least=0)
    together: float = real(0.0, least=0)
    pair: float = real(0.0, least=0)
    noise: float = real(0.1, above=0)
    across: float = real(1.0, least=0, most=1)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Design:
    """Conditions as numbers.

    **Fields:** `counts`, which of the known perturbations each has; `sizes`, how many it has in
    all, known or not; `names`, by which equal conditions are known; `contexts`, where each was
    measured, `None` for nowhere that was seen.
    """

    counts: Float[np.ndarray, "conditions perturbations"]
    sizes: Float[np.ndarray, " conditions"]
    names: tuple[str, ...]
    contexts: tuple[str | None, ...]

    @classmethod
    def of(
        cls,
        conditions: Sequence[Condition],
        known: Sequence[str],
        contexts: Sequence[str] | None = None,
    ) -> "Design":
        """The rows of these conditions; a perturbation at another dose is another perturbation.

        **Arguments:** `known`, the perturbations that have a column, as in `Condition.labels`;
        `contexts`, of each condition.
        """
        place = {label: column for column, label in enumerate(known)}
        counts = np.zeros((len(conditions), len(known)))
        for row, condition in enumerate(conditions):
            for label in condition.labels:
                if label in place:
                    counts[row, place[label]] = 1.0
        sizes = np.array([len(c.perturbations) for c in conditions], np.float64)
        return cls(
            counts=counts,
            sizes=sizes,
            names=tuple(c.name for c in conditions),
            contexts=(None,) * len(conditions) if contexts is None else tuple(contexts),
        )

    def take(self, rows: Int[np.ndarray, " rows"]) -> "Design":
        """Some of the conditions."""
        return Design(
            counts=self.counts[rows],
            sizes=self.sizes[rows],
            names=tuple(self.names[row] for row in rows),
            contexts=tuple(self.contexts[row] for row in rows),
        )

    @property
    def combined(self) -> Float[np.ndarray, " conditions"]:
        """One for a condition of several perturbations, zero for the others."""
        return (self.sizes > 1).astype(np.float64)


def covariance(
    left: Design, right: Design, strengths: Strengths
) -> Float[np.ndarray, "left right"]:
    r"""How much the responses of conditions have in common, without the noise of measuring them.

    $M (I + \kappa 1 1^T) M'^T + \tau M_+ M'^T_+ + \pi \delta$, where $M$ counts perturbations,
    $M_+$ those of combinations alone, and $\delta$ is one for a combination and itself; all of it
    times $\rho$, the share `across`, between two contexts.
    """
    shared = left.counts @ right.counts.T
    total = shared + strengths.common * np.outer(left.sizes, right.sizes)
    both = np.outer(left.combined, right.combined)
    if strengths.together > 0:
        total = total + strengths.together * both * shared
    if strengths.pair > 0:
        total = total + strengths.pair * both * _same(left.names, right.names)
    if strengths.across < 1:
        here = _same(left.contexts, right.contexts)
        total = total * (strengths.across + (1 - strengths.across) * here)
    return total


def variance(design: Design, strengths: Strengths) -> Float[np.ndarray, " conditions"]:
    """How much the response of each condition varies: by perturbations that were never seen too."""
    own = design.sizes * (1 + strengths.together * design.combined)
    return own + strengths.common * design.sizes**2 + strengths.pair * design.combined


def _same(
    left: Sequence[str | None], right: Sequence[str | None]
) -> Float[np.ndarray, "left right"]:
    """One where two names are equal, zero elsewhere."""
    # Whole numbers are compared much faster than texts.
    numbers = {name: number for number, name in enumerate({*left, *right})}
    rows, columns = (np.array([numbers[name] for name in side], int) for side in (left, right))
    return np.equal.outer(rows, columns).astype(np.float64)
