"""Means with their intervals, and the simple rules as lines."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scbig.metrics import ERRORS

from ._style import FONT, INK, colour_of, grid, new_figure

if TYPE_CHECKING:
    import matplotlib.figure

ANCHORS = ("perturbed mean", "additive", "split-half")


def standing(
    found: Mapping[str, Mapping[str, Any]], *, anchors: Sequence[str] = ANCHORS
) -> "matplotlib.figure.Figure":
    """One panel for each metric: a point with its interval for each predictor.

    **Arguments:** `found`, by predictor and metric what `scbig.baselines.interval` returns, from
    top to bottom as in the table; `anchors`, predictors whose means are drawn as lines, of those
    that are there. What is undefined has no point.

    **Raises:** `ValueError` for an empty table.
    """
    if not found or not next(iter(found.values())):
        raise ValueError("standing: needs a row for each predictor and at least one metric.")
    names, metrics = list(found), list(next(iter(found.values())))
    down, across = grid(len(metrics))
    figure = new_figure(1.6 + 1.7 * across, down * (0.75 + 0.2 * len(names)))
    panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    for panel, metric in zip(panels, metrics, strict=False):
        for row, name in enumerate(names):
            own = found[name][metric]
            if np.isfinite(own.mean):
                colour = colour_of(name)
                panel.hlines(row, own.low, own.high, color=colour, linewidth=1.2)
                panel.plot(own.mean, row, "o", color=colour, markersize=4)
        for name in anchors:
            if name in found and np.isfinite(found[name][metric].mean):
                panel.axvline(found[name][metric].mean, color=INK, linewidth=0.5, linestyle=":")
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.set_yticks(range(len(names)), names, fontsize=FONT)
        panel.tick_params(axis="y", length=0)
        panel.tick_params(axis="x", labelsize=FONT - 1)
        panel.locator_params(axis="x", nbins=3)
        panel.set_title(metric + ("\n(lower is better)" if metric in ERRORS else ""), fontsize=FONT)
        panel.spines[["top", "right", "left"]].set_visible(False)
    for panel in panels[len(metrics) :]:
        panel.remove()
    return figure
