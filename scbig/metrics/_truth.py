"""Measured cells, prepared once, and the scores of any prediction of them."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import sparse

from scbig._names import examples
from scbig.data import CONTROL, Condition, LabelledCells, check_one_scale

from ._changed import CHANGED, changed_scores
from ._discrimination import Denominator, Distance, discrimination_scores, perturbed_genes
from ._distribution import Projection, energy_distance, fit_projection
from ._origin import checked_origin
from ._ranksum import Correction
from ._response import response_scores

if TYPE_CHECKING:  # scipy ships no types, and those that pyright infers are wrong
    Matrix = Any
else:
    Matrix = np.ndarray | sparse.csr_matrix

Wanted = Mapping[str, Sequence[str]]
"""For each context the conditions to score there, by canonical name."""

Dense = Float[np.ndarray, "_cells genes"]
Metric = Callable[[Dense, Dense, Dense], float]
"""From the predicted cells of a population, the measured ones and the controls to a number."""

_APART = 2.0
"""Times by which the expression of the controls may differ from that of the conditions."""

COLUMNS = (
    "pearson_delta",
    "pearson_delta_deg20",
    "acc",
    "acc_deg20",
    "l2",
    "mse",
    "mae",
    "pds",
    "discr_cos",
    "e_distance",
)


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How predictions are scored: the arguments of `evaluate` of these names."""

    components: int = 50
    top: int = 20
    pds_denominator: Denominator = "n-1"
    pds_distance: Distance = "l1"
    pds_leave_out: bool = False
    origin: pd.DataFrame | None = None
    changed: Correction | None = None
    unbiased: bool = True
    max_cells: int | None = 1000
    seed: int = 0
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    def __post_init__(self) -> None:
        taken = sorted({*COLUMNS, *CHANGED} & {*self.metrics})
        if taken:
            raise ValueError(f"There are metrics called {examples(taken)}: choose other names.")
        if min(self.components, self.top) < 1 or (self.max_cells or 1) < 1 or self.max_cells == 0:
            raise ValueError(
                "components, top and max_cells must be positive: got "
                f"components={self.components}, top={self.top}, max_cells={self.max_cells}."
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Truth:
    """Measured populations, the controls of their contexts, and where distances are taken.

    **Fields:** `observed` and `controls`, with the genes in one order; `wanted`, what is scored;
    `means`, of the wanted populations; `origins`, from which responses are measured, by context;
    `level`, the mean of the controls over all genes; `projections`, by context; `scoring`, how.
    """

    observed: LabelledCells
    controls: LabelledCells
    wanted: Wanted
    means: Mapping[tuple[str, str], Float[np.ndarray, " genes"]]
    origins: Mapping[str, Float[np.ndarray, " genes"]]
    level: float
    projections: Mapping[str, Projection]
    scoring: Scoring

    @classmethod
    def of(
        cls,
        observed: LabelledCells,
        wanted: Wanted,
        *,
        controls: LabelledCells | None,
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
        controls = controls.ordered(observed.genes, what="control")
        lacking = [context for context in wanted if context not in controls.populations]
        if lacking:
            raise ValueError(_no_controls(lacking))
        means = {
            (context, name): mean_profile(observed.cells(name, context))
            for context, names in wanted.items()
            for name in names
        }
        origins = {own: mean_profile(controls.cells(CONTROL, own)) for own in wanted}
        level, measured_level = _overall(origins.values()), _overall(means.values())
        if apart:
            check_one_scale(level, measured_level, what="control", other="observed", most=_APART)
        if scoring.origin is not None:
            origins = checked_origin(scoring.origin, list(wanted), observed.genes)
        if reference is None:
            measured = {c: _measured(observed, controls, c, names) for c, names in wanted.items()}
            projections = {c: fit_projection(x, scoring.components) for c, x in measured.items()}
        else:
            basis = reference.ordered(observed.genes, what="reference")
            shared = fit_projection(basis.blocks(), scoring.components)
            projections = dict.fromkeys(wanted, shared)
        return cls(
            observed=observed,
            controls=controls,
            wanted=wanted,
            means=means,
            origins=origins,
            level=level,
            projections=projections,
            scoring=scoring,
        )

    def table(self, populations: Iterable[tuple[str, str, Matrix]]) -> pd.DataFrame:
        """Scores of predicted populations: all that are wanted, in any order, one at a time.

        **Arguments:** `populations`, for each the context, the condition and the predicted cells;
        no more of them than one is held.

        **Returns:** a row for each, as `evaluate` returns it.
        """
        means, energies, own = {}, {}, {}
        for context, name, cells in populations:
            means[context, name] = mean_profile(cells)
            energies[context, name] = self._energy(context, name, cells)
            own[context, name] = self._more(context, name, cells)
        tables = {}
        for context, names in self.wanted.items():
            origin = self.origins[context]
            guess = [means[context, name] for name in names]
            truth = [self.means[context, name] for name in names]
            rows = [
                response_scores(*pair, origin, top=self.scoring.top)
                for pair in zip(guess, truth, strict=True)
            ]
            table = pd.DataFrame(rows, index=pd.Index(list(names), name="condition"))
            table["pds"] = discrimination_scores(
                np.stack(guess) - origin,
                np.stack(truth) - origin,
                distance=self.scoring.pds_distance,
                denominator=self.scoring.pds_denominator,
                left_out=self._left_out(names),
            )
            table["e_distance"] = [energies[context, name] for name in names]
            table = table.loc[:, list(COLUMNS)]
            more = pd.DataFrame([own[context, name] for name in names], index=table.index)
            tables[context] = table.join(more)
        return tables[""] if list(tables) == [""] else pd.concat(tables, names=["context"])

    def _left_out(self, names: Sequence[str]) -> Bool[np.ndarray, "perturbations genes"] | None:
        if not self.scoring.pds_leave_out:
            return None
        perturbed = [Condition.parse(name).perturbations for name in names]
        return perturbed_genes(perturbed, self.observed.genes)

    def _more(self, context: str, name: str, cells: Matrix) -> dict[str, float]:
        """What is scored only if asked for: changed genes, and metrics of the caller's own."""
        correction, own = self.scoring.changed, self.scoring.metrics
        if correction is None and not own:
            return {}
        given = cells, self.observed.cells(name, context), self.controls.cells(CONTROL, context)
        found = {} if correction is None else changed_scores(*given, correction=correction)
        dense = [_dense(values) for values in given] if own else []
        return found | {title: float(metric(*dense)) for title, metric in own.items()}

    def _energy(self, context: str, name: str, cells: Matrix) -> float:
        # By name, so that a score does not depend on what else is scored.
        rng = np.random.default_rng([self.scoring.seed, zlib.crc32(name.encode())])
        projection = self.projections[context]
        chosen = [
            _subsample(values, self.scoring.max_cells, rng)
            for values in (cells, self.observed.cells(name, context))
        ]
        fewest = min(values.shape[0] for values in chosen)
        if self.scoring.unbiased and fewest < 2:
            return np.nan  # a single cell has no distance to others of its population
        return energy_distance(*map(projection, chosen), unbiased=self.scoring.unbiased)


def wanted_of(predicted: LabelledCells) -> dict[str, list[str]]:
    """The perturbed conditions of each context that has any."""
    found = {
        context: sorted(name for name in own if name != CONTROL)
        for context, own in predicted.populations.items()
    }
    found = {context: names for context, names in found.items() if names}
    if not found:
        raise ValueError("The predicted cells have no perturbation to evaluate, only controls.")
    return found


def check_measured(wanted: Wanted, observed: LabelledCells) -> None:
    """Raises if a context or a condition was not measured, and names it."""
    have = observed.populations
    strange = [context for context in wanted if context not in have]
    if strange:
        raise ValueError(
            f"{len(strange)} contexts of the predicted cells are not among the observed cells: "
            f"{examples(strange)}; observed are {examples(have)}. Drop them from the predictions, "
            "or name the column of contexts: Columns(context=...)."
        )
    unmeasured = [
        named(name, context)
        for context, names in wanted.items()
        for name in names
        if name not in have[context]
    ]
    if unmeasured:
        raise ValueError(
            f"{len(unmeasured)} predicted conditions are not among the observed cells: "
            f"{examples(unmeasured)}. Drop them from the predictions, or check what Columns says "
            "of the labels."
        )


def named(condition: str, context: str) -> str:
    """A condition in its context, for an error message."""
    return f"{condition} in {context}" if context else condition


def mean_profile(values: Matrix) -> Float[np.ndarray, " genes"]:
    """Mean over cells, accumulated in float64."""
    if isinstance(values, np.ndarray):
        return values.mean(axis=0, dtype=np.float64)
    # SciPy's own mean of float32 is exact to float32 only, whatever `dtype` says.
    count, genes = values.shape
    return np.bincount(values.indices, weights=values.data, minlength=genes) / count


def _overall(profiles: Iterable[Float[np.ndarray, " genes"]]) -> float:
    return float(np.mean([profile.mean() for profile in profiles]))


def _no_controls(contexts: Sequence[str]) -> str:
    if list(contexts) == [""]:
        return (
            "There are no control cells among the observed cells. Check what Columns says of the "
            "control's name, or pass the control cells as `controls`."
        )
    return (
        f"{len(contexts)} contexts have no control cells: {examples(contexts)}. Each perturbation "
        "is compared with the controls of its own context: add them, or leave those contexts out."
    )


def _measured(
    observed: LabelledCells, controls: LabelledCells, context: str, names: Sequence[str]
) -> Iterator[Matrix]:
    yield controls.cells(CONTROL, context)
    for name in names:
        yield observed.cells(name, context)


def _dense(values: Matrix) -> Dense:
    return np.asarray(values.toarray() if sparse.issparse(values) else values)


def _subsample(values: Matrix, most: int | None, rng: np.random.Generator) -> Matrix:
    if most is None or values.shape[0] <= most:
        return values
    return values[np.sort(rng.choice(values.shape[0], most, replace=False))]
