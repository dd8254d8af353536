"""Table 9: more genes, programs, inducing points and latents: milliseconds a step and memory.

    python experiments/table9.py --preset paper --out runs/table9

On simulated screens of so many genes. The paper's scores at 5,000 and 10,000 genes need a screen of
as many: `compare.py` makes them from one.
"""

import pathlib
from dataclasses import dataclass
from typing import Any, Literal

import jax
import pandas as pd
from tools.benchmark import base_of
from tools.recorded import record
from tools.timing import autoencoder, flow, gigabytes, written

import scbig
from scbig import cli, data, nn, priors, simulate
from scbig.preprocess import PreprocessConfig, preprocess

PAPER = {
    (2051, 32, 8, 50): 87.44,
    (5018, 32, 8, 50): 43.42,
    (5018, 64, 16, 64): 53.65,
    (10000, 32, 8, 50): 27.64,
    (10000, 128, 32, 96): 30.64,
}
"""Milliseconds a step by genes, programs, inducing points and latents; batches of 1,024 cells, and
256 at 10,000 genes; RTX 4090."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Sizes to time."""

    out: pathlib.Path
    preset: Literal["smoke", "cpu", "wide", "paper"] = "wide"
    genes: tuple[int, ...] = ()
    """Of the paper's settings those with so many genes; by default all."""
    divide: int = 1
    """By how much to divide all sizes, for a look at the script."""
    calls: int = 4
    """Passes and compiled calls of each; the first is not counted."""


def simulated(genes: int, programs: int) -> tuple[data.Screen, scbig.Priors]:
    """A screen of so many genes, with its priors."""
    # Programs of the simulation, not of the model: at least four genes in each.
    made = simulate.simulate_screen(
        simulate.SimulationConfig(
            genes=genes, programs=max(2, min(programs, genes // 8)), perturbations=6, doubles=4,
            control_cells=300, cells_per_condition=60,
        ),
        seed=0,
    )  # fmt: skip
    every = PreprocessConfig(min_genes=1, min_cells=0, variable_genes=genes)
    cells = preprocess(made.counts, every)
    known = scbig.Priors(
        genes=priors.EmbeddingTable(made.genes, made.embeddings),
        interactions=priors.InteractionGraph(*made.interactions),
        pathways=priors.PathwayLibrary(made.pathways),
        missing="mean",
    )
    return data.Screen.from_anndata(cells), known


def at(run: Scale, sizes: tuple[int, ...]) -> tuple[tuple[int, ...], scbig.ScBIGConfig]:
    """One of the paper's settings, divided, and the preset at it."""
    genes, clusters, points, latent = (max(size // run.divide, 2) for size in sizes)
    changes: Any = {"programs.clusters": clusters, "encoder.latent": latent}
    changes |= {f"{part}.mixing": nn.InducingPoints(points) for part in ("encoder", "decoder")}
    return (genes, clusters, points, latent), scbig.but(base_of(run.preset), **changes)


def main(run: Scale) -> pd.DataFrame:
    """Runs the experiment; returns times and memory."""
    chosen = [sizes for sizes in PAPER if not run.genes or sizes[0] in run.genes]
    record(run.out, run, {f"{sizes}": at(run, sizes)[1] for sizes in chosen})
    rows: list[dict[str, Any]] = []
    for sizes in chosen:
        (genes, *own), config = at(run, sizes)
        screen, known = simulated(genes, own[0])
        first, trained = autoencoder(screen, known, config, calls=run.calls)
        second, _ = flow(screen, known, config, trained, calls=run.calls)
        names = ("programs", "points", "latents")
        row = {"genes": screen.num_genes, **dict(zip(names, own, strict=True))}
        times = {"stage 1, ms": first, "stage 2, ms": second, "paper, ms": PAPER[sizes]}
        rows.append({**row, **times, "GB so far": gigabytes()})
        print(rows[-1])
        jax.clear_caches()
    shown = ("stage 1, ms", "stage 2, ms", "paper, ms")
    return written(run.out, rows, named=["genes", "programs"], shown=shown)


if __name__ == "__main__":
    main(cli.parse(Scale, __doc__))
