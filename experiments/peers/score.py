"""Scores what peers predicted against measured cells, as one table.

    python experiments/peers/score.py --data norman19_k562_3375x500.h5ad \
        --runs runs/peers/cellflow runs/peers/gears --out runs/peers

A row is the mean over the predicted conditions; `peers.csv` has every condition.
"""

import json
import pathlib
from dataclasses import dataclass

import contract
import numpy as np
import pandas as pd

from scbig import cli, data, metrics

METRICS = ("pearson_delta", "pds", "e_distance")


@dataclass(frozen=True, kw_only=True)
class Score:
    """Predictions, and what was measured."""

    data: pathlib.Path
    """Log-normalised h5ad with `obs["condition"]`, the predicted conditions and the controls."""
    runs: tuple[pathlib.Path, ...]
    """Folders with `pred.h5ad` and `result.json`."""
    out: pathlib.Path
    """Folder for the tables."""


def scores_of(run: pathlib.Path, screen: data.Screen) -> tuple[pd.DataFrame, float]:
    """The scores of every condition, as `evaluate` gives them, and the level of the prediction.

    The level is the mean expression over that of the measured cells: `evaluate` refuses one far
    from 1 as another scale, which a peer that has hardly been trained may have.
    """
    cells = contract.read_cells(run / "pred.h5ad")
    measured = data.LabelledCells.of(screen, what="observed")
    predicted = data.LabelledCells.of_predicted(cells, measured, data.Columns())
    predicted = predicted.ordered(measured.genes, what="predicted")
    names = tuple(dict.fromkeys(cells.obs["condition"]))
    scoring = metrics.Scoring()
    truth = metrics.Truth.of(measured, {"": names}, controls=None, reference=None, scoring=scoring)
    table = truth.table(("", name, predicted.cells(name, "")) for name in names)
    level = np.mean([predicted.cells(name, "").mean() for name in names])
    return table, float(level / np.mean([mean.mean() for mean in truth.means.values()]))


def row_of(run: pathlib.Path, scores: pd.DataFrame, level: float) -> dict[str, object]:
    """One line of the table: who, what it cost, and the averages."""
    said = json.loads((run / "result.json").read_text(encoding="utf-8"))
    seconds = said["seconds"]
    costs = {"train s": seconds["train"], "predict s": seconds["predict"]}
    return {
        "peer": said["peer"],
        "version": said["version"],
        "conditions": len(scores),
        **{metric: round(float(np.mean(scores[metric])), 3) for metric in METRICS},
        "level": round(level, 2),
        **costs,
        "memory GB": said["peak_memory_gb"],
    }


def main(run: Score) -> pd.DataFrame:
    """Scores the runs; returns the table."""
    screen = data.Screen.from_anndata(data.read_h5ad(run.data))
    scores = {folder: scores_of(folder, screen) for folder in run.runs}
    run.out.mkdir(parents=True, exist_ok=True)
    tables = {str(folder): one for folder, (one, _) in scores.items()}
    everything = pd.concat(tables, names=["run"])
    everything.to_csv(run.out / "peers.csv")
    table = pd.DataFrame([row_of(folder, *one) for folder, one in scores.items()])
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    head = "| " + " | ".join(table.columns) + " |\n|" + "---|" * len(table.columns)
    print("\n".join([head, *lines]))
    return table


if __name__ == "__main__":
    main(cli.parse(Score, __doc__))
