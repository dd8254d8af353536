"""Means with their intervals, and the simple rules as lines."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import FONT, INK, OTHER, SCBIG, colour_of, grid, inches, key, line, new_figure, titled

if TYPE_CHECKING:
    import matplotlib.figure

ANCHORS = ("perturbed mean", "additive", "split-half")
MEANING = {
    "perturbed mean": "the same change for all",
    "additive": "the sum of single perturbations",
    "split-half": "measured cells against measured",
}
DASHES = (":", "--", "-.", (0, (1, 4)), (0, (6, 3)), (0, (6, 2, 1, 2, 1, 2)))
"""By which the lines of anchors are told apart."""


def standing(
    found: Mapping[str, Mapping[str, Any]], *, anchors: Sequence[str] = ANCHORS
) -> "matplotlib.figure.Figure":
    """One panel for each metric: a point with its interval for each predictor.

    **Arguments:** `found`, by predictor and metric what `scbig.baselines.interval` returns, from
    top to bottom as in the table; `anchors`, predictors whose means are drawn as lines, of those
    that are there, at most six. What is undefined has no point.

    **Raises:** `ValueError` for an empty table, and for more anchors.
    """
    if not found or not next(iter(found.values())):
        raise ValueError("standing: needs a row for each predictor and at least one metric.")
    names, metrics = list(found), list(next(iter(found.values())))
    held = [name for name in anchors if name in found]
    if len(held) > len(DASHES):
        raise ValueError(f"standing: at most {len(DASHES)} anchors are drawn; got {len(held)}.")
    down, across = grid(len(metrics))
    figure = new_figure(0.4 + inches(names) + 1.7 * across, down * (0.9 + 0.2 * len(names)))
    panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    for panel, metric in zip(panels, metrics, strict=False):
        for row, name in enumerate(names):
            own = found[name][metric]
            if np.isfinite(own.mean):
                colour = colour_of(name)
                panel.hlines(row, own.low, own.high, color=colour, linewidth=1.2)
                panel.plot(own.mean, row, "o", color=colour, markersize=4)
        for name, dashes in zip(held, DASHES, strict=False):
            mean = found[name][metric].mean
            if np.isfinite(mean):
                panel.axvline(mean, color=INK, linewidth=0.6, linestyle=dashes, zorder=0)
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.set_yticks(range(len(names)), names, fontsize=FONT)
        panel.tick_params(axis="y", length=0)
        panel.tick_params(axis="x", labelsize=FONT - 1)
        panel.locator_params(axis="x", nbins=3)
        panel.set_title(titled(metric), fontsize=FONT)
        panel.spines[["top", "right", "left"]].set_visible(False)
    for panel in panels[len(metrics) :]:
        panel.remove()
    key(figure, _handles(names, held))
    return figure


def _handles(names: Sequence[str], anchors: Sequence[str]) -> list[Any]:
    said = "mean over conditions, 95 % interval"
    drawn = {colour_of(name) for name in names}
    point: Any = {"marker": "o", "markersize": 4, "linewidth": 1.2}
    kinds = [(SCBIG, f"scBIG: {said}"), (OTHER, f"other rows: {said}")]
    lines = [
        line(f"{name}: {MEANING[name]}" if name in MEANING else f"mean of {name}",
             color=INK, linewidth=0.6, linestyle=dashes)
        for name, dashes in zip(anchors, DASHES, strict=False)
    ]  # fmt: skip
    return [line(label, color=c, **point) for c, label in kinds if c in drawn] + lines
