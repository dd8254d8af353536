"""How long a step of each stage takes, and how much memory the process has had."""

import pathlib
import resource
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import jax
import jax.random as jr
import pandas as pd

import scbig
from scbig import data, plotting, service, train

from . import markdown

Timed = tuple[float, service.TrainedModel]


def autoencoder(
    screen: data.Screen, known: scbig.Priors, config: scbig.ScBIGConfig, *, calls: int
) -> Timed:
    """Milliseconds of a step of stage 1, and what is trained: the median over passes but the first.

    **Arguments:** `calls`, how many passes over the cells.
    """
    passes: Any = {"stage1.epochs": calls, "stage1.validate_every": calls}
    own = scbig.but(config, **passes)
    made = train.fit_autoencoder(screen, known, own, progress=False, anyway=True, key=jr.key(0))
    return _milliseconds(made.history, "autoencoder"), made.model


def flow(
    screen: data.Screen,
    known: scbig.Priors,
    config: scbig.ScBIGConfig,
    trained: service.TrainedModel,
    *,
    calls: int,
) -> Timed:
    """Milliseconds of a step of stage 2, and what is trained: the median over calls but the first.

    **Arguments:** `trained`, the autoencoder; `calls`, how many compiled calls.
    """
    each = config.stage2.steps_per_call
    few: Any = {
        "stage2.steps": calls * each, "stage2.validate_every": calls, "stage2.patience": None,
    }  # fmt: skip
    options: Any = {"autoencoder": trained, "progress": False, "anyway": True, "key": jr.key(1)}
    made = scbig.fit(screen, known, scbig.but(config, **few), **options)
    return _milliseconds(made.history, "flow"), made.model


def _milliseconds(history: Any, stage: str) -> float:
    """The first call is compiled, and is not counted."""
    rates = history.loc[history["stage"] == stage, "steps_per_second"].to_list()
    if len(rates) < 2:
        raise SystemExit("A time needs at least two calls: the first one is compiled.")
    return 1000 / statistics.median(rates[1:])


def gigabytes() -> float:
    """The most that the device has held, or else the process, since it began."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"] / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def written(
    out: pathlib.Path,
    rows: list[dict[str, Any]],
    genes: str = "",
    *,
    named: Sequence[str],
    shown: Sequence[str] = ("ms a step", "paper, ms"),
) -> pd.DataFrame:
    """Writes and prints the times: `costs.csv`, `costs.png` and `summary.md`, with the device.

    **Arguments:** `named`, the columns that tell rows apart; `shown`, those of milliseconds.
    """
    found = pd.DataFrame(rows)
    found.to_csv(out / "costs.csv", index=False)
    of = lambda row: ", ".join(f"{row[name]} {name}" for name in named)
    times: Any = found.set_index(pd.Index([of(row) for row in rows]))[[*shown]]
    plotting.save(plotting.dots(times, xlabel="milliseconds a step", log=True), out / "costs.png")
    text = f"{jax.devices()[0].device_kind}{genes}.\n\n{table(rows)}"
    (out / "summary.md").write_text(text)
    print(f"\n{text}")
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """Rows of equal columns, as Markdown."""
    told = lambda x: f"{x:.4g}" if isinstance(x, float) else str(x)
    return markdown.rows([*rows[0]], [[told(x) for x in row.values()] for row in rows])
