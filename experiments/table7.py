"""Table 7: what the alignment losses cost, in milliseconds a step.

    python experiments/table7.py --data screen.h5ad \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table7

On one autoencoder of a few passes: a step takes as long however well it was trained.
"""

from dataclasses import dataclass

import pandas as pd
from tools.benchmark import Benchmark, chosen
from tools.measured import priors_of, screen_of
from tools.recorded import record
from tools.timing import autoencoder, flow, gigabytes, written

import scbig
from scbig import cli

PAPER = {"neither": 83.17, "correlation": 81.94, "pathways": 87.91, "both": 87.44}
"""Milliseconds a step of 1,024 cells, RTX 3090."""


@dataclass(frozen=True, kw_only=True)
class Costs(Benchmark):
    """Cells, priors, sizes, and how often to time."""

    calls: int = 6
    """Compiled calls of each arm; the first is not counted."""


def arms(base: scbig.ScBIGConfig) -> dict[str, scbig.ScBIGConfig]:
    """The flow with neither loss, with one, and with both."""
    less = lambda loss: scbig.but(base, **{f"terms.Consistency.losses.{loss}.weight": 0.0})
    return {
        "neither": scbig.but(base, terms=()),
        "correlation": less("PathwayAlignment"),
        "pathways": less("CorrelationAlignment"),
        "both": base,
    }


def main(bench: Costs) -> pd.DataFrame:
    """Runs the experiment; returns the times."""
    given, made = bench.measured, chosen(bench, arms(bench.aligned))
    screen = screen_of(given)
    known = priors_of(given, screen)
    record(given.out, bench, made)
    _, trained = autoencoder(screen, known, bench.base, calls=2)
    flowed = bench.base.flow
    batch = getattr(flowed, "groups", 1) * getattr(flowed, "cells", 1)
    rows, first = [], None
    for name, config in made.items():
        time, _ = flow(screen, known, config, trained, calls=bench.calls)
        first = first or time
        rows.append(
            {
                "losses": name, "cells a step": batch, "ms a step": time,
                "times the first": time / first, "paper, ms": PAPER[name],
                "paper, times neither": PAPER[name] / PAPER["neither"], "GB so far": gigabytes(),
            }
        )  # fmt: skip
        print(rows[-1])
    return written(given.out, rows, f", {screen.num_genes} genes", named=["losses"])


if __name__ == "__main__":
    main(cli.parse(Costs, __doc__))
