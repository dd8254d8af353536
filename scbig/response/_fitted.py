"""The effects that were learned, and what they say of conditions."""

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int

from scbig.data import Condition

from ._choose import Band
from ._design import Design, covariance, variance
from ._doses import DoseScale
from ._relations import AbstractRelation
from ._target import TargetEffect
from ._transfer import Transfer


class FittedEffects(eqx.Module):
    """What `MixedEffects` learned.

    **Fields:** `known`, the perturbations that were seen, and `scale`, of their doses; `design`,
    the training conditions; `loadings`, the principal components; `singles` and `combinations`, the
    bands for conditions of one perturbation and of several; `new`, both for conditions with
    perturbations that were never seen, and the `relation` by which those have effects of their
    like, if left-out perturbations confirmed that they have; `target`, of an unseen perturbation on
    its own gene; `origin`, `genes`, mean control expression and its names; `transfer`, what other
    combinations say of one, if left-out combinations confirmed that it helps.
    """

    known: tuple[str, ...]
    scale: DoseScale
    design: Design
    loadings: Float[np.ndarray, "components genes"]
    singles: tuple[Band, ...]
    combinations: tuple[Band, ...]
    new: tuple[tuple[Band, ...], tuple[Band, ...]] | None
    relation: AbstractRelation | None
    target: TargetEffect | None
    origin: Float[np.ndarray, " genes"]
    genes: tuple[str, ...]
    transfer: Transfer | None = None

    def means(
        self, conditions: Sequence[Condition], contexts: Sequence[str] | None = None
    ) -> Float[np.ndarray, "conditions genes"]:
        """Expected responses: of a seen condition its shrunk own, of the control none.

        **Arguments:** `contexts`, of each condition. In one that training had not, and by default,
        it is what the contexts share.
        """
        wanted = self._design(conditions, contexts)
        found = self._expected(wanted) + self._on_targets(conditions, contexts)
        return found if self.transfer is None else self.transfer(conditions, contexts, found)

    def left_out(self) -> Float[np.ndarray, "training genes"]:
        """What the other training rows make one expect of each, without its own response.

        A perturbation that no other row has is then one that was never seen.
        """
        found = np.zeros((len(self.design.names), self.loadings.shape[1]))
        alone = self.design.present & (self.design.present.sum(axis=0) == 1)
        for rows, bands in self._kinds(self.design, alone.any(axis=1)):
            for band in bands:
                scores = np.linalg.solve(band.inverse, band.weights)
                errors = band.weights / np.diag(band.inverse)[:, None]
                found[rows] += (scores - errors)[rows] @ self.loadings[band.components]
        if self.target is not None:
            self._aim(found, alone[:, : len(self.known)])
        return found if self.transfer is None else self.transfer.among_training(found)

    def _aim(
        self,
        found: Float[np.ndarray, "training genes"],
        alone: Bool[np.ndarray, "training perturbations"],
    ) -> None:
        """Adds what perturbations that no other row has do to their own genes, without a dose."""
        assert self.target is not None
        place = {gene: column for column, gene in enumerate(self.genes)}
        for row, number in np.argwhere(alone & np.isposinf(self.design.doses)).tolist():
            column = place.get(self.known[number])
            if column is not None:
                # Of a combination, beside what its other perturbations do there.
                single = self.design.present[row].sum() == 1
                common = found[row, column] if single else self._common(row)[column]
                found[row, column] += self.target(self.origin[column]) - common

    def _common(self, row: int) -> Float[np.ndarray, " genes"]:
        """What is expected of a perturbation that nothing is known of, where a row was measured."""
        doses = np.r_[np.full(len(self.known), -np.inf), np.inf][None]
        likeness = self.design.likeness
        likeness = None if likeness is None else np.pad(likeness, ((0, 1), (0, 1)))
        own = self.design.take(np.array([row]))
        return self._expected(dataclasses.replace(own, doses=doses, likeness=likeness))[0]

    def deviations(
        self, conditions: Sequence[Condition], contexts: Sequence[str] | None = None
    ) -> Float[np.ndarray, "conditions genes"]:
        """Standard deviation of the true response around the sum of effects, by gene.

        As the variances have it; the same where residuals of other combinations count too.
        """
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
        check_contexts(conditions, contexts)
        return Design.of(conditions, self.known, contexts, scale=self.scale, relation=self.relation)

    def _expected(self, wanted: Design) -> Float[np.ndarray, "conditions genes"]:
        """The sums of effects alone."""
        found = np.zeros((len(wanted.names), self.loadings.shape[1]))
        for rows, bands in self._kinds(wanted):
            for band in bands:
                shared = covariance(wanted.take(rows), self.design, band.strengths)
                found[rows] += shared @ band.weights @ self.loadings[band.components]
        return found

    def _kinds(
        self, wanted: Design, unseen: Bool[np.ndarray, " conditions"] | None = None
    ) -> list[tuple[Int[np.ndarray, " rows"], tuple[Band, ...]]]:
        """Rows with the bands for them; `unseen`, those with a perturbation that was never seen."""
        combined = wanted.combined > 0
        beyond = wanted.present[:, wanted.known :].any(axis=1)
        new = (beyond if unseen is None else unseen) & (self.new is not None)
        singles, combinations = self.new or ((), ())
        kinds = (
            (~combined & ~new, self.singles),
            (combined & ~new, self.combinations),
            (~combined & new, singles),
            (combined & new, combinations),
        )
        return [(np.flatnonzero(rows), bands) for rows, bands in kinds if rows.any()]

    def _on_targets(
        self, conditions: Sequence[Condition], contexts: Sequence[str] | None
    ) -> Float[np.ndarray, "conditions genes"]:
        """What unseen perturbations do to their own genes, in place of what all do to them.

        Only without a dose: what is given at one is not aimed at a gene as the others are.
        """
        found = np.zeros((len(conditions), self.loadings.shape[1]))
        if self.target is None:
            return found
        place = {gene: column for column, gene in enumerate(self.genes)}
        own = {*place} - {*self.known}
        aimed = [
            (row, name)
            for row, condition in enumerate(conditions)
            for name, dose in zip(condition.perturbations, condition.doses, strict=True)
            if name in own and dose is None
        ]
        if not aimed:
            return found
        # What the model expects there of this perturbation alone.
        places = None if contexts is None else [contexts[row] for row, _ in aimed]
        alone = self._design([Condition((name,)) for _, name in aimed], places)
        for (row, name), common in zip(aimed, self._expected(alone), strict=True):
            column = place[name]
            found[row, column] += self.target(self.origin[column]) - common[column]
        return found


def check_contexts(conditions: Sequence[Condition], contexts: Sequence[str] | None) -> None:
    """Refuses contexts that are not one for each condition."""
    if isinstance(contexts, str):
        raise ValueError(f"Every condition has a context of its own: got the text {contexts!r}.")
    if contexts is not None and len(contexts) != len(conditions):
        raise ValueError(f"There are {len(contexts)} contexts for {len(conditions)} conditions.")
