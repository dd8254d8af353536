"""Whether the standard deviation that a prediction is told to have is that of its error."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

import scbig
from scbig import comparison, data

KEYS = ("part", "condition")
"""What tells the conditions of a table apart: a part is a screen, or a fold of a split."""


def rank(one: Any, other: Any) -> float:
    """Spearman's rank correlation; NaN where one of the two is constant."""
    if np.ptp(np.asarray(one, float)) == 0 or np.ptp(np.asarray(other, float)) == 0:
        return float("nan")
    found: Any = spearmanr(one, other)
    return float(found.statistic)


def binned(table: pd.DataFrame, kind: str, *, bins: int = 10) -> pd.DataFrame:
    """Predictions in bins of equal number by the deviation that they tell: it, and their errors.

    Both are root mean squares over the bin; of the errors the noise of the measured means is taken.
    """
    own, square = table[kind].to_numpy(float), table["error"].to_numpy(float) ** 2
    order = np.argsort(own, kind="stable")
    rows = []
    for part in np.array_split(order, min(bins, len(order))):
        left = np.mean(square[part] - table["noise"].to_numpy(float)[part] ** 2)
        told = np.sqrt(np.mean(own[part] ** 2))
        rows.append({"told": told, "error": np.sqrt(max(left, 0.0)), "number": len(part)})
    return pd.DataFrame(rows)


def calibration(table: pd.DataFrame, kind: str) -> dict[str, float]:
    """How well a standard deviation tells errors of genes, and of conditions.

    Of genes within a condition, and of conditions, the rank correlation of deviation and absolute
    error; and how often an error is within 1.96 deviations, the noise of the measured mean among
    them.
    """
    size, own = table["error"].abs(), table[kind]
    groups = table.assign(size=size).groupby([*KEYS])
    within = [rank(part[kind], part["size"]) for _, part in groups]
    of_groups = groups[[kind, "error"]].agg(lambda x: np.sqrt(np.mean(np.square(x))))
    total = np.sqrt(own**2 + table["noise"] ** 2)
    return {
        "genes": float(np.nanmean(within)),
        "conditions": rank(of_groups[kind], of_groups["error"]),
        "covered": float(np.mean(size <= 1.96 * total)),
        "root mean square sd": float(np.sqrt(np.mean(own**2))),
        "root mean square error": float(np.sqrt(max(np.mean(size**2 - table["noise"] ** 2), 0.0))),
    }


def of_the_draw(screen: scbig.Screen, cells: int | None) -> float:
    """By how much another draw of control cells to start from moves a gene's mean.

    **Arguments:** `cells`, drawn in each context, with repeats if it has fewer; `None` for all.

    **Returns:** the standard deviation, as a root mean square over genes and contexts.
    """
    squares = []
    for context in screen.contexts:
        controls = screen.dense(screen.rows("control", context or None))
        there = len(controls)
        number = there if cells is None else cells
        repeats = number > there
        variance = controls.var(axis=0, ddof=0 if repeats else 1)
        squares.append(variance * (1 / number - (0 if repeats else 1 / there)))
    return float(np.sqrt(np.mean(squares)))


def over_seeds(screen: scbig.Screen, folder: pathlib.Path, seeds: Sequence[int]) -> pd.DataFrame:
    """Errors and spread of trainings that differ in their seed, by which starts are drawn too.

    **Arguments:** `folder`, of one predictor in that of a comparison; `seeds`, of its trainings.

    **Returns:** a row for each fold, condition and gene: `part`, the fold; `error`, of the mean
    over the seeds; `noise`, the standard error of the measured mean; `seeds`, the standard
    deviation over the seeds. Folds that lack a seed, and conditions of one cell, have none.
    """
    found = []
    for first in sorted(folder.glob(f"fold*-seed{seeds[0]}.h5ad")):
        fold = first.stem.split("-")[0]
        paths = [folder / f"{fold}-seed{seed}.h5ad" for seed in seeds]
        if all(path.exists() for path in paths):
            found += _of_fold(screen, fold, [comparison.read_prediction(path)[0] for path in paths])
    return pd.concat(found) if found else pd.DataFrame()


def _of_fold(screen: scbig.Screen, fold: str, predicted: Sequence[Any]) -> list[pd.DataFrame]:
    """A table for each condition, in each context, of one fold."""
    read = [data.LabelledCells.of(own, what="predicted") for own in predicted]
    tables = []
    for context, name in [(c, n) for c, own in read[0].populations.items() for n in own]:
        cells = screen.dense(screen.rows(name, context or None))
        if len(cells) < 2:
            continue
        means = np.stack([_mean(own.cells(name, context)) for own in read])
        table = {
            "part": fold,
            "condition": f"{name} {context}".strip(),
            "error": means.mean(axis=0) - cells.mean(axis=0),
            "noise": cells.std(axis=0, ddof=1) / np.sqrt(len(cells)),
            "seeds": means.std(axis=0, ddof=1),
        }
        tables.append(pd.DataFrame(table))
    return tables


def _mean(cells: Any) -> np.ndarray:
    """Over cells, dense or sparse."""
    return np.asarray(cells.mean(axis=0)).ravel()
