"""Whether the standard deviation that a prediction is told to have is that of its error."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import spearmanr

import scbig
from scbig import comparison


def rank(one: Any, other: Any) -> float:
    """Spearman's rank correlation."""
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
    groups = table.assign(size=size).groupby(["screen", "condition"])
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


def over_seeds(screen: scbig.Screen, folder: pathlib.Path) -> pd.DataFrame:
    """Errors and spread of trainings that differ in their seed alone.

    **Arguments:** `folder`, of one predictor in that of a comparison.

    **Returns:** a row for each fold (`screen`), condition and gene: `error`, of the mean over the
    seeds; `noise`, the standard error of the measured mean; `seeds`, the standard deviation over
    the seeds.
    """
    folds: dict[str, list[pathlib.Path]] = {}
    for path in sorted(folder.glob("fold*-seed*.h5ad")):
        folds.setdefault(path.stem.split("-")[0], []).append(path)
    rows = []
    for fold, paths in folds.items():
        found = [_means(path) for path in paths]
        for name, context in found[0]:
            cells = screen.dense(screen.rows(name, context))
            means = np.stack([own[name, context] for own in found])
            table = {
                "screen": fold,
                "condition": f"{name} {context or ''}".strip(),
                "error": means.mean(axis=0) - cells.mean(axis=0),
                "noise": cells.std(axis=0, ddof=1) / np.sqrt(len(cells)),
                "seeds": means.std(axis=0, ddof=1),
            }
            rows.append(pd.DataFrame(table))
    return pd.concat(rows)


def _means(path: pathlib.Path) -> Mapping[tuple[str, str | None], np.ndarray]:
    """The mean of the predicted cells of each condition, in each context where there are any."""
    found, _ = comparison.read_prediction(path)
    obs, values = pd.DataFrame(found.obs).reset_index(drop=True), sparse.csr_matrix(found.X)
    by = [name for name in ("condition", "context") if name in obs]
    groups: Any = obs.groupby(by, observed=True)
    return {
        (str(own[0]), str(own[1]) if len(by) > 1 else None): np.asarray(
            values[part.index.to_numpy()].mean(axis=0)
        ).ravel()
        for own, part in groups
    }
