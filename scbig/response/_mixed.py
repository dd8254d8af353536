"""Responses as sums of random effects: what is shrunk to what, chosen by leaving conditions out."""

import itertools
from collections import Counter
from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int

from scbig._names import examples
from scbig._value import Value, require, whole
from scbig.data import Condition

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

    **Fields:** the variances to choose from, as in `Strengths`; `bands`, after how many components
    another choice is made; `least`, conditions of a kind that must be there to choose by.

    Henderson, Best linear unbiased estimation and prediction under a selection model (1975); the
    errors of left-out conditions: Rasmussen and Williams, Gaussian processes (2006), Eq. 5.12.
    """

    common: tuple[float, ...] = (0.03, 0.1, 0.3)
    together: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0)
    pair: tuple[float, ...] = (0.0, 0.3, 1.0, 3.0)
    noise: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    bands: tuple[int, ...] = (3, 10, 30, 80)
    least: int = whole(8)

    def __check_init__(self) -> None:
        for name in ("common", "together", "pair", "noise"):
            require(len(getattr(self, name)) > 0, self, f"{name} names no variance")
        self.candidates(combined=True)  # raises for a variance that is none
        rising = all(a < b for a, b in itertools.pairwise((0, *self.bands)))
        require(rising, self, f"bands must be rising whole numbers from 1 on; got {self.bands}")

    def candidates(self, *, combined: bool) -> list[Strengths]:
        """All choices; without combinations their variances play no part."""
        together, pair = (self.together, self.pair) if combined else ((0.0,), (0.0,))
        return [
            Strengths(*each) for each in itertools.product(self.common, together, pair, self.noise)
        ]

    def fit(
        self,
        conditions: Sequence[Condition],
        changes: Float[np.ndarray, "conditions genes"],
        *,
        cells: Float[np.ndarray, " conditions"] | None = None,
        origin: Float[np.ndarray, " genes"] | None = None,
        genes: Sequence[str] = (),
    ) -> "FittedEffects":
        """Chooses the variances and solves for the effects.

        **Arguments:**

        - `conditions`: distinct, none of them the control.
        - `changes`: measured responses, in log units.
        - `cells`: how many cells each was measured on; all alike by default.
        - `origin`, `genes`: mean control expression and names of the columns; with them, a
            perturbation that was never seen also changes its own gene, as the seen ones do.

        **Raises:** `ValueError` if there is no condition, one is the control, comes twice or has no
        cells, or a response is not finite.
        """
        _check(conditions, changes, cells)
        known = tuple(sorted({label for c in conditions for label in c.labels}))
        design = Design.of(conditions, known)
        values = np.asarray(changes, np.float64)
        left, scale, loadings = np.linalg.svd(values, full_matrices=False)
        scores = left * scale
        counts = np.ones(len(conditions)) if cells is None else np.asarray(cells, np.float64)
        measured = _Measured(design=design, scores=scores, noise=counts.mean() / counts)
        singles, combinations = measured.solve(self)
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


class Band(eqx.Module):
    """Some principal components of the responses, with the variances that were chosen for them.

    **Fields:** `start`, the first component; `strengths`; `inverse`, of the covariance of the
    measured responses; `weights`, it times their scores; `unit`, the variance, by component, that
    the strengths are in units of.
    """

    start: int
    strengths: Strengths
    inverse: Float[np.ndarray, "conditions conditions"]
    weights: Float[np.ndarray, "conditions components"]
    unit: Float[np.ndarray, " components"]


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

    def means(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """Expected responses: of a seen condition its shrunk own, of the control none."""
        return self._expected(Design.of(conditions, self.known)) + self._on_targets(conditions)

    def left_out(self) -> Float[np.ndarray, "training genes"]:
        """What the other training conditions make one expect of each, without its own response."""
        found = np.zeros((len(self.design.names), self.loadings.shape[1]))
        for rows, bands in self._kinds(self.design):
            for band in bands:
                own = self._loadings_of(band)
                scores = np.linalg.solve(band.inverse, band.weights)
                errors = band.weights / np.diag(band.inverse)[:, None]
                found[rows] += (scores - errors)[rows] @ own
        return found

    def deviations(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """Standard deviation of the true response around `means`, by gene, as the model has it."""
        wanted = Design.of(conditions, self.known)
        found = np.zeros((len(conditions), self.loadings.shape[1]))
        for rows, bands in self._kinds(wanted):
            own = wanted.take(rows)
            for band in bands:
                shared = covariance(own, self.design, band.strengths)
                known = np.einsum("ij,jk,ik->i", shared, band.inverse, shared)
                left = np.maximum(variance(own, band.strengths) - known, 0.0)
                found[rows] += np.outer(left, band.unit @ self._loadings_of(band) ** 2)
        return np.sqrt(found)

    def _expected(self, wanted: Design) -> Float[np.ndarray, "conditions genes"]:
        """The sums of effects alone."""
        found = np.zeros((len(wanted.names), self.loadings.shape[1]))
        for rows, bands in self._kinds(wanted):
            for band in bands:
                shared = covariance(wanted.take(rows), self.design, band.strengths)
                found[rows] += shared @ band.weights @ self._loadings_of(band)
        return found

    def _kinds(self, wanted: Design) -> list[tuple[Int[np.ndarray, " rows"], tuple[Band, ...]]]:
        combined = wanted.combined > 0
        kinds = ((~combined, self.singles), (combined, self.combinations))
        return [(np.flatnonzero(rows), bands) for rows, bands in kinds if rows.any()]

    def _loadings_of(self, band: Band) -> Float[np.ndarray, "components genes"]:
        return self.loadings[band.start : band.start + band.weights.shape[1]]

    def _on_targets(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """What unseen perturbations do to their own genes, beyond what all do to them."""
        found = np.zeros((len(conditions), self.loadings.shape[1]))
        if self.target is None:
            return found
        place = {gene: column for column, gene in enumerate(self.genes)}
        # What the model expects of one perturbation that it knows nothing of.
        any_one = Design(counts=np.zeros((1, len(self.known))), sizes=np.ones(1), names=("",))
        common = self._expected(any_one)[0]
        for row, condition in enumerate(conditions):
            for name in set(condition.perturbations) & set(place) - set(self.seen):
                column = place[name]
                found[row, column] += self.target(self.origin[column]) - common[column]
        return found


class _Measured(eqx.Module):
    """Measured responses in principal components, and how noisy each condition's are."""

    design: Design
    scores: Float[np.ndarray, "conditions components"]
    noise: Float[np.ndarray, " conditions"]

    def solve(self, method: MixedEffects) -> tuple[tuple[Band, ...], tuple[Band, ...]]:
        """The bands for single perturbations and for combinations."""
        combined = self.design.combined > 0
        enough = lambda rows: rows if rows.sum() >= method.least else np.ones_like(rows)
        kinds = enough(~combined), enough(combined)
        candidates = method.candidates(combined=bool(combined.any()))
        # Of every candidate, kind and component the squared error of the conditions left out.
        lost = np.zeros((len(candidates), 2, self.scores.shape[1]))
        for place, strengths in enumerate(candidates):
            squared = self.left_out(self._inverse(strengths))[0] ** 2
            for kind, rows in enumerate(kinds):
                lost[place, kind] = squared[rows].sum(axis=0)
        edges = [edge for edge in (0, *method.bands) if edge < self.scores.shape[1]]
        bands = [slice(a, b) for a, b in itertools.pairwise((*edges, self.scores.shape[1]))]
        best = lambda kind, band: candidates[_first_least(lost[:, kind, band].sum(axis=1))]
        found = [
            tuple(self._band(band, best(kind, band), rows) for band in bands)
            for kind, rows in enumerate(kinds)
        ]
        return found[0], found[1]

    def _band(
        self, band: slice, strengths: Strengths, judged: Bool[np.ndarray, " conditions"]
    ) -> Band:
        inverse = self._inverse(strengths)
        errors, spread = self.left_out(inverse)
        return Band(
            start=band.start,
            strengths=strengths,
            inverse=inverse,
            weights=inverse @ self.scores[:, band],
            unit=np.mean(errors[judged, band] ** 2 / spread[judged, None], axis=0),
        )

    def _inverse(self, strengths: Strengths) -> Float[np.ndarray, "conditions conditions"]:
        own = covariance(self.design, self.design, strengths)
        return np.linalg.inv(own + strengths.noise * np.diag(self.noise))

    def left_out(
        self, inverse: Float[np.ndarray, "conditions conditions"]
    ) -> tuple[Float[np.ndarray, "conditions components"], Float[np.ndarray, " conditions"]]:
        """The error of each condition as the others predict it, and its variance."""
        spread = 1 / np.diag(inverse)
        return inverse @ self.scores * spread[:, None], spread


def _first_least(errors: Float[np.ndarray, " candidates"]) -> int:
    """The place of the least error; of equal ones, as of a single condition, the first."""
    return int(np.flatnonzero(errors <= errors.min() * (1 + 1e-9))[0])


def _check(
    conditions: Sequence[Condition],
    changes: Float[np.ndarray, "conditions genes"],
    cells: Float[np.ndarray, " conditions"] | None,
) -> None:
    if not conditions:
        raise ValueError("There is no perturbed condition to learn from.")
    names = [condition.name for condition in conditions]
    if any(condition.is_control for condition in conditions):
        raise ValueError("The control has no response: leave it out of the conditions.")
    twice = sorted(name for name, number in Counter(names).items() if number > 1)
    if twice:
        raise ValueError(f"Conditions come twice: {examples(twice)}.")
    bad = [name for name, row in zip(names, changes, strict=True) if not np.isfinite(row).all()]
    if bad:
        raise ValueError(f"Responses of {examples(bad)} are not finite.")
    if cells is not None and not (cells > 0).all():
        raise ValueError(
            f"Each condition needs a positive number of cells; the least is {cells.min()}."
        )
