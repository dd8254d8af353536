"""Responses as sums of random effects: what is shrunk to what, chosen by leaving conditions out."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from scbig._names import examples
from scbig._value import Value, require, whole
from scbig.data import Condition

from ._choose import Band, Candidates, Measured
from ._confirm import confirmed, related_band
from ._design import Design, Strengths
from ._doses import DoseScale, Hill
from ._fitted import FittedEffects, check_contexts
from ._relations import AbstractRelation
from ._target import TargetEffect
from ._transfer import Transfer, transfer_helps


class MixedEffects(Value):
    """The response of a condition as a sum of effects: of its perturbations, of being combined.

    Every perturbation has an effect around one that all share; in a combination it has another
    besides, and so has the combination. All are shrunk by their variances against the noise of the
    measured means (best linear unbiased prediction). The variances are chosen among `common`,
    `together`, `pair` and `noise`, by the squared error of each condition as the others predict it,
    in closed form; apart for single perturbations and for combinations, and apart for the leading
    principal components of the responses and for later ones, which are mostly noise.

    In several contexts all effects have a part that the contexts share and a part of each context
    alone; a context without training rows has the shared part. The share is chosen after the
    other variances, with the noise once more, so that there are not five times as many to try.
    At a dose a perturbation has a share of its effect, which rises with the dose as the `Hill`
    function that is chosen so too; without a dose it has all of it.

    What is known of perturbations before can say which are alike. Then one that was never seen has
    the effects of its like, as far as that predicts seen ones of which all conditions are left out
    better than without; what was seen is predicted as without.

    **Fields:** the variances to choose from, as in `Strengths`; `bands`, after how many components
    another choice is made; `least`, rows of a kind that must be there to choose by; `across`, the
    shares of contexts, and `half` and `steep`, of Hill functions, to choose from; the variances are
    chosen at the middle one of each; `related`, variances of what like perturbations do alike;
    `transfer`, whether a combination that was not seen is expected to do the mean of this and of
    the sum of its measured parts with residuals of other combinations (`Transfer`), where
    combinations left out in turn say that it helps.

    Henderson, Best linear unbiased estimation and prediction under a selection model (1975); the
    errors of left-out conditions: Rasmussen and Williams, Gaussian processes (2006), Eq. 5.12.
    """

    common: tuple[float, ...] = (0.03, 0.1, 0.3)
    together: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0)
    pair: tuple[float, ...] = (0.0, 0.3, 1.0, 3.0)
    noise: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    bands: tuple[int, ...] = (3, 10, 30, 80)
    least: int = whole(8)
    across: tuple[float, ...] = (0.0, 0.5, 0.8, 0.95, 1.0)
    half: tuple[float, ...] = (0.1, 0.3, 1.0, 3.0, 10.0)
    steep: tuple[float, ...] = (0.5, 1.0, 2.0)
    related: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0, 3.0)
    transfer: bool = True

    def __check_init__(self) -> None:
        for name in ("common", "together", "pair", "noise"):
            require(len(getattr(self, name)) > 0, self, f"{name} names no variance")
        for name in ("across", "half", "steep"):
            require(len(getattr(self, name)) > 0, self, f"{name} names nothing to choose from")
        self.candidates(combined=True)  # raises for a variance that is none
        for share in self.across:
            Strengths(across=share)
        for variance in self.related:
            Strengths(related=variance)
        self.hills()
        rising = all(a < b for a, b in itertools.pairwise((0, *self.bands)))
        require(rising, self, f"bands must be rising whole numbers from 1 on; got {self.bands}")

    def candidates(
        self, *, combined: bool, across: float = 1.0, hill: Hill = Hill()
    ) -> list[Strengths]:
        """All variances; without combinations theirs play no part.

        **Arguments:** `across`, `hill`, what all of them have.
        """
        together, pair = (self.together, self.pair) if combined else ((0.0,), (0.0,))
        choices = itertools.product(self.common, together, pair, self.noise)
        return [Strengths(*each, across=across, hill=hill) for each in choices]

    def hills(self) -> list[Hill]:
        """All Hill functions."""
        return [Hill(*each) for each in itertools.product(self.half, self.steep)]

    def fit(
        self,
        conditions: Sequence[Condition],
        changes: Float[np.ndarray, "rows genes"],
        *,
        contexts: Sequence[str] | None = None,
        cells: Float[np.ndarray, " rows"] | None = None,
        origin: Float[np.ndarray, " genes"] | None = None,
        genes: Sequence[str] = (),
        relation: AbstractRelation | None = None,
    ) -> FittedEffects:
        """Chooses the variances and solves for the effects.

        **Arguments:**

        - `conditions`: of each row, none of them the control.
        - `changes`: measured responses, in log units.
        - `contexts`: where each was measured; all in one by default. No row has the condition and
            the context of another.
        - `cells`: how many cells each was measured on; all alike by default.
        - `origin`, `genes`: mean control expression and names of the columns; with them, a
            perturbation that was never seen also changes its own gene, as the seen ones do.
        - `relation`: which perturbations are alike.

        **Raises:** `ValueError` if there is no condition, one is the control, comes twice or has no
        cells, a response is not finite, or there are not as many contexts as conditions.
        """
        _check(conditions, changes, contexts, cells)
        known = tuple(sorted({name for c in conditions for name in c.perturbations}))
        scale = DoseScale.of(conditions)
        design = Design.of(conditions, known, contexts, scale=scale, relation=relation)
        values = np.asarray(changes, np.float64)
        left, sizes, loadings = np.linalg.svd(values, full_matrices=False)
        counts = np.ones(len(conditions)) if cells is None else np.asarray(cells, np.float64)
        measured = Measured(design, left * sizes, noise=counts.mean() / counts)
        singles, combinations = measured.solve(
            self._choices(design), bands=self.bands, least=self.least
        )
        new = self._related(measured, singles, combinations) if relation is not None else None
        target = None if origin is None else TargetEffect.fit(conditions, values, origin, genes)
        fitted = FittedEffects(
            known=known,
            scale=scale,
            design=design,
            loadings=loadings,
            singles=singles,
            combinations=combinations,
            new=new,
            relation=None if new is None else relation,
            target=target,
            origin=np.zeros(values.shape[1]) if origin is None else np.asarray(origin, np.float64),
            genes=tuple(genes),
        )
        if not self.transfer:
            return fitted
        places = [""] * len(conditions) if contexts is None else list(contexts)
        transfer = Transfer.fit(conditions, values, places)
        combined = np.flatnonzero(transfer.covered)
        if len(combined) < max(self.least, 2):
            return fitted
        # By whole fits without them: the errors above are those that the variances were chosen by.
        plain = dataclasses.replace(self, transfer=False)

        def rest(kept: Int[np.ndarray, " kept"]) -> FittedEffects:
            # Their parts were all seen: targets and relations have no say in them.
            own, where = [conditions[row] for row in kept], [places[row] for row in kept]
            return plain.fit(own, values[kept], contexts=where, cells=counts[kept])

        helps = transfer_helps(rest, conditions, values, places, combined)
        return dataclasses.replace(fitted, transfer=transfer) if helps else fitted

    def _related(
        self, measured: Measured, singles: tuple[Band, ...], combinations: tuple[Band, ...]
    ) -> tuple[tuple[Band, ...], tuple[Band, ...]] | None:
        """The bands of both kinds with relations, `None` where they help neither."""
        combined = measured.design.combined > 0
        kinds = ((singles, ~combined), (combinations, combined))
        found = [
            confirmed(measured, bands, rows, self.related, least=self.least)
            for bands, rows in kinds
        ]
        if not any(found):
            return None
        alone, together = (
            tuple(related_band(measured, band, rows, variance) for band in bands)
            if variance
            else bands
            for (bands, rows), variance in zip(kinds, found, strict=True)
        )
        return alone, together

    def _choices(self, design: Design) -> Candidates:
        several = len(set(design.contexts)) > 1
        dosed = bool(np.isfinite(design.doses).any())
        grid = self.candidates(
            combined=bool(design.combined.any()),
            across=_middle(self.across) if several else 1.0,
            hill=Hill(_middle(self.half), _middle(self.steep)) if dosed else Hill(),
        )

        def hills(best: Strengths) -> list[Strengths]:
            # As much noise for the effects as they have at these doses: without it another curve
            # would be another size of the effects first of all.
            size = lambda hill: np.mean(np.sum(design.counts(hill) ** 2, axis=1))
            return [
                dataclasses.replace(
                    best, hill=hill, noise=best.noise * size(hill) / size(best.hill)
                )
                for hill in self.hills()
            ]

        def shares(best: Strengths) -> list[Strengths]:
            # Together with the noise: little of either looks like little of the other.
            return [
                dataclasses.replace(best, across=across, noise=noise)
                for across in (self.across if several else (best.across,))
                for noise in self.noise
            ]

        parts = ([hills] if dosed else []) + ([shares] if several or dosed else [])
        return Candidates(grid=grid, parts=parts)


def _middle(values: tuple[float, ...]) -> float:
    return values[len(values) // 2]


def _check(
    conditions: Sequence[Condition],
    changes: Float[np.ndarray, "rows genes"],
    contexts: Sequence[str] | None,
    cells: Float[np.ndarray, " rows"] | None,
) -> None:
    if not conditions:
        raise ValueError("There is no perturbed condition to learn from.")
    check_contexts(conditions, contexts)
    if any(condition.is_control for condition in conditions):
        raise ValueError("The control has no response: leave it out of the conditions.")
    names = [condition.name for condition in conditions]
    places = [""] * len(names) if contexts is None else contexts
    rows = Counter(zip(names, places, strict=True))
    twice = sorted(
        f"{name} in {place}" if place else name for (name, place), n in rows.items() if n > 1
    )
    if twice:
        raise ValueError(f"Conditions come twice: {examples(twice)}.")
    bad = [name for name, row in zip(names, changes, strict=True) if not np.isfinite(row).all()]
    if bad:
        raise ValueError(f"Responses of {examples(bad)} are not finite.")
    if cells is not None and not (cells > 0).all():
        raise ValueError(
            f"Each condition needs a positive number of cells; the least is {cells.min()}."
        )
