"""Settings with just enough steps, and where the scripts are."""

import pathlib
from typing import Any

import numpy as np
import pandas as pd

import scbig
from scbig import cli
from scbig.simulate import SimulationConfig

EXPERIMENTS = pathlib.Path(__file__).parents[2] / "experiments"


PRESET = scbig.cpu()


# Just enough to see numbers move.
FEW = {
    "programs.clusters": 4,
    "programs.start.tries": 1,
    **{f"{part}.{name}": 8 for part in ("encoder", "decoder") for name in ("width", "mlp_width")},
    **{f"{part}.mixing.points": 2 for part in ("encoder", "decoder")},
    "encoder.latent": 4,
    "condition.hidden": 8,
    "condition.width": 8,
    "velocity.hidden": 8,
    "velocity.depth": 1,
    "terms.Consistency.cells": 8,
    "terms.Consistency.losses.PathwayAlignment.iterations": 10,
    "stage1.epochs": 2,
    "flow.groups": 2,
    "flow.cells": 8,
    "stage2.steps": 4,
    "stage2.steps_per_call": 4,
    "stage2.criterion.cells": 8,
}


def smoke() -> scbig.ScBIGConfig:
    """The scripts' own preset, with just enough steps."""
    return scbig.but(PRESET, **FEW)


def bare() -> scbig.ScBIGConfig:
    """The same without alignment losses, which are most of what is compiled."""
    return scbig.but(smoke(), terms=())


SIMULATION = SimulationConfig(
    genes=40, programs=4, perturbations=5, doubles=6, control_cells=60, cells_per_condition=12
)
"""A screen of a few hundred cells."""


def write_priors(folder: pathlib.Path, genes: tuple[str, ...]) -> cli.PriorFiles:
    """Files of priors of these genes, as the comparison asks for them."""
    names = {"embeddings": "genes.csv", "interactions": "pairs.csv", "pathways": "sets.gmt"}
    files: Any = {kind: folder / name for kind, name in names.items()}
    vectors = np.random.default_rng(0).normal(size=(len(genes), 4))
    pd.DataFrame(vectors, index=pd.Index(genes, name="gene")).to_csv(files["embeddings"])
    pairs = [(genes[i], genes[(i + k) % len(genes)]) for i in range(len(genes)) for k in (1, 2)]
    lines = ["first,second", *(",".join(pair) for pair in pairs)]
    files["interactions"].write_text("\n".join(lines) + "\n")
    files["pathways"].write_text("SET\tx\t" + "\t".join(genes[:12]) + "\n")
    return cli.PriorFiles(**files)
