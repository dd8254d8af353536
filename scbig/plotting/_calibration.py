"""Whether a prediction is as wrong as it says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ._style import DOWN, FONT, INK, OTHER, SCBIG, new_figure

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas

COLOURS = (SCBIG, DOWN, "#009E73", OTHER, "#CC79A7")
MARKS = "os^Dv"


def calibration(tables: Mapping[str, "pandas.DataFrame"]) -> "matplotlib.figure.Figure":
    """Root mean square error over the standard deviation that was told, bin by bin.

    On the line a prediction is as wrong as it says; above it, it is too sure.

    **Arguments:** `tables`, by the name of what told it, at most five: a row for each bin, with
    `told`, `error` and how many predictions are in it, `number`. Both axes are logarithmic: a bin
    in which either is not positive is left out.

    **Raises:** `ValueError` for no table, more than five, and no bin that can be drawn.
    """
    if not 1 <= len(tables) <= len(MARKS):
        raise ValueError(f"calibration: one to {len(MARKS)} tables are drawn; got {len(tables)}.")
    figure = new_figure(3.6, 3.4)
    axes, seen = figure.subplots(), []
    for (name, table), colour, mark in zip(tables.items(), COLOURS, MARKS, strict=False):
        values = table[["told", "error"]].to_numpy(float)
        values = values[np.isfinite(values).all(axis=1) & (values > 0).all(axis=1)]
        seen.append(values)
        axes.plot(*values.T, mark + "-", color=colour, markersize=4, linewidth=0.8, label=name)
    every = np.concatenate(seen)
    if not len(every):
        raise ValueError("calibration: no bin has a positive deviation and a positive error.")
    low, high = float(every.min()) / 1.3, float(every.max()) * 1.3
    axes.plot(
        [low, high], [low, high], color=INK, linewidth=0.6, linestyle=":", label="as wrong as told"
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    axes.set_xlabel("standard deviation told", fontsize=FONT)
    axes.set_ylabel("root mean square error", fontsize=FONT)
    axes.tick_params(labelsize=FONT - 1, which="both")
    axes.legend(fontsize=FONT - 1, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
