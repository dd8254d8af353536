"""Table 8: what the number of gene programs costs the autoencoder, in milliseconds a step.

    python experiments/table8.py --data screen.h5ad \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table8

From one program for all genes to one for each gene.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from tools.benchmark import Benchmark, chosen
from tools.measured import priors_of, screen_of
from tools.recorded import record
from tools.timing import autoencoder, gigabytes, written

import scbig
from scbig import cli, programs

PAPER = {1: 12.2, 16: 22.4, 32: 29.9, 128: 65.2, 512: 198.6, 2051: 394.2}
"""Milliseconds a step of 256 cells (128 at 2,051 programs), RTX 3090."""


@dataclass(frozen=True, kw_only=True)
class Costs(Benchmark):
    """Cells, priors, sizes, and how often to time."""

    clusters: tuple[int, ...] = (1, 16, 32, 128, 512)
    """Numbers of programs; those of more than the genes are left out."""
    each: bool = True
    """Whether there is a program for each gene too."""
    passes: int = 4
    """Passes over the cells of each; the first is not counted."""


def main(bench: Costs) -> pd.DataFrame:
    """Runs the experiment; returns the times."""
    given = bench.measured
    screen = screen_of(given)
    known = priors_of(given, screen)
    sizes = [number for number in bench.clusters if number < screen.num_genes]
    # What a program holds does not matter to the time, and Gene-Relation Clustering of one gene
    # each would find nothing.
    arms = {
        f"{clusters} programs": scbig.but(bench.base, programs=programs.FileOrder(clusters))
        for clusters in (*sizes, *([screen.num_genes] if bench.each else ()))
    }
    arms = chosen(bench, arms)
    record(given.out, bench, arms)
    rows: list[dict[str, Any]] = []
    for config in arms.values():
        clusters = config.programs.clusters
        time, _ = autoencoder(screen, known, config, calls=bench.passes)
        row = {"programs": clusters, "genes in each": -(-screen.num_genes // clusters)}
        paper = {"paper, ms": PAPER.get(clusters, float("nan"))}
        batch = {"cells a step": config.stage1.batch}
        rows.append({**row, **batch, "ms a step": time, **paper, "GB so far": gigabytes()})
        print(rows[-1])
    return written(given.out, rows, f", {screen.num_genes} genes", named=["programs"])


if __name__ == "__main__":
    main(cli.parse(Costs, __doc__))
