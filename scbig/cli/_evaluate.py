"""`scbig evaluate`: predicted cells against measured ones."""

import pathlib
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from ._options import Labels


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Compare predicted with measured cells: a row of scores for each perturbation.

    Example: scbig evaluate --predicted predicted.h5ad --data prepared.h5ad --out scores.csv
    """

    predicted: pathlib.Path
    """What 'predict' wrote, or any h5ad file with the same genes and a column of conditions."""
    data: pathlib.Path
    """Measured, log-normalised cells with controls among them, as 'prepare' writes them."""
    out: Annotated[pathlib.Path, tyro.conf.arg(aliases=["-o"])]
    """The table to write, csv."""
    labels: tyro.conf.OmitArgPrefixes[Labels] = field(default_factory=Labels)
    ceiling: bool = True
    """Whether one half of the measured cells is also scored against the other half."""
    max_cells: int | None = 1000
    """Most cells of a population in an energy distance."""
    seed: int = 0
    """Of the halves and of the cells drawn."""

    def run(self) -> None:
        """Writes the scores and prints their averages."""
        import pandas as pd

        from scbig import metrics
        from scbig._files import atomic
        from scbig.data import PerturbationScreen, read_h5ad

        predicted = read_h5ad(self.predicted)
        screen = PerturbationScreen.open(self.data, **self.labels.options())
        wanted = sorted({str(name) for name in predicted.obs["condition"]})
        observed = screen.select(wanted).to_anndata()
        context_key = None if screen.contexts == ("",) else "context"
        options = {"control": "control", "context_key": context_key, "unbiased": True}
        options |= {"max_cells": self.max_cells, "seed": self.seed}
        tables = {"predicted": metrics.evaluate(predicted, observed, **options)}
        if self.ceiling:
            tables["split-half"] = metrics.split_half(observed, **options)
        with atomic(self.out) as temporary:
            pd.concat(tables, names=["cells"]).to_csv(temporary)
        means = {name: metrics.summarise(table)["mean"] for name, table in tables.items()}
        print(pd.DataFrame(means).round(3).to_string())
        print(f"The score of each perturbation is in {self.out}.")
