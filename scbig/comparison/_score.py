"""The scores of all predictions of a comparison, in one table."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Int

from scbig._files import atomic
from scbig.baselines import CEILING
from scbig.data import CONTROL, LabelledCells
from scbig.metrics import Scoring, Truth, halves, scored

from ._plan import Comparison, Evaluation, Unit
from ._run import done
from ._stamp import read_prediction


def score_all(comparison: Comparison, **options: Any) -> pd.DataFrame:
    """Scores each predictor on all test conditions of each evaluation, under each seed.

    Folds are scored together, so that a condition is told from those of the other folds. A
    predictor that lacks a fold has no scores in that evaluation.

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
            if all(done(comparison, unit) is not None for unit in units):
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
    """What was measured of the test conditions of an evaluation, under its name."""

    name: str
    truth: Truth
    reference: LabelledCells

    @classmethod
    def of(cls, comparison: Comparison, evaluation: Evaluation, scoring: Scoring) -> "_Judge":
        """Components are fitted on the cells that no split of the evaluation tests."""
        screen = comparison.screen
        cells = LabelledCells.of(screen, what="observed")
        wanted: dict[str, list[str]] = {}
        for split in evaluation.splits:
            for context in split.test_contexts or screen.contexts:
                measured = cells.populations[context]
                wanted.setdefault(context, []).extend(n for n in split.test if n in measured)
        tested = _rows(cells, wanted)
        controls = [cells.populations[context][CONTROL] for context in wanted]
        reference = cells.take(np.setdiff1d(np.arange(screen.num_cells), tested))
        observed = cells.take(np.sort(np.concatenate([tested, *controls])))
        given: Any = {"controls": None, "reference": reference, "scoring": scoring}
        return cls(evaluation.name, Truth.of(observed, wanted, **given), reference)

    def scores(self, predicted: LabelledCells) -> pd.DataFrame:
        """A poor prediction has poor scores: its scale is not a reason to have none."""
        wanted = self.truth.wanted
        cells = predicted.ordered(self.truth.observed.genes, what="predicted")
        pairs = [(context, name) for context, names in wanted.items() for name in names]
        return self.truth.table((c, name, cells.cells(name, c)) for c, name in pairs)

    def ceiling(self) -> pd.DataFrame:
        """One half of the measured cells against the other."""
        names = sorted({name for own in self.truth.wanted.values() for name in own})
        scoring = self.truth.scoring
        half, other = halves(self.truth.observed, names, scoring.seed)
        table = scored(half, other, reference=self.reference, scoring=scoring)
        return _named(table, self.name, CEILING, 0)


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
