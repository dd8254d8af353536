"""The thirteen baselines of the paper: which rows are theirs, and what one without a row lacks."""

import pathlib
from collections.abc import Collection, Mapping
from types import MappingProxyType

from ._plan import folder_name

_TABLE = (
    "a table of its gene embeddings, made with its pretrained weights (github.com/{where}): "
    "`--tables {name}=FILE`"
)
_SCGPT = "bowang-lab/scGPT, the whole-human checkpoint"
_ASKED = "to be asked for, as the row `{}`"
_PEER = "its own package: `experiments/peers/run.py run {}`, and its cells as `{}=pred.h5ad`"

PAPER: Mapping[str, tuple[tuple[str, ...], str]] = MappingProxyType(
    {
        "Control": (("control",), _ASKED.format("control")),
        "Linear": (("Linear",), _ASKED.format("Linear")),
        "Linear-scGPT": (("Linear + scGPT",), _TABLE.format(name="scGPT", where=_SCGPT)),
        "scGPT": (
            ("scGPT",),
            f"its pretrained weights (github.com/{_SCGPT}), and cells predicted with them, as "
            "`scGPT=pred.h5ad`; the row `scGPT-style` is its architecture, trained from scratch",
        ),
        "scFoundation": (
            ("GEARS + scFoundation",),
            _TABLE.format(name="scFoundation", where="biomap-research/scFoundation"),
        ),
        "GeneCompass": (
            ("GEARS + GeneCompass",),
            _TABLE.format(name="GeneCompass", where="xCompass-AI/GeneCompass"),
        ),
        "CellFM": (("GEARS + CellFM",), _TABLE.format(name="CellFM", where="biomed-AI/CellFM")),
        "GEARS": (("GEARS",), _ASKED.format("GEARS")),
        "CellOracle": (
            ("CellOracle",),
            _PEER.format("celloracle", "CellOracle")
            + "; it predicts perturbations of genes that are measured and regulate others in its "
            "base network",
        ),
        "GraphVCI": (("GraphVCI",), _PEER.format("graphvci", "GraphVCI")),
        "samsVAE": (("samsVAE",), _ASKED.format("samsVAE")),
        "STATE": (("STATE-like", "STATE"), _ASKED.format("STATE-like")),
        "CellFlow": (
            ("CellFlow-like", "CellFlow", "cellflow-tools"),
            _ASKED.format("CellFlow-like"),
        ),
    }
)
"""By the paper's name of each baseline the rows that are it, and what it needs to be one."""


def rows_of(baseline: str) -> tuple[str, ...]:
    """The rows that a baseline of the paper may have here."""
    return PAPER[baseline][0] if baseline in PAPER else (baseline,)


def lacking(rows: Collection[str], failed: Mapping[str, str]) -> dict[str, str]:
    """Each baseline of the paper that has no row, and what it lacks.

    **Arguments:** `rows`, which have scores; `failed`, by its path each training that could not be
    made, and why.
    """
    failures = {pathlib.PurePath(path).parts[1]: why for path, why in failed.items()}
    found = {}
    for name, (own, needs) in PAPER.items():
        if not any(row in rows for row in own):
            why = [failures[folder_name(row)] for row in own if folder_name(row) in failures]
            found[name] = f"could not be made: {why[0]}" if why else f"needs {needs}"
    return found
