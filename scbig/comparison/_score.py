"""The scores of all predictions of a comparison, in one table."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from scbig._files import atomic
from scbig.baselines import CEILING
from scbig.data import CONTROL, LabelledCells
from scbig.metrics import Scoring, halves, scored

from ._plan import Comparison, Evaluation, Unit
from ._stamp import read_prediction


def score_all(comparison: Comparison, **options: Any) -> pd.DataFrame:
    """Scores each predictor on all test conditions of each evaluation, under each seed.

    Folds are scored together, so that a condition is told from those of the other folds. A
    predictor that lacks a fold has no scores in that evaluation. Scores that the folder has are
    read, not made again; with other options they are made again.

    **Arguments:** `options`, of `scbig.metrics.evaluate` but its cells.

    **Returns:** a row for each evaluation, predictor, seed, context (if there are contexts) and
    condition; the last predictor of an evaluation is one half of the measured cells against the
    other, where all have four cells at least.
    """
    scoring = Scoring(**options)
    tables = []
    for evaluation in comparison.evaluations:
        judge = _Judge.of(comparison, evaluation, scoring)
        for predictor, seed, units in _runs(comparison, evaluation):
            if all((comparison.out / u.path.with_suffix(".h5ad")).exists() for u in units):
                tables.append(_once(comparison, judge, predictor, seed, units))
        tables.append(judge.ceiling())
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
    """The measured cells of an evaluation, and those that no split of it tests."""

    name: str
    observed: LabelledCells
    reference: LabelledCells
    wanted: Mapping[str, tuple[str, ...]]
    scoring: Scoring

    @classmethod
    def of(cls, comparison: Comparison, evaluation: Evaluation, scoring: Scoring) -> "_Judge":
        screen = comparison.screen
        cells = LabelledCells.of(screen, what="observed")
        wanted: dict[str, list[str]] = {}
        for split in evaluation.splits:
            for context in split.test_contexts or screen.contexts:
                measured = cells.populations[context]
                wanted.setdefault(context, []).extend(n for n in split.test if n in measured)
        rows = [cells.populations[c][n] for c, names in wanted.items() for n in names]
        tested = np.sort(np.concatenate(rows))
        controls = [cells.populations[context][CONTROL] for context in wanted]
        return cls(
            name=evaluation.name,
            observed=cells.take(np.sort(np.concatenate([tested, *controls]))),
            reference=cells.take(np.setdiff1d(np.arange(screen.num_cells), tested)),
            wanted={context: tuple(names) for context, names in wanted.items()},
            scoring=scoring,
        )

    def scores(self, predicted: LabelledCells) -> pd.DataFrame:
        return scored(predicted, self.observed, reference=self.reference, scoring=self.scoring)

    def ceiling(self) -> pd.DataFrame:
        names = sorted({name for own in self.wanted.values() for name in own})
        half, other = halves(self.observed, names, self.scoring.seed)
        table = scored(half, other, reference=self.reference, scoring=self.scoring)
        return _named(table, self.name, CEILING, 0)


def _once(
    comparison: Comparison, judge: _Judge, predictor: str, seed: int, units: list[Unit]
) -> pd.DataFrame:
    """The scores of one predictor under one seed."""
    parts = [read_prediction(comparison.out / u.path.with_suffix(".h5ad"))[0] for u in units]
    together = ad.concat(parts, index_unique="-", uns_merge="first")
    cells = LabelledCells.of_predicted(together, judge.observed)
    kept = [
        cells.populations[context][name]
        for context, names in judge.wanted.items()
        for name in names
    ]
    return _named(
        judge.scores(cells.take(np.sort(np.concatenate(kept)))), judge.name, predictor, seed
    )


def _named(table: pd.DataFrame, evaluation: str, predictor: str, seed: int) -> pd.DataFrame:
    levels = [evaluation], [predictor], [seed]
    for name, level in zip(("seed", "predictor", "evaluation"), reversed(levels), strict=True):
        table = pd.concat([table], keys=level, names=[name])
    return table
