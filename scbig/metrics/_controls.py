"""On how many cells scores rest, and how to keep the controls' noise out of them."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from anndata import AnnData

from scbig._names import examples
from scbig.data import CONTROL, Columns, LabelledCells, Screen

from ._wanted import Wanted, no_controls, wanted_of

Cells = TypeVar("Cells", Screen, AnnData)

_ROUNDING = 1e-9

FEWEST_CONTROLS = 300
"""Controls of a context below which the noise of their mean is a good part of a response."""


def hold_controls(
    cells: Cells, columns: Columns = Columns(), *, seed: int = 0
) -> tuple[Cells, Cells]:
    """The cells without one half of each context's controls, and that half.

    A response is the difference of two noisy means. Where a prediction and a measurement are
    measured from the same controls, their noise is in both, and a prediction of no change or of a
    common change correlates with the measurement although it knows nothing. Fit and predict from
    the first cells, and give the second ones as `held_controls` to `evaluate` or `compare`.

    **Arguments:** `cells`, such as a whole screen; of an AnnData without the column of conditions
    all cells are controls; `columns`, what the columns of an AnnData's `obs` mean; `seed`, of the
    halves.

    **Returns:** both; of an odd number of controls the first have one more.

    **Raises:** a ValueError that names contexts with fewer than two controls.
    """
    unlabelled = isinstance(cells, AnnData) and columns.condition not in cells.obs
    read: Any = LabelledCells.of_unlabelled if unlabelled else LabelledCells.of
    labelled = read(cells, columns, what="control")
    own = {c: rows.get(CONTROL, np.zeros(0, int)) for c, rows in labelled.populations.items()}
    few = [f"{context!r} has {len(rows)}" for context, rows in own.items() if len(rows) < 2]
    if few:
        raise ValueError(
            f"Controls of {len(few)} contexts are too few to hold one half of them back: "
            f"{', '.join(few[:5])}. Leave those contexts out."
        )
    held = np.zeros(labelled.num_cells, bool)
    for rows in own.values():
        order = np.random.default_rng(seed).permutation(rows)
        held[order[: len(order) // 2]] = True
    return _taken(cells, ~held), _taken(cells, held)


def _taken(cells: Any, chosen: np.ndarray) -> Any:
    if isinstance(cells, Screen):
        return cells.take(np.flatnonzero(chosen))
    return cells[chosen].to_memory() if cells.isbacked else cells[chosen].copy()


def support(
    observed: Screen | AnnData,
    columns: Columns = Columns(),
    *,
    controls: Screen | AnnData | None = None,
) -> pd.DataFrame:
    """On how many cells the scores of each perturbation rest.

    **Arguments:** as for `evaluate`.

    **Returns:** a row for each measured perturbation, as `evaluate` has them; `cells`, how many
    were measured, and `controls`, those of the context, from which its response is measured.

    **Raises:** a ValueError for contexts without controls.
    """
    cells = LabelledCells.of(observed, columns, what="observed")
    beside = cells if controls is None else LabelledCells.of_controls(controls, columns)
    return counted(cells, beside, wanted_of(cells, what="observed"))


def counted(observed: LabelledCells, controls: LabelledCells, wanted: Wanted) -> pd.DataFrame:
    """`support`, of cells whose labels have been read, and of these conditions."""
    have = controls_of(controls, wanted, observed.genes, what="control").populations
    rows = {
        (context, name): {
            "cells": len(observed.populations[context][name]),
            "controls": len(have[context][CONTROL]),
        }
        for context, names in wanted.items()
        for name in names
    }
    table = pd.DataFrame([*rows.values()])
    table.index = pd.MultiIndex.from_tuples([*rows], names=["context", "condition"])
    return table.droplevel("context") if list(wanted) == [""] else table


def controls_of(
    controls: LabelledCells, wanted: Wanted, genes: Sequence[str], *, what: str
) -> LabelledCells:
    """Controls with the genes in this order, which every context must have.

    **Raises:** a ValueError that names genes that differ, or contexts without controls.
    """
    controls = controls.ordered(genes, what=what)
    have = controls.populations
    lacking = [context for context in wanted if CONTROL not in have.get(context, ())]
    if lacking:
        raise ValueError(no_controls(lacking))
    return controls


def check_apart(controls: LabelledCells, held: LabelledCells, wanted: Wanted) -> None:
    """Raises if most held controls of a context are among those that predictions start from."""
    # Two cells are the same if a random combination of their genes is.
    weights = np.random.default_rng(0).normal(size=len(held.genes))
    for context in wanted:
        own, others = (
            np.sort(np.asarray(cells.cells(CONTROL, context) @ weights, np.float64))
            for cells in (held, controls)
        )
        place = np.searchsorted(others, own).clip(1, max(len(others) - 1, 1))
        near = [np.abs(others[(place - step).clip(max=len(others) - 1)] - own) for step in (0, 1)]
        same = np.minimum(*near) <= _ROUNDING * np.abs(own).max()
        if same.mean() > 0.5:
            where = f" of {context}" if context else ""
            raise ValueError(
                f"{same.sum()} of {len(own)} held controls{where} are also among the controls that "
                "predictions start from. scbig.metrics.hold_controls makes two halves: give the "
                "first as controls, or as the observed cells."
            )


def few_controls(controls: LabelledCells, contexts: Iterable[str]) -> str | None:
    """What to say of contexts with fewer controls than `FEWEST_CONTROLS`; None if there are none.

    **Arguments:** `controls`, those that responses are measured from.
    """
    sizes = {own: len(controls.populations[own][CONTROL]) for own in contexts}
    few = {context: size for context, size in sizes.items() if size < FEWEST_CONTROLS}
    if not few:
        return None
    where = [f"{context} ({size})" for context, size in few.items()]
    who = f"There are {few['']}" if "" in few else f"{len(few)} contexts have too few"
    names = "" if "" in few else f": {examples(where)}"
    return (
        f"{who} control cells, of which there should be {FEWEST_CONTROLS}{names}. The noise of "
        "their mean is in every response, predicted and measured: what predicts the same change "
        "for all perturbations then scores above zero. See scbig.metrics.hold_controls."
    )
