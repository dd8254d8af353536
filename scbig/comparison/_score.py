"""The scores of all predictions of a comparison, in one table."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Int

from scbig._files import atomic
from scbig._names import examples
from scbig.baselines import CEILING
from scbig.data import CONTROL, Columns, LabelledCells
from scbig.metrics import Scoring, Truth, halves, held_of, named, scored

from ._plan import Comparison, Evaluation, Unit
from ._run import done
from ._stamp import read_prediction

LEAST = 4
"""Measured cells of a condition that can be halved."""


def score_all(comparison: Comparison, **options: Any) -> pd.DataFrame:
    """Scores each predictor on all test conditions of each evaluation, under each seed.

    Folds are scored together, so that a condition is told from those of the other folds. A
    predictor that lacks a fold has no scores in that evaluation.

    **Arguments:** `options`, of `scbig.metrics.evaluate` but its cells.

    **Returns:** a row for each evaluation, predictor, seed, context (if there are contexts) and
    condition; the last predictor of an evaluation is one half of the measured cells against the
    other, of the conditions with four cells at least. What a test condition has no measured cell
    of, in a context, has no row there.

    **Raises:** a ValueError if no test condition of an evaluation was measured, and for predictions
    of other cells or settings, or that lack a condition.
    """
    scoring = Scoring(**options)
    tables = []
    for evaluation in comparison.evaluations:
        judge = _Judge.of(comparison, evaluation, scoring)
        for predictor, seed, units in _runs(comparison, evaluation):
            if all(done(comparison, unit) is not None for unit in units):
                tables.append(_once(comparison, judge, predictor, seed, units))
        tables += judge.ceiling()
    found = pd.concat(tables)
    with atomic(comparison.out / "scores.csv") as temporary:
        found.to_csv(temporary)
    return found


def _runs(comparison: Comparison, evaluation: Evaluation) -> Iterator[tuple[str, int, list[Unit]]]:
    own = [unit for unit in comparison.units() if unit.evaluation == evaluation.name]
    for predictor, seed in dict.fromkeys((u.predictor, u.seed) for u in own):
        yield predictor, seed, [u for u in own if (u.predictor, u.seed) == (predictor, seed)]


@dataclasses.dataclass(frozen=True, eq=False)
class _Judge:
    """What was measured of the test conditions of an evaluation, under its name."""

    name: str
    truth: Truth
    reference: LabelledCells
    held: LabelledCells | None

    @classmethod
    def of(cls, comparison: Comparison, evaluation: Evaluation, scoring: Scoring) -> "_Judge":
        """Components are fitted on the cells that no split of the evaluation tests.

        Where these are controls alone, as where folds test all there is, they are fitted on the
        measured test cells and their controls: what only perturbed cells do is else not seen.
        """
        screen = comparison.screen
        cells = LabelledCells.of(screen, what="observed")
        wanted: dict[str, list[str]] = {}
        for split in evaluation.splits:
            for context in split.test_contexts or screen.contexts:
                measured = cells.populations[context]
                names = [name for name in split.test if name in measured]
                wanted.setdefault(context, []).extend(names)
        wanted = {context: names for context, names in wanted.items() if names}
        if not wanted:
            raise ValueError(f"No test condition of {evaluation.name!r} has a measured cell.")
        tested = _rows(cells, wanted)
        none = np.zeros(0, int)  # Truth names contexts without controls
        controls = [cells.populations[context].get(CONTROL, none) for context in wanted]
        observed = cells.take(np.sort(np.concatenate([tested, *controls])))
        rest = np.setdiff1d(np.arange(screen.num_cells), tested)
        reference = observed if screen.is_control[rest].all() else cells.take(rest)
        held = held_of(comparison.held, Columns())
        given: Any = {"reference": reference, "scoring": scoring, "held": held}
        truth = Truth.of(observed, wanted, controls=None, **given)
        return cls(evaluation.name, truth, reference, held)

    def scores(self, predicted: LabelledCells) -> pd.DataFrame:
        """A poor prediction has poor scores: its scale is not a reason to have none."""
        wanted = self.truth.wanted
        cells = predicted.ordered(self.truth.observed.genes, what="predicted")
        pairs = [(context, name) for context, names in wanted.items() for name in names]
        have = cells.populations
        lacking = [named(n, c) for c, n in pairs if n not in have.get(c, ())]
        if lacking:
            raise ValueError(f"Predictions lack {len(lacking)} conditions: {examples(lacking)}.")
        return self.truth.table((c, name, cells.cells(name, c)) for c, name in pairs)

    def ceiling(self) -> list[pd.DataFrame]:
        """One half of the measured cells against the other; of no condition, if all have few."""
        observed, wanted, scoring = self.truth.observed, self.truth.wanted, self.truth.scoring
        sizes = observed.populations
        enough = {c: [n for n in names if len(sizes[c][n]) >= LEAST] for c, names in wanted.items()}
        names = sorted({name for own in enough.values() for name in own})
        if not names:
            return []
        controls = [sizes[context][CONTROL] for context in enough]
        kept = observed.take(np.sort(np.concatenate([_rows(observed, enough), *controls])))
        half, other = halves(kept, names, scoring.seed)
        beside: Any = {"reference": self.reference, "held": self.held}
        table = scored(half, other, scoring=scoring, **beside)
        return [_named(table, self.name, CEILING, 0)]


def _rows(cells: LabelledCells, wanted: Mapping[str, Sequence[str]]) -> Int[np.ndarray, " rows"]:
    """The rows of the wanted populations."""
    own = cells.populations
    return np.sort(np.concatenate([own[c][name] for c, names in wanted.items() for name in names]))


def _once(
    comparison: Comparison, judge: _Judge, predictor: str, seed: int, units: list[Unit]
) -> pd.DataFrame:
    """The scores of one predictor under one seed."""
    parts = [read_prediction(comparison.out / u.path.with_suffix(".h5ad"))[0] for u in units]
    together = ad.concat(parts, index_unique="-", uns_merge="first")
    cells = LabelledCells.of_predicted(together, judge.truth.observed)
    return _named(judge.scores(cells), judge.name, predictor, seed)


def _named(table: pd.DataFrame, evaluation: str, predictor: str, seed: int) -> pd.DataFrame:
    levels = [evaluation], [predictor], [seed]
    for name, level in zip(("seed", "predictor", "evaluation"), reversed(levels), strict=True):
        table = pd.concat([table], keys=level, names=[name])
    return table
