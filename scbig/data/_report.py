"""What a screen holds and what looks strange about it: the report before a training."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from scipy import sparse

from scbig._names import examples
from scbig.data._checks import check_controls
from scbig.data._columns import Columns
from scbig.data._condition import Condition
from scbig.data._doubts import doubts, kinds_apart
from scbig.data._reading import Labels
from scbig.data._scale import check_count_values, check_log_base, wholeness
from scbig.data._stored import StoredMatrix, check_stored, labels_of

_CELLS = 2000
"""Cells that are looked at to describe the scale."""
_FEW = 10
"""Cells of a condition below which its mean is mostly noise."""
COUNTS = "raw counts"
LOG = "log1p of normalised counts"
UNKNOWN = "neither counts nor log1p of normalised counts"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Covered:
    """What one prior knows of a screen.

    **Fields:** `line`, of how many genes and perturbations, and which it lacks; `doubts`, what to
    look at; `problems`, for which a training stops unless it is told to go on.
    """

    line: str
    doubts: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@runtime_checkable
class Knows(Protocol):
    """What is known before a screen, such as `scbig.Priors`."""

    def covers(self, genes: Sequence[str], perturbations: Sequence[str]) -> tuple[Covered, ...]:
        """What each prior knows of these genes and perturbations."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """The scale of expression as it was found.

    **Fields:** `kind`, what the values are; `looked`, how many cells were looked at for the others;
    `largest`, the largest value; `zeros`, the share of zeros; `totals`, of the counts of a cell,
    taken back from the logarithm: the 5th, 50th and 95th percentile; `whole`, the share of whole
    numbers among ratios of a cell's counts to its smallest, which is near 1 where counts are behind
    the values.
    """

    kind: str
    looked: int
    largest: float
    zeros: float
    totals: tuple[float, float, float]
    whole: float

    def __str__(self) -> str:
        looked = (
            f"scale: {self.kind}; of {self.looked} cells the largest value is {self.largest:.4g}, "
            f"{self.zeros:.1%} are zero"
        )
        if self.kind == UNKNOWN:  # what would be counts are none
            return looked
        low, middle, high = (f"{total:,.0f}" for total in self.totals)
        return (
            f"{looked}, and the counts add up to {middle} ({low} to {high}); "
            f"{self.whole:.0%} of the ratios between counts of a cell are whole numbers"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What a screen holds, and what looks strange about it; as text, one line for each.

    **Fields:** `num_cells` and `num_genes`; `controls`, how many each context has; `conditions`,
    the perturbed ones; `populations`, the cells of each of them in each context that has any, by
    name (`A+B`, `A+B in K562`); `not_measured`, perturbations that are no measured gene; `scale`;
    `priors`, what each knows; `doubts`, what to look at in the labels and the cells; `problems`,
    for which a training stops unless it is told to go on.
    """

    num_cells: int
    num_genes: int
    controls: dict[str, int]
    conditions: tuple[Condition, ...]
    populations: dict[str, int]
    not_measured: tuple[str, ...]
    scale: Scale
    priors: tuple[Covered, ...]
    doubts: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def perturbations(self) -> tuple[str, ...]:
        """Every name that is perturbed in some condition, sorted."""
        return _names(self.conditions)

    def __str__(self) -> str:
        single = sum(len(c.perturbations) == 1 for c in self.conditions)
        lines = [
            f"{self.num_cells} cells x {self.num_genes} genes: {len(self.conditions)} conditions "
            f"({single} single, {len(self.conditions) - single} combined) of "
            f"{len(self.perturbations)} perturbations",
            self._of_controls(),
            *self._of_sizes(),
            str(self.scale),
            self._of_measured(),
            *(own.line for own in self.priors),
            *(f"look at: {doubt}" for doubt in self.doubts),
            *(f"cannot train: {problem}" for problem in self.problems),
        ]
        return "\n".join(lines)

    def check(self) -> None:
        """Raises a `ValueError` that has every problem, if there is one."""
        if self.problems:
            raise ValueError(" ".join(self.problems))

    def _of_controls(self) -> str:
        if tuple(self.controls) == ("",):
            return f"controls: {self.controls['']}"
        shown = [f"{name}: {number}" for name, number in self.controls.items()]
        return f"controls in each of {len(shown)} contexts: {examples(shown, most=12)}"

    def _of_sizes(self) -> list[str]:
        if not self.populations:
            return []
        sizes = self.populations
        least, most = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
        where = "" if tuple(self.controls) == ("",) else " in a context"
        return [
            f"cells of a condition{where}: {sizes[least]} ({least}) to {sizes[most]} ({most}), "
            f"median {np.median(list(sizes.values())):g}"
        ]

    def _of_measured(self) -> str:
        total, lacking = len(self.perturbations), self.not_measured
        shown = f"; not: {examples(lacking)}" if lacking else ""
        return f"perturbations that are measured genes: {total - len(lacking)} of {total}{shown}"


def inspect_file(
    path: str | os.PathLike[str],
    columns: Columns = Columns(),
    *,
    layer: str | None = None,
    priors: Knows | None = None,
) -> Report:
    """What a file holds, of raw counts or of log-normalised cells; it need not fit in memory.

    **Arguments:** `path`, `columns` and `layer` as for `Screen.open`; `priors`, such as
    `scbig.Priors`, whose coverage is then told.

    **Returns:** the report; a scale that is neither is among its problems.

    **Raises:** a ValueError for labels or names that cannot be read, as `Screen.open` does.
    """
    adata = labels_of(path)
    labels = Labels.of(adata, columns)
    strange = columns.doubts_of(adata, labels.conditions)
    matrix = StoredMatrix.open(path, "X" if layer is None else f"layers/{layer}")
    sample = _sampled(matrix)
    try:
        if layer is None:
            check_log_base(adata.uns)
        if _are_counts(sample):
            for block in matrix.blocks():
                check_count_values(block, labels.genes)
        else:
            check_stored(matrix, labels.genes)
    except ValueError as error:
        return report_of(labels, sample, priors, problems=(str(error),), more=strange)
    return report_of(labels, sample, priors, more=strange)


def report_of(
    labels: Labels,
    expression: sparse.csr_matrix | StoredMatrix,
    priors: Knows | None,
    *,
    problems: tuple[str, ...] = (),
    more: tuple[str, ...] = (),
) -> Report:
    """The report of cells whose labels were read.

    **Arguments:** `problems`, what is wrong with the expression, as sentences; `more`, doubts that
    only the file told.
    """
    conditions = tuple(c for c in labels.conditions if not c.is_control)
    genes, perturbations = frozenset(labels.genes), _names(conditions)
    populations, controls = _counted(labels)
    scale = _scale(_sampled(expression), told=not problems)
    known = () if priors is None else priors.covers(labels.genes, perturbations)
    if not conditions:
        problems = (*problems, "There are no perturbed cells, only controls.")
    try:
        check_controls(labels.contexts, np.flatnonzero([*controls.values()]))
    except ValueError as error:
        problems = (*problems, str(error))
    return Report(
        num_cells=len(labels.cells),
        num_genes=len(labels.genes),
        controls=controls,
        conditions=conditions,
        populations=populations,
        not_measured=tuple(name for name in perturbations if name not in genes),
        scale=scale,
        priors=known,
        doubts=(
            *doubts(conditions, genes),
            *kinds_apart(perturbations, genes),
            *more,
            *_of_controls(controls),
            *_of_populations(populations),
            *_of_scale(scale),
            *(doubt for own in known for doubt in own.doubts),
        ),
        problems=(*problems, *(problem for own in known for problem in own.problems)),
    )


def _counted(labels: Labels) -> tuple[dict[str, int], dict[str, int]]:
    """Cells of each perturbed condition in each context, and controls of each context."""
    shape = len(labels.conditions), len(labels.contexts)
    count = np.zeros(shape, int)
    np.add.at(count, (labels.condition_index, labels.context_index), 1)
    populations, controls = {}, {}
    # Every context has controls; of the pairs with conditions most may have no cells.
    for place, where in np.argwhere(count).tolist():
        condition, context = labels.conditions[place], labels.contexts[where]
        if condition.is_control:
            controls[context] = int(count[place, where])
        else:
            name = f"{condition.name} in {context}" if context else condition.name
            populations[name] = int(count[place, where])
    return populations, controls


def _sampled(expression: sparse.csr_matrix | StoredMatrix) -> sparse.csr_matrix:
    """Cells from all over the screen, in memory."""
    count, _ = expression.shape or (0, 0)
    rows = np.unique(np.linspace(0, count - 1, min(count, _CELLS)).astype(int))
    return sparse.csr_matrix(expression[rows])


def _are_counts(sample: sparse.csr_matrix) -> bool:
    return bool(sample.nnz) and np.array_equal(sample.data, np.rint(sample.data))


def _scale(sample: sparse.csr_matrix, *, told: bool) -> Scale:
    """The scale of some cells; if `told`, it is one of the two that are of use."""
    counts = _are_counts(sample)
    behind = sample.astype(np.float64)
    if not counts:
        with np.errstate(over="ignore"):
            behind.data = np.expm1(behind.data)
    sums = np.asarray(behind.sum(axis=1)).ravel()
    sums = sums[np.isfinite(sums)]
    totals = np.percentile(sums, [5, 50, 95]) if len(sums) else np.full(3, np.nan)
    cells, genes = sample.shape or (0, 0)
    return Scale(
        kind=(COUNTS if counts else LOG) if told else UNKNOWN,
        looked=cells,
        largest=float(sample.data.max(initial=0)),
        zeros=1 - int(sample.count_nonzero()) / (cells * genes),
        totals=(float(totals[0]), float(totals[1]), float(totals[2])),
        whole=wholeness(sample, (lambda x: x) if counts else np.expm1),
    )


def _of_controls(controls: dict[str, int]) -> list[str]:
    few = [f"{name}: {cells}" if name else str(cells) for name, cells in controls.items()]
    few = [shown for shown, cells in zip(few, controls.values(), strict=True) if 0 < cells < _FEW]
    if not few:
        return []
    return [
        f"{len(few)} contexts have fewer than {_FEW} controls, from whose mean all their responses "
        f"are measured: {examples(few)}."
    ]


def _of_populations(populations: dict[str, int]) -> list[str]:
    few = [f"{name}: {cells}" for name, cells in populations.items() if cells < _FEW]
    if not few:
        return []
    return [f"{len(few)} conditions have fewer than {_FEW} cells: {examples(few)}."]


def _of_scale(scale: Scale) -> list[str]:
    if scale.kind == COUNTS and 0 < scale.whole < 0.4:
        return [
            "The values are whole numbers, but few are multiples of a cell's smallest, as counts "
            "are: they may have been rounded from another scale."
        ]
    # The rest of a corrected matrix falls near a whole number by chance in 4 of 100 cases.
    if scale.kind != LOG or not 0 < scale.whole < 0.4:
        return []
    return [
        "No counts stand behind the values: they may have been imputed, corrected or smoothed, "
        "which moves what perturbations change."
    ]


def _names(conditions: Sequence[Condition]) -> tuple[str, ...]:
    return tuple(sorted({name for c in conditions for name in c.perturbations}))
