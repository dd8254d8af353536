"""Scores over a size that is varied."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import DOWN, FONT, INK, OTHER, SCBIG, grid, key, line, new_figure, titled

if TYPE_CHECKING:
    import matplotlib.figure

STYLES = ("-", "--", ":", "-.")
COLOURS = (SCBIG, DOWN, INK, OTHER)
MARKS = "os^D"
"""Told apart by their dashes and marks too."""


def sweep(
    lines: Mapping[str, Mapping[int, Mapping[str, Any]]], *, xlabel: str, metrics: Sequence[str]
) -> "matplotlib.figure.Figure":
    """One panel for each metric: a line of means with their intervals for each series.

    **Arguments:** `lines`, by the name of a series and the size on the axis, which is logarithmic,
    by metric what `scbig.baselines.interval` returns; `xlabel`, what the size is of; `metrics`.
    Points of several series at one size stand a little apart; bars are the intervals.

    **Raises:** `ValueError` for no series, for more than four, and for one without a point.
    """
    if not 1 <= len(lines) <= len(STYLES) or not all(lines.values()) or not metrics:
        raise ValueError(f"sweep: needs one to {len(STYLES)} series with points, and metrics.")
    down, across = grid(len(metrics))
    figure = new_figure(0.6 + 2.1 * across, 0.3 + 2.1 * down)
    panels = figure.subplots(down, across, sharex=True, squeeze=False).ravel()
    sizes = sorted({size for own in lines.values() for size in own})
    for panel, metric in zip(panels, metrics, strict=False):
        for place, own in enumerate(lines.values()):
            apart = 1.03 ** (place - (len(lines) - 1) / 2)
            x = np.array(sorted(own), float)
            found = [own[int(size)][metric] for size in x]
            y = np.array([value.mean for value in found])
            ends = [[v.mean - v.low for v in found], [v.high - v.mean for v in found]]
            panel.errorbar(
                x * apart, y, yerr=np.maximum(ends, 0.0), marker=MARKS[place], markersize=3,
                color=COLOURS[place], linestyle=STYLES[place], linewidth=1.1, elinewidth=0.6,
            )  # fmt: skip
        panel.set_xscale("log")
        panel.set_xticks(sizes, [str(size) for size in sizes], fontsize=FONT - 1)
        panel.minorticks_off()
        panel.tick_params(axis="x", labelbottom=True)
        panel.tick_params(axis="y", labelsize=FONT - 1)
        panel.set_xlabel(xlabel, fontsize=FONT)
        panel.set_title(titled(metric), fontsize=FONT)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(metrics) :]:
        panel.remove()
    shown = zip(lines, COLOURS, STYLES, MARKS, strict=False)
    handles = [
        line(name, color=colour, linestyle=style, marker=mark, markersize=3, linewidth=1.1)
        for name, colour, style, mark in shown
    ]
    bar = line("95 % interval of the mean", color=OTHER, marker="|", markersize=9, linestyle="")
    key(figure, [*handles, bar])
    return figure
