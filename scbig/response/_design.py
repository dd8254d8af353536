"""Conditions as rows of a linear model with random effects, and how much two have in common."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from scbig._value import Value, real
from scbig.data import Condition

from ._doses import DoseScale, Hill
from ._relations import AbstractRelation


class Strengths(Value):
    """Variances of the parts of a response, in units of that of one perturbation's own effect.

    **Fields:** `common`, of the effect that all perturbations share; `together`, of what a
    perturbation does besides where it is combined with others; `pair`, of what one combination
    does besides; `noise`, of the measured mean of a condition with an average number of cells.
    `related`, of what like perturbations do alike, by relations that were known before.
    No variances are `across`, the share of all parts but the noise that every context has in
    common, the rest being of each context alone; and `hill`, how much of an effect a dose has.
    """

    common: float = real(0.1, least=0)
    together: float = real(0.0, least=0)
    pair: float = real(0.0, least=0)
    noise: float = real(0.1, above=0)
    across: float = real(1.0, least=0, most=1)
    hill: Hill = Hill()
    related: float = real(0.0, least=0)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Design:
    """Conditions as numbers.

    **Fields:** `known`, the number of perturbations that a model knows; they have the first
    columns, and those that it does not know the others; `doses`, the logarithm of the dose that
    each condition has of each perturbation, over the usual one: infinite where no dose is given,
    minus infinite where the perturbation is not there; `names`, of the combined perturbations,
    whatever their doses; `contexts`, where each was measured, `None` for nowhere that was seen;
    `likeness`, how alike the perturbations of the columns are, if that is known.
    """

    known: int
    doses: Float[np.ndarray, "conditions perturbations"]
    names: tuple[str, ...]
    contexts: tuple[str | None, ...]
    likeness: Float[np.ndarray, "perturbations perturbations"] | None = None

    @classmethod
    def of(
        cls,
        conditions: Sequence[Condition],
        known: Sequence[str],
        contexts: Sequence[str] | None = None,
        *,
        scale: DoseScale | None = None,
        relation: AbstractRelation | None = None,
    ) -> "Design":
        """The rows of these conditions.

        **Arguments:** `known`, names of perturbations; `contexts`, of each condition; `scale`, of
        doses, by default that of these conditions; `relation`, between perturbations.
        """
        scale = DoseScale.of(conditions) if scale is None else scale
        others = {name for c in conditions for name in c.perturbations} - {*known}
        place = {name: column for column, name in enumerate([*known, *sorted(others)])}
        doses = np.full((len(conditions), len(place)), -np.inf)
        for row, condition in enumerate(conditions):
            doses[row, [place[name] for name in condition.perturbations]] = scale.logs(condition)
        return cls(
            known=len(known),
            doses=doses,
            names=tuple("+".join(c.perturbations) for c in conditions),
            contexts=(None,) * len(conditions) if contexts is None else tuple(contexts),
            likeness=None if relation is None else relation.similarity([*place], [*place]),
        )

    def take(self, rows: Int[np.ndarray, " rows"]) -> "Design":
        """Some of the conditions."""
        return dataclasses.replace(
            self,
            doses=self.doses[rows],
            names=tuple(self.names[row] for row in rows),
            contexts=tuple(self.contexts[row] for row in rows),
        )

    @property
    def present(self) -> Bool[np.ndarray, "conditions perturbations"]:
        """Which perturbations each condition has."""
        return self.doses > -np.inf

    @property
    def combined(self) -> Float[np.ndarray, " conditions"]:
        """One for a condition of several perturbations, zero for the others."""
        return (self.present.sum(axis=1) > 1).astype(np.float64)

    def counts(self, hill: Hill) -> Float[np.ndarray, "conditions perturbations"]:
        """How much of the effect of each perturbation each condition has: all if without dose."""
        return hill(self.doses)

    def pairs(self, hill: Hill) -> Float[np.ndarray, " conditions"]:
        """How much of the effect of its combination each condition has; zero without one."""
        return self.combined * np.where(self.present, self.counts(hill), 1.0).prod(axis=1)


def covariance(
    left: Design, right: Design, strengths: Strengths
) -> Float[np.ndarray, "left right"]:
    r"""How much the responses of conditions have in common, without the noise of measuring them.

    $M (I + \kappa 1 1^T + \sigma S) M'^T + \tau M_+ M'^T_+ + \pi \delta$, where $M$ counts
    perturbations, $M_+$ those of combinations alone, $\delta$ is one for a combination and itself,
    and $S$ is the `likeness` on the left, of its perturbations and those that the right side knows;
    all of it times $\rho$, the share `across`, between two contexts. A perturbation with a dose
    counts as much as it has of its effect there, and a combination as the product of its parts.
    """
    rows, columns = left.counts(strengths.hill), right.counts(strengths.hill)
    shared = rows[:, : left.known] @ columns[:, : right.known].T
    total = shared + strengths.common * np.outer(rows.sum(axis=1), columns.sum(axis=1))
    if strengths.related > 0:
        assert left.likeness is not None
        alike = left.likeness[:, : right.known]
        total = total + strengths.related * (rows @ alike @ columns[:, : right.known].T)
    if strengths.together > 0:
        total = total + strengths.together * np.outer(left.combined, right.combined) * shared
    if strengths.pair > 0:
        both = np.outer(left.pairs(strengths.hill), right.pairs(strengths.hill))
        total = total + strengths.pair * both * _same(left.names, right.names)
    if strengths.across < 1:
        here = _same(left.contexts, right.contexts)
        total = total * (strengths.across + (1 - strengths.across) * here)
    return total


def variance(design: Design, strengths: Strengths) -> Float[np.ndarray, " conditions"]:
    """How much the response of each condition varies: by perturbations that were never seen too."""
    counts = design.counts(strengths.hill)
    own = np.sum(counts**2, axis=1) * (1 + strengths.together * design.combined)
    pair = strengths.pair * design.pairs(strengths.hill) ** 2
    if strengths.related > 0:
        assert design.likeness is not None
        own = own + strengths.related * np.sum((counts @ design.likeness) * counts, axis=1)
    return own + strengths.common * counts.sum(axis=1) ** 2 + pair


def _same(
    left: Sequence[str | None], right: Sequence[str | None]
) -> Float[np.ndarray, "left right"]:
    """One where two names are equal, zero elsewhere."""
    # Whole numbers are compared much faster than texts.
    numbers = {name: number for number, name in enumerate({*left, *right})}
    rows, columns = (np.array([numbers[name] for name in side], int) for side in (left, right))
    return np.equal.outer(rows, columns).astype(np.float64)
