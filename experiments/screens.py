"""The small real screens: what is in them, and one cell line predicted from two others.

    python experiments/screens.py --norman norman19_k562_3375x500.h5ad \
        --mcfaline mcfaline23_glioma_2586x500.h5ad --papalexi papalexi21_thp1_20729x299.h5ad

Every file may be left out. With McFaline's, the perturbations of each glioma line are predicted
from that line's control cells and the effects in the other two lines. Under a minute on 2 cores.
"""

import functools
import pathlib
from dataclasses import dataclass
from typing import Any

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd

from scbig import baselines, cli, data, preprocess

METRICS = ("pearson_delta", "pearson_delta_deg20", "acc", "mse", "pds", "e_distance")
RULES = {
    "control": baselines.Control,
    "perturbed mean": baselines.PerturbedMean,
    "additive": baselines.Additive,
}


def norman(path: pathlib.Path) -> data.Screen:
    """Norman 2019, K562, CRISPR activation: 33 single and double perturbations."""
    return data.Screen.from_anndata(data.read_h5ad(path))


def mcfaline(path: pathlib.Path) -> data.Screen:
    """McFaline-Figueroa 2023, CRISPR interference: nine kinases in three glioblastoma lines."""
    return data.Screen.from_anndata(data.read_h5ad(path), data.Columns(context="cell_type"))


def papalexi(path: pathlib.Path, *, guide_fraction: float = 0.8) -> data.Screen:
    """Papalexi 2021, THP-1, CRISPR knock-out: raw counts, replicates as contexts.

    A cell counts as perturbed by its most abundant guide if that has at least `guide_fraction` of
    its guide reads; the other cells are left out.
    """
    cells = data.read_h5ad(path)
    columns = data.Columns(condition="target", control="non-targeting", context="batch")
    logged = preprocess.preprocess(
        cells[cells.obs["top_guide_frac"] >= guide_fraction],
        preprocess.PreprocessConfig(min_genes=0, min_cells=0),
        columns,
    )
    return data.Screen.from_anndata(logged, columns)


def describe(screen: data.Screen) -> dict[str, int]:
    """The row of a screen in the table."""
    sizes = [len(condition.perturbations) for condition in screen.conditions]
    return {
        "cells": screen.num_cells,
        "genes": screen.num_genes,
        "conditions": len(sizes),
        "singles": sizes.count(1),
        "doubles": sizes.count(2),
        "contexts": len(screen.contexts),
        "controls": int(screen.is_control.sum()),
        "fewest controls": min(len(screen.rows("control", name)) for name in screen.contexts),
        "targets": len(screen.perturbations),
        "targets measured": len(set(screen.perturbations) & set(screen.genes)),
    }


def transfer(screen: data.Screen, *, seed: int = 0) -> pd.DataFrame:
    """Each context predicted from its own controls and the effects in the others; every metric."""
    cells, columns, tables = screen.to_anndata(), data.Columns(context="context"), []
    for place, held in enumerate(screen.contexts):
        training = screen.take(np.flatnonzero(screen.is_control | (screen.context_index != place)))
        predictors = {name: rule.fit(training) for name, rule in RULES.items()}
        controls = cells[screen.rows("control", held)]
        test = [c.name for c in training.conditions if screen.rows(c, held).size]
        options: Any = {"reference": training, "key": jr.key(seed)}
        tables.append(baselines.compare(predictors, controls, screen, test, columns, **options))
    return pd.concat(tables)


@dataclass(frozen=True, kw_only=True)
class Screens:
    """Which files are at hand."""

    norman: pathlib.Path | None = None
    """Norman 2019, K562."""
    mcfaline: pathlib.Path | None = None
    """McFaline-Figueroa 2023, three glioblastoma lines."""
    papalexi: pathlib.Path | None = None
    """Papalexi 2021, THP-1."""
    guide_fraction: float = 0.8
    """Of Papalexi's cells: the least share of guide reads that the most abundant guide has."""
    out: pathlib.Path | None = None
    """Folder for the tables, and for the cells of each screen as `compare.py` reads them; by
    default the tables are printed only."""


def main(run: Screens) -> dict[str, pd.DataFrame]:
    """Reads what is at hand; returns the tables by name."""
    sure = functools.partial(papalexi, guide_fraction=run.guide_fraction)
    read = {"norman": norman, "mcfaline": mcfaline, "papalexi": sure}
    files = {name: getattr(run, name) for name in read if getattr(run, name) is not None}
    if not files:
        raise SystemExit("Name at least one file: --norman, --mcfaline or --papalexi.")
    screens = {name: read[name](path) for name, path in files.items()}
    rows = {
        name: {"cells in file": ad.read_h5ad(path, backed="r").n_obs, **describe(screens[name])}
        for name, path in files.items()
    }
    tables = {"screens": pd.DataFrame(rows).T.rename_axis("screen")}
    print(tables["screens"].to_string())
    if "mcfaline" in screens:
        tables["transfer"] = transfer(screens["mcfaline"])
        print("\nEach line from its controls and the effects in the other two, averages:")
        for line, scores in tables["transfer"].groupby(level="context"):
            print(f"\n{line}\n{baselines.averages(scores).filter(METRICS).round(3).to_string()}")
    if run.out is not None:
        run.out.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            table.to_csv(run.out / f"{name}.csv")
        for name, screen in screens.items():
            screen.to_anndata().write_h5ad(run.out / f"{name}.h5ad")
    return tables


if __name__ == "__main__":
    main(cli.parse(Screens, __doc__))
