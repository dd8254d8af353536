"""Measured cells, prepared once, and the scores of any prediction of them."""

import functools
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import sparse

from scbig.data import CONTROL, Condition, LabelledCells, check_one_scale

from ._changed import WEIGHTED, scores_of_changed, weighted_scores
from ._controls import check_apart, controls_of
from ._discrimination import discrimination_scores, perturbed_genes
from ._distances import distances
from ._distribution import Matrix, Projection, fit_projection, mean_profile
from ._interaction import INTERACTIONS, interaction_scores
from ._origin import Profile, checked_origin, checked_singles
from ._ranksum import Sorted, rank_sums
from ._response import response, response_scores
from ._scoring import COLUMNS, Dense, Scoring
from ._wanted import Wanted, check_measured
from ._weights import Spread, weights_of

_APART = 2.0
"""Times by which the expression of the controls may differ from that of the conditions."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Truth:
    """Measured populations, the controls of their contexts, and where distances are taken.

    **Fields:** `observed`, `controls` and `held` ones, with the genes in one order; `wanted`, what
    is scored; `means`, of the wanted populations; by context `origins`, from which responses are
    measured, and `starts`, from which predicted ones are;
    `level`, the mean of the controls over all genes; `projections`, by context; `weights` of genes
    and profiles of `singles`, if asked for; `scoring`, how.
    """

    observed: LabelledCells
    controls: LabelledCells
    held: LabelledCells
    wanted: Wanted
    means: Mapping[tuple[str, str], Profile]
    origins: Mapping[str, Profile]
    starts: Mapping[str, Profile]
    level: float
    projections: Mapping[str, Projection]
    weights: Mapping[tuple[str, str], Profile]
    singles: Mapping[tuple[str, str], Profile]
    scoring: Scoring

    @classmethod
    def of(
        cls,
        observed: LabelledCells,
        wanted: Wanted,
        *,
        controls: LabelledCells | None,
        held: LabelledCells | None = None,
        reference: LabelledCells | None,
        scoring: Scoring,
    ) -> "Truth":
        """Checks that everything wanted was measured, and fits the principal components.

        **Raises:** a ValueError that names conditions or contexts that were not measured, or
        contexts without controls, or controls on another scale.
        """
        check_measured(wanted, observed)
        apart = controls is not None
        if controls is None:
            is_control = [c.is_control for c in observed.conditions]
            controls = observed.take(np.flatnonzero(np.array(is_control)[observed.condition_index]))
        controls = controls_of(controls, wanted, observed.genes, what="control")
        means = {
            (context, name): mean_profile(observed.cells(name, context))
            for context, names in wanted.items()
            for name in names
        }
        origins = starts = {own: mean_profile(controls.cells(CONTROL, own)) for own in wanted}
        level, measured_level = _overall(origins.values()), _overall(means.values())
        if apart:
            check_one_scale(level, measured_level, what="control", other="observed", most=_APART)
        if scoring.origin is not None:
            origins = starts = checked_origin(scoring.origin, list(wanted), observed.genes)
        if held is not None:
            held = controls_of(held, wanted, observed.genes, what="held control")
            origins = {own: mean_profile(held.cells(CONTROL, own)) for own in wanted}
            if scoring.origin is not None:
                raise ValueError("Responses are from `origin` or `held_controls`: give only one.")
            check_apart(controls, held, wanted)
            own = _overall(origins.values())
            check_one_scale(own, level, what="held control", other="control")
        if reference is None:
            measured = {c: _measured(observed, controls, c, names) for c, names in wanted.items()}
            projections = {c: fit_projection(x, scoring.components) for c, x in measured.items()}
        else:
            basis = reference.ordered(observed.genes, what="reference")
            shared = fit_projection(basis.blocks(), scoring.components)
            projections = dict.fromkeys(wanted, shared)
        given = scoring.singles
        return cls(
            observed=observed,
            controls=controls,
            held=held or controls,
            wanted=wanted,
            means=means,
            origins=origins,
            starts=starts,
            level=level,
            projections=projections,
            weights=_weights(observed, held or controls, wanted, scoring),
            singles={} if given is None else checked_singles(given, observed.genes),
            scoring=scoring,
        )

    def table(self, populations: Iterable[tuple[str, str, Matrix]]) -> pd.DataFrame:
        """Scores of predicted populations: all that are wanted, in any order, one at a time.

        **Arguments:** `populations`, for each the context, the condition and the predicted cells;
        no more of them than one is held.

        **Returns:** a row for each, as `evaluate` returns it.
        """
        means, own = {}, {}
        for context, name, cells in populations:
            means[context, name] = mean_profile(cells)
            own[context, name] = (
                self._distances(context, name, cells)
                | self._changed(context, name, cells, means[context, name])
                | self._more(context, name, cells)
                | self._weighted(context, name, means[context, name])
                | self._interaction(context, name, means[context, name])
            )
        tables = {}
        for context, names in self.wanted.items():
            origin, start = self.origins[context], self.starts[context]
            guess = [means[context, name] for name in names]
            truth = [self.means[context, name] for name in names]
            rows = [
                response_scores(*pair, origin, top=self.scoring.top, start=start)
                for pair in zip(guess, truth, strict=True)
            ]
            table = pd.DataFrame(rows, index=pd.Index(list(names), name="condition"))
            table["pds"] = discrimination_scores(
                np.stack(guess) - start,
                np.stack(truth) - origin,
                distance=self.scoring.pds_distance,
                denominator=self.scoring.pds_denominator,
                left_out=self._left_out(names),
            )
            more = pd.DataFrame([own[context, name] for name in names], index=table.index)
            table = table.join(more)
            rest = [column for column in table if column not in COLUMNS]
            tables[context] = table.loc[:, [*COLUMNS, *rest]]
        return tables[""] if list(tables) == [""] else pd.concat(tables, names=["context"])

    def _left_out(self, names: Sequence[str]) -> Bool[np.ndarray, "perturbations genes"] | None:
        if not self.scoring.pds_leave_out:
            return None
        perturbed = [Condition.parse(name).perturbations for name in names]
        return perturbed_genes(perturbed, self.observed.genes)

    def _changed(self, context: str, name: str, cells: Matrix, mean: Profile) -> dict[str, float]:
        """What is scored only if asked for: genes that are changed."""
        correction = self.scoring.changed
        if correction is None:
            return {}
        guess = rank_sums(cells, self._against[context]).significant(correction=correction)
        called = guess, self._called[context, name]
        control, start = self._levels[context]
        return scores_of_changed(mean, self.means[context, name], control, called, start=start)

    @functools.cached_property
    def _against(self) -> dict[str, Sorted]:
        """The controls of each context, from which many predictions are told apart."""
        return {own: Sorted.of(self.controls.cells(CONTROL, own)) for own in self.wanted}

    @functools.cached_property
    def _called(self) -> dict[tuple[str, str], Bool[np.ndarray, " genes"]]:
        """Which genes the measured cells call changed."""
        against = self._against
        if self.held is not self.controls:
            against = {own: Sorted.of(self.held.cells(CONTROL, own)) for own in self.wanted}
        test = lambda name, own: rank_sums(self.observed.cells(name, own), against[own])
        return {
            (own, name): test(name, own).significant(correction=self.scoring.changed or "bh")
            for own, names in self.wanted.items()
            for name in names
        }

    @functools.cached_property
    def _levels(self) -> dict[str, tuple[Profile, Profile]]:
        """Means of the controls of each context, on the measured and on the predicted side."""
        mean = lambda cells, own: mean_profile(cells.cells(CONTROL, own))
        return {own: (mean(self.held, own), mean(self.controls, own)) for own in self.wanted}

    def _more(self, context: str, name: str, cells: Matrix) -> dict[str, float]:
        """Metrics of the caller's own."""
        if not self.scoring.metrics:
            return {}
        given = cells, self.observed.cells(name, context), self.held.cells(CONTROL, context)
        dense = [_dense(values) for values in given]
        return {title: float(own(*dense)) for title, own in self.scoring.metrics.items()}

    def _weighted(self, context: str, name: str, mean: Profile) -> dict[str, float]:
        if self.scoring.weighted is None:
            return {}
        weights = self.weights[context, name]
        if not (np.isfinite(weights).all() and weights.any()):
            return dict.fromkeys(WEIGHTED, np.nan)
        measured, start = self.means[context, name], self.starts[context]
        return weighted_scores(mean, measured, self.origins[context], weights, start=start)

    def _interaction(self, context: str, name: str, mean: Profile) -> dict[str, float]:
        if self.scoring.singles is None:
            return {}
        parts = [(context, label) for label in Condition.parse(name).labels]
        if len(parts) != 2 or not all(part in self.singles for part in parts):
            return dict.fromkeys(INTERACTIONS, np.nan)
        singles = [self.singles[part] for part in parts]
        start, origin = self.starts[context], self.origins[context]
        own, first, second = (response(profile, start) for profile in (mean, *singles))
        measured = (response(x, origin) for x in (self.means[context, name], *singles))
        return interaction_scores(own, *measured, start=(first, second))

    def _distances(self, context: str, name: str, cells: Matrix) -> dict[str, float]:
        # By name, so that a score does not depend on what else is scored.
        rng = np.random.default_rng([self.scoring.seed, zlib.crc32(name.encode())])
        measured = self.observed.cells(name, context)
        return distances(cells, measured, self.projections[context], self.scoring, rng)


def _overall(profiles: Iterable[Float[np.ndarray, " genes"]]) -> float:
    return float(np.mean([profile.mean() for profile in profiles]))


def _measured(
    observed: LabelledCells, controls: LabelledCells, context: str, names: Sequence[str]
) -> Iterator[Matrix]:
    yield controls.cells(CONTROL, context)
    for name in names:
        yield observed.cells(name, context)


def _weights(
    observed: LabelledCells, controls: LabelledCells, wanted: Wanted, scoring: Scoring
) -> dict[tuple[str, str], Profile]:
    if scoring.weighted is None:
        return {}
    found: dict[tuple[str, str], Profile] = {}
    for context, names in wanted.items():
        spreads = {name: Spread.of(observed.cells(name, context)) for name in names}
        beside = Spread.of(controls.cells(CONTROL, context))
        own = weights_of(spreads, beside, scoring.weighted)
        found |= {(context, name): weights for name, weights in own.items()}
    return found


def _dense(values: Matrix) -> Dense:
    return np.asarray(values.toarray() if sparse.issparse(values) else values)
