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

import scbig
from scbig import cli, data

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


def scores_of(run: pathlib.Path, screen: data.Screen) -> pd.DataFrame:
    """The scores of every condition, responses from the measured controls."""
    return scbig.evaluate(contract.read_cells(run / "pred.h5ad"), screen)


def row_of(run: pathlib.Path, scores: pd.DataFrame) -> dict[str, object]:
    """One line of the table: who, what it cost, and the averages."""
    said = json.loads((run / "result.json").read_text(encoding="utf-8"))
    seconds = said["seconds"]
    costs = {"train s": seconds["train"], "predict s": seconds["predict"]}
    return {
        "peer": said["peer"],
        "version": said["version"],
        "conditions": len(scores),
        **{metric: round(float(np.mean(scores[metric])), 3) for metric in METRICS},
        **costs,
        "memory GB": said["peak_memory_gb"],
    }


def main(run: Score) -> pd.DataFrame:
    """Scores the runs; returns the table."""
    screen = data.Screen.from_anndata(data.read_h5ad(run.data))
    scores = {folder: scores_of(folder, screen) for folder in run.runs}
    run.out.mkdir(parents=True, exist_ok=True)
    everything = pd.concat({str(folder): one for folder, one in scores.items()}, names=["run"])
    everything.to_csv(run.out / "peers.csv")
    table = pd.DataFrame([row_of(folder, one) for folder, one in scores.items()])
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    head = "| " + " | ".join(table.columns) + " |\n|" + "---|" * len(table.columns)
    print("\n".join([head, *lines]))
    return table


if __name__ == "__main__":
    main(cli.parse(Score, __doc__))
