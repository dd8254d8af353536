"""The ceiling of every metric: one half of the measured cells against the other."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from ._aligned import Spelling, condition_rows, context_masks, rows_within, shortlist
from ._by_context import named
from ._evaluate import evaluate


def split_half(
    observed: AnnData,
    *,
    control: str | AnnData,
    condition_key: str = "condition",
    context_key: str | Sequence[str] | None = None,
    conditions: Sequence[str] | None = None,
    separator: str = "+",
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """The ceiling: one random half of each perturbation's cells as a prediction of the other half.

    No model can be expected to do better than a replicate of the measurement. A half has half of
    the cells, so this ceiling is a little lower than that of all cells; its `e_distance` compares
    with a model's only if both are `unbiased` or have an equal `max_cells`. Where cells are few,
    give a `reference` too: without one the principal components are fitted on the controls and one
    half only, and the half that they have not seen lies apart from it.

    **Arguments:**

    - `observed`: measured cells.
    - `control`: as for `evaluate`; the same controls are the origin of both halves.
    - `condition_key`: column of `obs` with the conditions.
    - `context_key`: as for `evaluate`; each context is split by itself.
    - `conditions`: the perturbations to evaluate, in any spelling, in each context in which they
        were measured; by default all of them.
    - `separator`: what stands between the perturbations of one condition.
    - `seed`: of the split.
    - `options`: further arguments of `evaluate`.

    **Raises:** a ValueError for a perturbation with fewer than 4 cells, or one that was not
    measured.
    """
    spelling = Spelling.of(control, separator)
    rows = condition_rows(observed, condition_key, "observed", spelling)
    wanted = sorted(
        {spelling.canonical(c) for c in (rows if conditions is None else conditions)} - {"control"}
    )
    if not wanted:
        raise ValueError("The observed cells have no perturbation to split, only controls.")
    groups = {
        context: rows_within(rows, inside)
        for context, inside in context_masks(observed, context_key, "observed").items()
    }
    _check_sizes(groups, wanted)
    first, second = [], [rows.get("control", np.zeros(0, int))]
    for group in groups.values():
        rng = np.random.default_rng(seed)
        for name in wanted:
            order = rng.permutation(group.get(name, np.zeros(0, int)))
            first.append(order[: len(order) // 2])
            second.append(order[len(order) // 2 :])
    halves = [observed[np.sort(np.concatenate(part))] for part in (first, second)]
    return evaluate(
        *halves,
        control=control,
        condition_key=condition_key,
        context_key=context_key,
        separator=separator,
        seed=seed,
        **options,
    )


def _check_sizes(
    groups: Mapping[str | None, Mapping[str, np.ndarray]], wanted: Sequence[str]
) -> None:
    """Raises for what was measured nowhere, or in some context in too few cells."""
    nowhere = [name for name in wanted if not any(name in group for group in groups.values())]
    small = [
        named(name, context)
        for context, group in groups.items()
        for name in wanted
        if name in group and len(group[name]) < 4
    ]
    if small or nowhere:
        raise ValueError(
            "Perturbations with fewer than 4 cells cannot be split: "
            f"{shortlist(sorted([*nowhere, *small]))}."
        )
