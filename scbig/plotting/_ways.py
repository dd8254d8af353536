"""Cells on their way, and what pairs do beyond the sum."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from scbig._names import examples
from scbig.data import Condition

from ._style import (
    DOWN,
    FONT,
    INK,
    SCBIG,
    broken,
    diverging,
    grid,
    inches,
    key,
    line,
    new_figure,
    patch,
)

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas

ENDS = {"magnitude": ("synergy: more than the sum", "the sum", "buffering: less than the sum")}
"""What more than the neutral value of a column, that value, and less is called."""
COLUMNS = {
    "magnitude": "√(a² + b²), where a double does about a × one single + b × the other",
    "dominance": "how much more one single counts than the other, log10",
    "fit": "how well the two singles fit the double, 0 to 1",
    "similarity": "of the double's response to its singles', 0 to 1",
    "redundancy": "of the two singles' responses, 0 to 1",
    "beyond": "length of what is beyond the sum, as a share of the response's",
}
"""What the values of a column are."""


def trajectories(
    table: "pandas.DataFrame", *, conditions: Sequence[str] = (), most: int = 8
) -> "matplotlib.figure.Figure":
    """A panel for each condition: the way of each cell along the flow, in a plane of latents.

    Rings are where cells start, of which the key says what that is, points where they end.

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
        panel.set_title(broken(name, 28), fontsize=FONT)
        panel.set_xlabel("latent PC 1", fontsize=FONT - 1)
        panel.set_ylabel("latent PC 2", fontsize=FONT - 1)
        panel.set_xticks([])
        panel.set_yticks([])
    for panel in panels[len(shown) :]:
        panel.remove()
    share, start = 100 * float(table["share"].iloc[0]), str(table["start"].iloc[0])
    dot: Any = {"linestyle": "", "marker": "o"}
    handles = [
        line(f"start: {start}", color=INK, markersize=3, markerfacecolor="none", mew=0.5, **dot),
        line("way along the flow", color=SCBIG, linewidth=0.6),
        line("end of the flow", color=SCBIG, markersize=2.5, **dot),
    ]
    said = f"The plane holds {share:.0f} % of the variance of cells' latents on their way."
    key(figure, handles, title=said)
    return figure


def interaction_map(
    table: "pandas.DataFrame",
    *,
    value: str = "magnitude",
    neutral: float = 2**0.5,
    bound: float | None = None,
    title: str = "",
) -> "matplotlib.figure.Figure":
    """What two perturbations do together, a square for each pair; white is neutral.

    **Arguments:** `table`, as from `scbig.analysis.genetic_interactions`, of one context; `value`,
    its column; `neutral`, the value of a pair that does nothing beyond the sum: the root of two for
    `magnitude`; `bound`, how far from it colours reach, by default as far as the values, so that
    maps can have one scale; `title`. Pairs that are not there are hatched.

    **Raises:** `ValueError` for an unknown column, several contexts, and no pair.
    """
    if value not in table:
        raise ValueError(f"interaction_map: the table has no column {value!r}.")
    if not len(table) or table["context"].nunique() > 1:
        raise ValueError("interaction_map: pairs of one context are drawn, at least one.")
    names, square = _square(table, value)
    reach = bound or float(np.nanmax(np.abs(square - neutral), initial=0.0)) or 1.0
    side, room = max(0.2 * len(names), 1.5), inches(names, FONT - 1)
    figure = new_figure(side + room + 1.2, side + room + 0.3)
    # Squares leave room on one side, into which names would otherwise be pushed off the other.
    figure.set_layout_engine("compressed")
    axes = figure.subplots()
    axes.set_facecolor("#EEEEEE")
    axes.patch.set_hatch("////")
    axes.patch.set_edgecolor("#D5D5D5")
    image = axes.imshow(
        np.ma.masked_invalid(square), cmap=diverging(), vmin=neutral - reach, vmax=neutral + reach
    )
    axes.set_xticks(range(len(names)), names, fontsize=FONT - 1, rotation=90)
    axes.set_yticks(range(len(names)), names, fontsize=FONT - 1)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(broken(title, 40), fontsize=FONT)
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.03)
    # No value is negative: colours that none can have would only be asked after.
    bar.ax.set_ylim(max(neutral - reach, 0.0), neutral + reach)
    bar.set_label(value, fontsize=FONT - 1)
    bar.ax.tick_params(labelsize=FONT - 1)
    bar.outline.set_visible(False)
    named = zip((SCBIG, "#FFFFFF", DOWN), ENDS.get(value, ()), strict=False)
    handles = [
        *(patch(label, facecolor=c, edgecolor="#BBBBBB", linewidth=0.5) for c, label in named),
        patch("no such pair", facecolor="#EEEEEE", edgecolor="#BFBFBF", hatch="////", linewidth=0),
    ]
    key(figure, handles, title=f"{value}: {COLUMNS[value]}" if value in COLUMNS else None)
    return figure


def _square(
    table: "pandas.DataFrame", value: str
) -> tuple[list[str], Float[np.ndarray, "names names"]]:
    """The perturbations of the pairs, and the value of each two, NaN where there is none."""
    pairs = [Condition.parse(name).labels for name in table["condition"]]
    names = sorted({name for pair in pairs for name in pair})
    place = {name: number for number, name in enumerate(names)}
    square = np.full((len(names), len(names)), np.nan)
    for (one, other), own in zip(pairs, table[value].to_numpy(float), strict=True):
        square[place[one], place[other]] = square[place[other], place[one]] = own
    return names, square
