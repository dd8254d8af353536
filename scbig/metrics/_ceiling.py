"""The ceiling of every metric: one half of the measured cells against the other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Int

from scbig._names import examples
from scbig.data import CONTROL, Columns, Condition, LabelledCells, Screen

from ._evaluate import held_of, reference_of, scored
from ._scoring import Scoring
from ._wanted import named


def split_half(
    observed: Screen | AnnData,
    columns: Columns = Columns(),
    *,
    controls: Screen | AnnData | None = None,
    held_controls: Screen | AnnData | None = None,
    reference: Screen | AnnData | None = None,
    conditions: Sequence[str | Condition] | None = None,
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """The ceiling: one random half of each perturbation's cells as a prediction of the other half.

    No model can be expected to do better than a replicate of the measurement. A half has half of
    the cells, so this ceiling is a little lower than that of all cells. Where cells are few, give
    a `reference` too: without one the principal components are fitted on the controls and one half
    only, and the half that they have not seen lies apart from it.

    **Arguments:**

    - `observed`, `columns`, `controls`, `held_controls`, `reference`: as for `evaluate`; without
        `held_controls` the same controls are the origin of both halves, and their noise is in both.
        Each context is split by itself.
    - `conditions`: the perturbations to evaluate, spelled as in `observed`, in each context in
        which they were measured; by default all of them.
    - `seed`: of the split.
    - `options`: further arguments of `evaluate`.

    **Returns:** a table as that of `evaluate`.

    **Raises:** a ValueError for a perturbation with fewer than 4 cells, or one that was not
    measured.
    """
    cells = LabelledCells.of(observed, columns, what="observed")
    if conditions is None:
        parsed = cells.conditions
    else:
        parsed = [columns.parse(c) if isinstance(c, str) else c for c in conditions]
    wanted = sorted({condition.name for condition in parsed} - {CONTROL})
    if not wanted:
        raise ValueError("The observed cells have no perturbation to split, only controls.")
    return scored(
        *halves(cells, wanted, seed),
        controls=None if controls is None else LabelledCells.of_controls(controls, columns),
        held=held_of(held_controls, columns),
        reference=reference_of(reference),
        scoring=Scoring(seed=seed, **options),
    )


def halves(
    cells: LabelledCells, wanted: Sequence[str], seed: int
) -> tuple[LabelledCells, LabelledCells]:
    """Two random halves of each population; the second also has all controls.

    **Raises:** a ValueError that names populations with fewer than 4 cells.
    """
    _check_sizes(cells, wanted)
    first: list[Int[np.ndarray, " _cells"]] = []
    second: list[Int[np.ndarray, " _cells"]] = []
    for own in cells.populations.values():
        rng = np.random.default_rng(seed)
        for name in wanted:
            order = rng.permutation(own.get(name, np.zeros(0, int)))
            first.append(order[: len(order) // 2])
            second.append(order[len(order) // 2 :])
        second.append(own.get(CONTROL, np.zeros(0, int)))
    one, other = (np.sort(np.concatenate(part)) for part in (first, second))
    return cells.take(one), cells.take(other)


def _check_sizes(cells: LabelledCells, wanted: Sequence[str]) -> None:
    """Raises for what was measured nowhere, or in some context in too few cells."""
    groups = cells.populations
    nowhere = [name for name in wanted if not any(name in own for own in groups.values())]
    small = [
        named(name, context)
        for context, own in groups.items()
        for name in wanted
        if name in own and len(own[name]) < 4
    ]
    if small or nowhere:
        few = sorted([*nowhere, *small])
        raise ValueError(
            f"{len(few)} perturbations with fewer than 4 cells cannot be split: {examples(few)}."
        )
