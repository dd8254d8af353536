"""A table of few rows and columns of one unit, as dots."""

from typing import TYPE_CHECKING

import numpy as np

from ._style import DOWN, FONT, INK, OTHER, SCBIG, new_figure

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas

COLOURS = (SCBIG, DOWN, OTHER, INK)
MARKERS = ("o", "s", "^", "x")


def dots(
    table: "pandas.DataFrame", *, xlabel: str, log: bool = False
) -> "matplotlib.figure.Figure":
    """Rows down, a mark of another shape and colour for each column.

    **Arguments:** `table`, numbers of one unit, named by its index and its columns; what is not
    finite has no mark; `xlabel`, what they are and their unit; `log`, whether the axis is
    logarithmic.

    **Raises:** `ValueError` for a table without rows, without columns or with more than four, and
    for a logarithmic axis and numbers that are not positive.
    """
    values = table.to_numpy(float)
    if not len(table) or not 1 <= len(table.columns) <= len(COLOURS):
        raise ValueError(f"dots: needs rows, and one to {len(COLOURS)} columns.")
    if log and (values[np.isfinite(values)] <= 0).any():
        raise ValueError("dots: on a logarithmic axis every number must be positive.")
    figure = new_figure(5.6, 0.9 + 0.24 * len(table))
    panel, rows = figure.subplots(), np.arange(len(table))
    for place, name in enumerate(table.columns):
        # On the rows' own line: who reads a row compares along it.
        panel.plot(
            values[:, place], rows, MARKERS[place], color=COLOURS[place], markersize=5,
            label=str(name),
        )  # fmt: skip
    panel.hlines(rows, *panel.get_xlim(), color=OTHER, linewidth=0.3, zorder=0)
    panel.set_ylim(len(table) - 0.5, -0.5)
    panel.set_yticks(rows, [str(name) for name in table.index], fontsize=FONT)
    panel.tick_params(axis="y", length=0)
    panel.tick_params(axis="x", labelsize=FONT - 1)
    panel.set_xlabel(xlabel, fontsize=FONT)
    if log:
        panel.set_xscale("log")
    panel.spines[["top", "right", "left"]].set_visible(False)
    figure.legend(
        loc="outside upper center", ncols=len(table.columns), fontsize=FONT - 1, frameon=False
    )
    return figure
