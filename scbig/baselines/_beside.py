"""Simple rules beside predicted cells that are already there."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from scbig._names import examples
from scbig.data import CONTROL, Condition, LabelledCells, Screen
from scbig.metrics import Scoring, Truth, wanted_of

from ._closed_form import AbstractEffects
from ._emit import shift_cells
from ._simple import Additive, Control, PerturbedMean


def simple_rules(
    observed: LabelledCells,
    training: Screen | None,
    *,
    held: LabelledCells | None = None,
    scoring: Scoring,
) -> dict[str, pd.DataFrame]:
    """What the controls alone, the mean effect and the sum of single effects would score.

    **Arguments:** `observed`, the measured cells of what was predicted, and its controls, from
    which each rule starts; `training`, cells that the rules may know, without which there are the
    controls alone; `held` and `scoring`, as for the prediction.

    **Returns:** by name a table as that of `scbig.metrics.evaluate`: `control`; with training cells
    `perturbed mean`, and, where all perturbations were measured alone there, `additive`.

    **Raises:** a ValueError for training cells with conditions that are tested in the same context,
    or with other genes.
    """
    wanted = wanted_of(observed, what="observed")
    given: Any = {"controls": None, "held": held, "reference": None}
    truth = Truth.of(observed, wanted, **given, scoring=scoring)
    none = Control(observed.genes, np.zeros(len(observed.genes), np.float32))
    tables = {"control": truth.table(_moved(none, observed, wanted))}
    if training is None:
        return tables
    _check(training, observed, wanted)
    rules: list[tuple[str, AbstractEffects]] = [("perturbed mean", PerturbedMean.fit(training))]
    sums = Additive.fit(training)
    names = {label for own in wanted.values() for name in own for label in _labels(name)}
    if names <= {*sums.perturbations}:
        rules.append(("additive", sums))
    for title, rule in rules:
        tables[title] = truth.table(_moved(rule, observed, wanted))
    return tables


def _labels(name: str) -> tuple[str, ...]:
    return Condition.parse(name).labels


def _check(training: Screen, observed: LabelledCells, wanted: Mapping[str, Sequence[str]]) -> None:
    if set(training.genes) != set(observed.genes):
        raise ValueError("The training cells do not have the genes of the measured cells.")
    shown = LabelledCells.of(training, what="training").populations
    known = sorted({n for c, names in wanted.items() for n in names if n in shown.get(c, ())})
    if known:
        raise ValueError(
            f"The training cells have {len(known)} of the predicted conditions: {examples(known)}. "
            "Give those that the model was trained on."
        )


def _moved(
    rule: AbstractEffects, observed: LabelledCells, wanted: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str, Any]]:
    """The controls of each context at the mean that a rule says, condition after condition."""
    order = [rule.genes.index(gene) for gene in observed.genes]
    for context, names in wanted.items():
        values = observed.cells(CONTROL, context)
        cells = np.asarray(values.toarray() if sparse.issparse(values) else values)
        centre = cells.mean(axis=0, dtype=np.float64)
        for name in names:
            change = rule.effects([Condition.parse(name)])[0][order]
            yield context, name, shift_cells(cells, centre + change) if change.any() else cells
