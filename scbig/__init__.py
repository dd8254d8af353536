"""scBIG: single-cell perturbation prediction with balanced gene programs and conditional flows.

Subpackages load on first use, so that `import scbig` starts neither JAX nor scanpy.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scbig import (
        alignment as alignment,
        analysis as analysis,
        baselines as baselines,
        cli as cli,
        config as config,
        data as data,
        datasets as datasets,
        flow as flow,
        metrics as metrics,
        model as model,
        nn as nn,
        ot as ot,
        plotting as plotting,
        preprocess as preprocess,
        priors as priors,
        programs as programs,
        sampling as sampling,
        simulate as simulate,
        splits as splits,
        train as train,
    )

__version__ = "0.1.0"

_ROOMS = [
    "alignment",
    "analysis",
    "baselines",
    "cli",
    "config",
    "data",
    "datasets",
    "flow",
    "metrics",
    "model",
    "nn",
    "ot",
    "plotting",
    "preprocess",
    "priors",
    "programs",
    "sampling",
    "simulate",
    "splits",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"scbig.{name}")
    raise AttributeError(f"module 'scbig' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS])
