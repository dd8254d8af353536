"""The methods of Tables 1 to 3, by the names that their rows have here."""

import pathlib

import pandas as pd

import scbig
from scbig import baselines, comparison, data, method

from .benchmark import Benchmark
from .verdicts import Claim

PUBLISHED, OURS, CELLFLOW = "scBIG, as published", "scBIG", "CellFlow-like"
RULES = ("control", "perturbed mean", "additive", "residual transfer", "Linear")
LEARNED = ("Linear, gene vectors", "GEARS", "samsVAE", "STATE-like", "scGPT-style")
NAMES = {
    "Linear": "Linear",
    "Linear-scGPT": "Linear, gene vectors",
    "scGPT": "scGPT-style",
    "GEARS": "GEARS",
    "samsVAE": "samsVAE",
    "STATE": "STATE-like",
    "CellFlow": CELLFLOW,
    "scBIG": PUBLISHED,
}
"""The paper's names; of those that need pretrained weights, what stands in for them."""
KNOWN = {*NAMES, *NAMES.values(), "CPA"}
FOLDER = pathlib.Path(__file__).parents[1] / "published"
METRICS = (
    "pearson_delta", "pearson_delta_deg20", "acc", "acc_deg20", "des", "pds", "l2", "mse", "mae",
)  # fmt: skip


def methods(
    bench: Benchmark,
) -> dict[str, scbig.ScBIGConfig | baselines.AbstractRecipe]:
    """The rows: simple rules, baselines, scBIG as published and on its anchor."""
    known = comparison.native(bench.base)
    return {
        **{name: known[name] for name in (*RULES, *LEARNED)},
        CELLFLOW: bench.cellflow,
        PUBLISHED: bench.base,
        OURS: method.anchored(bench.base),
    }


def published(name: str) -> pd.DataFrame:
    """A table of the paper: its metrics by its methods."""
    return pd.read_csv(FOLDER / f"{name}.csv", index_col="method")


def values(paper: pd.DataFrame) -> dict[str, float]:
    """The paper's Pearson delta by the rows of this library, of the methods that it has."""
    own = {str(name): float(x) for name, x in paper["pearson_delta"].dropna().items()}
    return {NAMES.get(name, name): x for name, x in own.items() if name in KNOWN}


def claims(measured: tuple[str, ...] = ("pearson_delta",)) -> tuple[Claim, ...]:
    """That scBIG is ahead of the paper's baselines, and, beyond the paper, of simple rules."""
    others = ("Linear", "Linear, gene vectors", "GEARS", "samsVAE", "STATE-like", "scGPT-style",
              "CPA", CELLFLOW)  # fmt: skip
    return (
        *(Claim(f"scBIG as published is ahead of {name}", PUBLISHED, name) for name in others),
        *(
            Claim(f"scBIG as published is ahead of {CELLFLOW} in {m}", PUBLISHED, CELLFLOW, m)
            for m in measured
            if m != "pearson_delta"
        ),
        *(
            Claim(f"beyond the paper: {name} is ahead of {rule}", name, rule)
            for name in (PUBLISHED, OURS)
            for rule in ("perturbed mean", "additive")
        ),
        Claim("beyond the paper: the anchor is ahead of none", OURS, PUBLISHED),
    )


def kind(name: str) -> str:
    """Whether a condition is a single or a double perturbation."""
    return {1: "singles", 2: "doubles"}.get(len(data.Condition.parse(name).perturbations), "more")
