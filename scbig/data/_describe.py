"""Reports of screens and of files: what is counted, and what is said about it."""

import os

import numpy as np
from scipy import sparse

from scbig._names import examples
from scbig.data._checks import check_controls
from scbig.data._columns import Columns
from scbig.data._doubts import doubts, kinds_apart
from scbig.data._reading import Labels
from scbig.data._report import COUNTS, LOG, UNKNOWN, Knows, Report, Scale, perturbed
from scbig.data._scale import check_count_values, check_log_base, wholeness
from scbig.data._stored import StoredMatrix, check_stored, labels_of

_CELLS = 2000
"""Cells that are looked at to describe the scale."""
_FEW = 10
"""Cells of a condition below which its mean is mostly noise."""


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
    genes, perturbations = frozenset(labels.genes), perturbed(conditions)
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
    populations, controls = {}, dict.fromkeys(labels.contexts, 0)
    # Of the pairs of many conditions with many contexts most may have no cells.
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
