"""Responses as sums of random effects: what is shrunk to what, chosen by leaving conditions out."""

import itertools
from collections import Counter
from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from scbig._names import examples
from scbig._value import Value, require, whole
from scbig.data import Condition

from ._choose import Band, Candidates, Measured
from ._design import Design, Strengths, covariance, variance
from ._target import TargetEffect


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

    **Fields:** the variances to choose from, as in `Strengths`; `bands`, after how many components
    another choice is made; `least`, rows of a kind that must be there to choose by; `across`, the
    shares of contexts to choose from, of which the middle one is where the variances are chosen.

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

    def __check_init__(self) -> None:
        for name in ("common", "together", "pair", "noise"):
            require(len(getattr(self, name)) > 0, self, f"{name} names no variance")
        require(len(self.across) > 0, self, "across names no share")
        self.candidates(combined=True)  # raises for a variance that is none
        for share in self.across:
            Strengths(across=share)
        rising = all(a < b for a, b in itertools.pairwise((0, *self.bands)))
        require(rising, self, f"bands must be rising whole numbers from 1 on; got {self.bands}")

    def candidates(self, *, combined: bool, across: float = 1.0) -> list[Strengths]:
        """All variances with this share of contexts; without combinations theirs play no part."""
        together, pair = (self.together, self.pair) if combined else ((0.0,), (0.0,))
        choices = itertools.product(self.common, together, pair, self.noise)
        return [Strengths(*each, across=across) for each in choices]

    def fit(
        self,
        conditions: Sequence[Condition],
        changes: Float[np.ndarray, "rows genes"],
        *,
        contexts: Sequence[str] | None = None,
        cells: Float[np.ndarray, " rows"] | None = None,
        origin: Float[np.ndarray, " genes"] | None = None,
        genes: Sequence[str] = (),
    ) -> "FittedEffects":
        """Chooses the variances and solves for the effects.

        **Arguments:**

        - `conditions`: of each row, none of them the control.
        - `changes`: measured responses, in log units.
        - `contexts`: where each was measured; all in one by default. No row has the condition and
            the context of another.
        - `cells`: how many cells each was measured on; all alike by default.
        - `origin`, `genes`: mean control expression and names of the columns; with them, a
            perturbation that was never seen also changes its own gene, as the seen ones do.

        **Raises:** `ValueError` if there is no condition, one is the control, comes twice or has no
        cells, a response is not finite, or there are not as many contexts as conditions.
        """
        _check(conditions, changes, contexts, cells)
        known = tuple(sorted({label for c in conditions for label in c.labels}))
        design = Design.of(conditions, known, contexts)
        values = np.asarray(changes, np.float64)
        left, scale, loadings = np.linalg.svd(values, full_matrices=False)
        counts = np.ones(len(conditions)) if cells is None else np.asarray(cells, np.float64)
        measured = Measured(design, left * scale, noise=counts.mean() / counts)
        singles, combinations = measured.solve(
            self._choices(design), bands=self.bands, least=self.least
        )
        target = None if origin is None else TargetEffect.fit(conditions, values, origin, genes)
        return FittedEffects(
            known=known,
            seen=tuple(sorted({name for c in conditions for name in c.perturbations})),
            design=design,
            loadings=loadings,
            singles=singles,
            combinations=combinations,
            target=target,
            origin=np.zeros(values.shape[1]) if origin is None else np.asarray(origin, np.float64),
            genes=tuple(genes),
        )

    def _choices(self, design: Design) -> Candidates:
        combined = bool(design.combined.any())
        if len(set(design.contexts)) < 2:
            return Candidates(grid=self.candidates(combined=combined))
        grid = self.candidates(combined=combined, across=self.across[len(self.across) // 2])
        # Together with the noise: little of either looks like little of the other.
        shares = [{"across": a, "noise": n} for a in self.across for n in self.noise]
        return Candidates(grid=grid, parts=[shares])


class FittedEffects(eqx.Module):
    """What `MixedEffects` learned.

    **Fields:** `known`, the perturbations that were seen, with their doses, and `seen`, without;
    `design`, the training conditions; `loadings`, the principal components; `singles` and
    `combinations`, the bands for conditions of one perturbation and of several; `target`, of an
    unseen perturbation on its own gene; `origin`, `genes`, mean control expression and its names.
    """

    known: tuple[str, ...]
    seen: tuple[str, ...]
    design: Design
    loadings: Float[np.ndarray, "components genes"]
    singles: tuple[Band, ...]
    combinations: tuple[Band, ...]
    target: TargetEffect | None
    origin: Float[np.ndarray, " genes"]
    genes: tuple[str, ...]

    def means(
        self, conditions: Sequence[Condition], contexts: Sequence[str] | None = None
    ) -> Float[np.ndarray, "conditions genes"]:
        """Expected responses: of a seen condition its shrunk own, of the control none.

        **Arguments:** `contexts`, of each condition. In one that training had not, and by default,
        it is what the contexts share.
        """
        wanted = self._design(conditions, contexts)
        return self._expected(wanted) + self._on_targets(conditions, wanted)

    def deviations(
        self, conditions: Sequence[Condition], contexts: Sequence[str] | None = None
    ) -> Float[np.ndarray, "conditions genes"]:
        """Standard deviation of the true response around `means`, by gene, as the model has it."""
        wanted = self._design(conditions, contexts)
        found = np.zeros((len(conditions), self.loadings.shape[1]))
        for rows, bands in self._kinds(wanted):
            own = wanted.take(rows)
            for band in bands:
                shared = covariance(own, self.design, band.strengths)
                known = np.einsum("ij,jk,ik->i", shared, band.inverse, shared)
                left = np.maximum(variance(own, band.strengths) - known, 0.0)
                found[rows] += np.outer(left, band.unit @ self.loadings[band.components] ** 2)
        return np.sqrt(found)

    def _design(self, conditions: Sequence[Condition], contexts: Sequence[str] | None) -> Design:
        _check_contexts(conditions, contexts)
        return Design.of(conditions, self.known, contexts)

    def _expected(self, wanted: Design) -> Float[np.ndarray, "conditions genes"]:
        """The sums of effects alone."""
        found = np.zeros((len(wanted.names), self.loadings.shape[1]))
        for rows, bands in self._kinds(wanted):
            for band in bands:
                shared = covariance(wanted.take(rows), self.design, band.strengths)
                found[rows] += shared @ band.weights @ self.loadings[band.components]
        return found

    def _kinds(self, wanted: Design) -> list[tuple[Int[np.ndarray, " rows"], tuple[Band, ...]]]:
        combined = wanted.combined > 0
        kinds = ((~combined, self.singles), (combined, self.combinations))
        return [(np.flatnonzero(rows), bands) for rows, bands in kinds if rows.any()]

    def _on_targets(
        self, conditions: Sequence[Condition], wanted: Design
    ) -> Float[np.ndarray, "conditions genes"]:
        """What unseen perturbations do to their own genes, beyond what all do to them."""
        found = np.zeros((len(conditions), self.loadings.shape[1]))
        if self.target is None:
            return found
        place = {gene: column for column, gene in enumerate(self.genes)}
        new = [set(c.perturbations) & set(place) - set(self.seen) for c in conditions]
        rows = np.array([row for row, names in enumerate(new) if names], int)
        if not len(rows):
            return found
        # What the model expects there of one perturbation that it knows nothing of.
        any_one = Design(
            counts=np.zeros((len(rows), len(self.known))),
            sizes=np.ones(len(rows)),
            names=("",) * len(rows),
            contexts=wanted.take(rows).contexts,
        )
        for row, common in zip(rows, self._expected(any_one), strict=True):
            for name in new[row]:
                column = place[name]
                found[row, column] += self.target(self.origin[column]) - common[column]
        return found


def _check(
    conditions: Sequence[Condition],
    changes: Float[np.ndarray, "rows genes"],
    contexts: Sequence[str] | None,
    cells: Float[np.ndarray, " rows"] | None,
) -> None:
    if not conditions:
        raise ValueError("There is no perturbed condition to learn from.")
    _check_contexts(conditions, contexts)
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


def _check_contexts(conditions: Sequence[Condition], contexts: Sequence[str] | None) -> None:
    if isinstance(contexts, str):
        raise ValueError(f"Every condition has a context of its own: got the text {contexts!r}.")
    if contexts is not None and len(contexts) != len(conditions):
        raise ValueError(f"There are {len(contexts)} contexts for {len(conditions)} conditions.")
