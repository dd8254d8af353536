"""Predictors side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scbig._names import examples

from ._style import FONT, INK, colour_of, grid, inches, new_figure, titled

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import pandas


def comparison(table: "pandas.DataFrame", *, metrics: Sequence[str]) -> "matplotlib.figure.Figure":
    """One panel for each metric, one dot for each predictor; scBIG in its own colour.

    **Arguments:** `table`, a row for each predictor (its name is the index), from top to bottom as
    in the table; `metrics`, the columns to show. A value that is NaN is marked "n/a".

    **Raises:** `ValueError` for an unknown metric, repeated predictors, or an empty table.
    """
    _check(table, metrics)
    down, across = grid(len(metrics))
    figure = new_figure(
        0.4 + inches(map(str, table.index)) + 1.7 * across, down * (0.9 + 0.22 * len(table))
    )
    panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    for panel, metric in zip(panels, metrics, strict=False):
        _panel(panel, [str(name) for name in table.index], table[metric].to_numpy(float), metric)
    for panel in panels[len(metrics) :]:
        panel.remove()
    return figure


def _check(table: "pandas.DataFrame", metrics: Sequence[str]) -> None:
    unknown = [metric for metric in metrics if metric not in table.columns]
    if unknown or not len(metrics) or not len(table):
        raise ValueError(
            f"comparison: needs a row for each predictor and a column for each metric; got "
            f"{len(table)} rows, {len(metrics)} metrics, not among the columns: "
            f"{examples(unknown) or 'none'}. Columns: {examples(table.columns, most=20)}."
        )
    repeated = sorted(set(table.index[table.index.duplicated()]))
    if repeated:
        raise ValueError(f"comparison: a predictor has one row; repeated: {examples(repeated)}.")


def _panel(
    panel: "matplotlib.axes.Axes", names: list[str], values: np.ndarray, metric: str
) -> None:
    rows = np.arange(len(names))
    finite = np.isfinite(values)
    low, high = min(0.0, *values[finite], 0.0), max(0.0, *values[finite], 0.0)
    room = (high - low) or 1.0
    for row, name, value in zip(rows, names, values, strict=True):
        at, text = (value, f"{value:#.3g}".rstrip(".")) if np.isfinite(value) else (0.0, "n/a")
        colour = colour_of(name)
        if np.isfinite(value):
            panel.hlines(row, 0.0, value, color=colour, linewidth=1.2)
            panel.plot(value, row, "o", color=colour, markersize=4)
        left = at < 0
        panel.annotate(
            text,
            (at, row),
            (-5 if left else 5, 0),
            textcoords="offset points",
            fontsize=FONT - 1,
            va="center",
            ha="right" if left else "left",
            color=INK,
        )
    panel.axvline(0.0, color=INK, linewidth=0.6)
    # The numbers stand beyond the dots: leave part of the axis to them.
    panel.set_xlim(low - (0.55 * room if low < 0 else 0.02 * room), high + 0.4 * room)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_yticks(rows, names, fontsize=FONT)
    panel.tick_params(axis="y", length=0)
    panel.tick_params(axis="x", labelsize=FONT - 1)
    panel.locator_params(axis="x", nbins=3)
    panel.set_title(titled(metric), fontsize=FONT)
    panel.spines[["top", "right", "left"]].set_visible(False)
