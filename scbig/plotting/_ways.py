"""Cells on their way, and what pairs do beyond the sum."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scbig._names import examples
from scbig.data import Condition

from ._style import FONT, INK, SCBIG, diverging, grid, new_figure

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas


def trajectories(
    table: "pandas.DataFrame", *, conditions: Sequence[str] = (), most: int = 8
) -> "matplotlib.figure.Figure":
    """A panel for each condition: the way of each cell through the plane, from grey to blue.

    Rings are where cells start, points where they end.

    **Arguments:** `table`, as from `scbig.analysis.trajectories`, of one context; `conditions`, the
    first `most` by default.

    **Raises:** `ValueError` for a table without rows, of several contexts, and unknown conditions.
    """
    known = list(dict.fromkeys(table["condition"])) if len(table) else []
    contexts = list(dict.fromkeys(table["context"])) if len(table) else []
    unknown = [name for name in conditions if name not in known]
    if not known or unknown or len(contexts) > 1:
        why = f"no condition {examples(unknown)}" if unknown else f"{len(contexts)} contexts"
        raise ValueError(f"trajectories: the table has {why}; one context with rows is drawn.")
    shown = list(conditions) or known[:most]
    down, across = grid(len(shown))
    figure = new_figure(0.4 + 2.1 * across, 0.4 + 2.1 * down)
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    for panel, name in zip(panels, shown, strict=False):
        own: Any = table[table["condition"] == name]
        own = own.sort_values(["number", "time"], kind="stable")
        for _, cell in own.groupby("number", sort=False):
            x, y = cell["x"].to_numpy(), cell["y"].to_numpy()
            panel.plot(x, y, color=SCBIG, linewidth=0.4, alpha=0.5)
            panel.plot(x[0], y[0], "o", color=INK, markersize=3, markerfacecolor="none", mew=0.5)
            panel.plot(x[-1], y[-1], "o", color=SCBIG, markersize=2.5)
        panel.set_title(name, fontsize=FONT)
        panel.set_xticks([])
        panel.set_yticks([])
    for panel in panels[len(shown) :]:
        panel.remove()
    share = 100 * float(table["share"].iloc[0])
    said = f"ring: control, point: predicted   (plane of {share:.0f} % of the latents' variance)"
    figure.supxlabel(said, fontsize=FONT - 1)
    return figure


def interaction_map(
    table: "pandas.DataFrame", *, value: str = "magnitude", neutral: float = 2**0.5
) -> "matplotlib.figure.Figure":
    """What two perturbations do together, a square for each pair; white is neutral.

    **Arguments:** `table`, as from `scbig.analysis.genetic_interactions`, of one context; `value`,
    its column; `neutral`, the value of a pair that does nothing beyond the sum: the root of two for
    `magnitude`. Pairs that are not there are hatched.

    **Raises:** `ValueError` for an unknown column, several contexts, and no pair.
    """
    if value not in table:
        raise ValueError(f"interaction_map: the table has no column {value!r}.")
    if not len(table) or table["context"].nunique() > 1:
        raise ValueError("interaction_map: pairs of one context are drawn, at least one.")
    pairs = [Condition.parse(name).labels for name in table["condition"]]
    names = sorted({name for pair in pairs for name in pair})
    place = {name: number for number, name in enumerate(names)}
    square = np.full((len(names), len(names)), np.nan)
    for (one, other), own in zip(pairs, table[value].to_numpy(float), strict=True):
        square[place[one], place[other]] = square[place[other], place[one]] = own
    bound = float(np.nanmax(np.abs(square - neutral), initial=0.0)) or 1.0
    side = 1.2 + 0.2 * len(names)
    figure = new_figure(side + 0.8, side)
    axes = figure.subplots()
    axes.set_facecolor("#EEEEEE")
    axes.patch.set_hatch("////")
    axes.patch.set_edgecolor("#D5D5D5")
    image = axes.imshow(
        np.ma.masked_invalid(square), cmap=diverging(), vmin=neutral - bound, vmax=neutral + bound
    )
    axes.set_xticks(range(len(names)), names, fontsize=FONT - 1, rotation=90)
    axes.set_yticks(range(len(names)), names, fontsize=FONT - 1)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.03)
    bar.set_label(value, fontsize=FONT)
    figure.supxlabel("white: nothing beyond the sum; hatched: no pair", fontsize=FONT - 1)
    bar.ax.tick_params(labelsize=FONT - 1)
    bar.outline.set_visible(False)
    return figure
