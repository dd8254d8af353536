"""Where the cells of populations are, side by side."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from scbig._names import examples

from ._style import FONT, SCBIG, broken, key, line, new_figure, patch

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas

SIDE = 60
LEVELS = (0.2, 0.5, 0.8)
"""Shares of a population within its contours."""
COLUMNS = ("condition", "population", "x", "y")


def density(
    table: "pandas.DataFrame",
    *,
    measured: str = "measured",
    control: str = "control",
    conditions: Sequence[str] = (),
    plane: str = "UMAP",
) -> "matplotlib.figure.Figure":
    """Contours of measured and predicted cells in a plane, a column for each predictor (Figure 7).

    Measured cells are filled and grey, predicted ones blue lines, controls dots. Lines hold 20, 50
    and 80 % of a population's cells, by a Gaussian kernel (Scott's rule).

    **Arguments:** `table`, a row for each cell: `condition`, `population` (`measured`, `control`,
    or the name of a predictor), and the place `x`, `y`; `conditions`, a row of panels each, by
    default all but that of the controls; `plane`, what made the places, which names the axes.

    **Raises:** `ValueError` for a column that is not there, no measured or no predicted cells of a
    condition, fewer than four of either, and places that are not finite.
    """
    lacking = [name for name in COLUMNS if name not in table]
    if lacking:
        raise ValueError(f"density: the table has no column {lacking[0]!r}.")
    if not np.isfinite(table[["x", "y"]].to_numpy(float)).all():
        raise ValueError("density: a cell has a place that is not finite.")
    still: Any = table[table["population"] == control]
    rest: Any = table[table["population"] != control]
    shown = list(conditions) or list(dict.fromkeys(rest["condition"]))
    predictors = [name for name in dict.fromkeys(rest["population"]) if name != measured]
    place = lambda name, population: rest.loc[
        (rest["condition"] == name) & (rest["population"] == population), ["x", "y"]
    ].to_numpy(float)
    if not shown or not predictors:
        raise ValueError("density: needs a condition, and cells of at least one predictor.")
    few = [
        f"{name}, {kind}" for name in shown for kind in (measured, *predictors)
        if len(place(name, kind)) < 4
    ]  # fmt: skip
    if few:
        raise ValueError(f"density: fewer than four cells of {examples(few)}.")
    figure = new_figure(0.8 + 2.2 * len(predictors), 0.4 + 2.1 * len(shown))
    panels = figure.subplots(len(shown), len(predictors), sharex=True, sharey=True, squeeze=False)
    everything = table[["x", "y"]].to_numpy(float)
    low, high = everything.min(axis=0), everything.max(axis=0)
    # A kernel reaches past the outermost cell, by less than a standard deviation of its population.
    each = [place(name, kind).std(axis=0) for name in shown for kind in (measured, *predictors)]
    room = 0.05 * (high - low) + np.max(each, axis=0) + 1e-9
    axes = [np.linspace(low[i] - room[i], high[i] + room[i], SIDE) for i in (0, 1)]
    dots = still[["x", "y"]].to_numpy(float)
    for row, name in enumerate(shown):
        for column, predictor in enumerate(predictors):
            panel = panels[row, column]
            panel.plot(dots[:, 0], dots[:, 1], ".", color="#C8C8C8", markersize=1.5)
            truth, found = place(name, measured), place(name, predictor)
            _contours(panel, axes, truth, filled=True)
            _contours(panel, axes, found, filled=False)
            panel.set_xticks([])
            panel.set_yticks([])
            if row == 0:
                panel.set_title(broken(predictor, 30), fontsize=FONT)
            if row == len(shown) - 1:
                panel.set_xlabel(f"{plane} 1", fontsize=FONT - 1)
            if column == 0:
                panel.set_ylabel(f"{broken(name, 30)}\n{plane} 2", fontsize=FONT - 1)
    key(figure, _handles(len(still) > 0))
    return figure


def _contours(
    panel: Any,
    axes: list[Float[np.ndarray, " side"]],
    cells: Float[np.ndarray, "cells 2"],
    *,
    filled: bool,
) -> None:
    """Lines around the densest shares of the cells."""
    from scipy.stats import gaussian_kde

    # Cells on one line have no density in the plane: a hair of noise gives them one.
    hair = 1e-6 * (np.ptp(cells, axis=0).max() + 1e-9)
    moved = cells + hair * np.random.default_rng(0).normal(size=cells.shape)
    kernel = gaussian_kde(moved.T)
    grid = np.meshgrid(*axes)
    height = kernel(np.stack([own.ravel() for own in grid])).reshape(grid[0].shape)
    # The height above which so many cells lie.
    levels = np.quantile(kernel(moved.T), [1 - share for share in reversed(LEVELS)])
    levels = np.unique(levels)
    if filled:
        panel.contourf(*grid, height, levels=[*levels, np.inf], colors=GREYS[-len(levels) :])
    else:
        panel.contour(*grid, height, levels=levels, colors=SCBIG, linewidths=1.1)


GREYS = ("#DDDDDD", "#B5B5B5", "#8A8A8A")


def _handles(controls: bool) -> list[Any]:
    held = f"{', '.join(f'{100 * share:.0f}' for share in LEVELS)} % of them"
    return [
        patch(f"measured cells, dark to light: {held}", color=GREYS[1]),
        line(f"predicted cells, inner to outer line: {held}", color=SCBIG),
        *([line("a control cell", color="#C8C8C8", marker=".", linestyle="")] if controls else []),
    ]
