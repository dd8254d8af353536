"""scBIG: single-cell perturbation prediction with balanced gene programs and conditional flows.

What most scripts need has its name here; the rooms have the rest. Both load on first use, so that
`import scbig` starts neither JAX nor scanpy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scbig import (
        alignment as alignment,
        analysis as analysis,
        anchor as anchor,
        baselines as baselines,
        cli as cli,
        comparison as comparison,
        data as data,
        datasets as datasets,
        flow as flow,
        method as method,
        metrics as metrics,
        model as model,
        nn as nn,
        objective as objective,
        ot as ot,
        plotting as plotting,
        preprocess as preprocess,
        priors as priors,
        programs as programs,
        report as report,
        rivals as rivals,
        sampling as sampling,
        service as service,
        simulate as simulate,
        splits as splits,
        train as train,
    )
    from scbig.baselines import compare as compare
    from scbig.data import Columns as Columns, Condition as Condition, Screen as Screen
    from scbig.method import (
        ScBIGConfig as ScBIGConfig,
        anchored as anchored,
        but as but,
        cpu as cpu,
        paper as paper,
        released as released,
    )
    from scbig.metrics import evaluate as evaluate
    from scbig.service import as_counts as as_counts, load as load, save as save
    from scbig.splits import Split as Split
    from scbig.train import Priors as Priors, fit as fit

__version__ = "0.2.0"

_ROOMS = (
    *("alignment", "analysis", "anchor", "baselines", "cli", "comparison", "data", "datasets"),
    *("flow", "method", "metrics", "model", "nn", "objective", "ot", "plotting", "preprocess"),
    *("priors", "programs", "report", "response", "rivals", "sampling", "service", "simulate"),
    *("splits", "train"),
)
_NAMES = {
    "data": ("Screen", "Columns", "Condition"),
    "splits": ("Split",),
    "method": ("ScBIGConfig", "anchored", "paper", "released", "cpu", "but"),
    "train": ("Priors", "fit"),
    "service": ("as_counts", "load", "save"),
    "metrics": ("evaluate",),
    "baselines": ("compare",),
}
_HOME = {name: room for room, names in _NAMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"scbig.{_HOME[name]}"), name)
    if name in _ROOMS:
        return importlib.import_module(f"scbig.{name}")
    raise AttributeError(f"module 'scbig' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *_HOME})
