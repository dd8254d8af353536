"""What programs and genes do under perturbations: shifts, responses, predicted against measured."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from scbig._names import examples

from ._labels import name_points
from ._style import (
    DOWN,
    FONT,
    INK,
    OTHER,
    SCBIG,
    broken,
    diverging,
    grid,
    inches,
    key,
    line,
    new_figure,
)

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas


def attention_shifts(
    table: "pandas.DataFrame", *, conditions: Sequence[str] = (), most: int = 10
) -> "matplotlib.figure.Figure":
    """A panel for each condition: programs whose attention shifts most, with intervals (Figure 4).

    A shift whose interval holds zero is grey, more attention blue, less vermillion.

    **Arguments:** `table`, as from `scbig.analysis.attention_shift`, of one context; `conditions`,
    the first eight of the table by default; `most`, programs of each.

    **Raises:** `ValueError` for a table without rows, of several contexts, and unknown conditions.
    """
    shown = _chosen("attention_shifts", table, conditions, most=8)
    down, across = grid(len(shown))
    rows = min(most, int(table["condition"].value_counts().max()))
    figure = new_figure(1.0 + 2.2 * across, down * (0.9 + 0.18 * rows))
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for panel, name in zip(panels, shown, strict=False):
        own: Any = table[table["condition"] == name]
        own = own.sort_values("shift", key=np.abs, ascending=False, kind="stable")[:most]
        numbers = 100 * own[["shift", "low", "high"]].to_numpy(float)
        for row, (shift, low, high) in enumerate(numbers):
            colour = OTHER if low <= 0 <= high else SCBIG if shift > 0 else DOWN
            panel.hlines(row, low, high, color=colour, linewidth=1.2)
            panel.plot(shift, row, "o", color=colour, markersize=4)
        panel.axvline(0, color=INK, linewidth=0.5)
        panel.set_yticks(range(len(own)), own["program"], fontsize=FONT)
        panel.set_ylim(len(own) - 0.5, -0.5)
        panel.tick_params(axis="y", length=0)
        panel.tick_params(axis="x", labelsize=FONT - 1)
        panel.set_ylabel("program", fontsize=FONT)
        panel.set_title(broken(f"{name} ({own['cells'].iloc[0]} cells)", 30), fontsize=FONT)
        panel.spines[["top", "right", "left"]].set_visible(False)
    for panel in panels[len(shown) :]:
        panel.remove()
    kinds = (
        (SCBIG, "read more"),
        (DOWN, "read less"),
        (OTHER, "interval holds 0: no shift is sure"),
    )
    style: Any = {"marker": "o", "markersize": 4, "linewidth": 1.2}
    key(
        figure,
        [line(label, color=colour, **style) for colour, label in kinds],
        title="attention to a program, % more than in controls; bars: 95 % interval",
    )
    return figure


def program_heatmap(
    table: "pandas.DataFrame",
    *,
    conditions: Sequence[str] = (),
    most: int = 40,
    label: str = "change from controls, log",
) -> "matplotlib.figure.Figure":
    """Conditions down, programs across: responses, with a dot where the interval leaves out zero.

    **Arguments:** `table`, as from `scbig.analysis.program_response`, of one context; `conditions`,
    by default those of the largest responses; `most` of them; `label`, what the responses are.

    **Raises:** `ValueError` for a table without rows, of several contexts, and unknown conditions.
    """
    size: Any = table.assign(size=table["response"] ** 2).groupby("condition")["size"].sum()
    largest = [*size.sort_values(ascending=False, kind="stable").index[:most]]
    shown = _chosen("program_heatmap", table, conditions or largest, most=most)
    wide: Any = table.assign(sure=(table["low"] > 0) | (table["high"] < 0)).pivot(
        index="condition", columns="program", values=["response", "sure"]
    )
    values = wide["response"].loc[shown].to_numpy(float)
    sure = wide["sure"].loc[shown].to_numpy(bool)
    down, across = values.shape
    width = 1.2 + inches(shown, FONT - 1) + max(0.2 * across, 1.6)
    figure = new_figure(width, max(1.0 + 0.18 * down, 1.9))
    axes = figure.subplots()
    bound = float(np.abs(values).max()) or 1.0
    image = axes.imshow(values, cmap=diverging(), vmin=-bound, vmax=bound, aspect="auto")
    row, column = np.nonzero(sure)
    strong = np.abs(values[row, column]) > 0.6 * bound
    axes.scatter(column, row, s=4, c=np.where(strong, "#FFFFFF", INK), linewidths=0)
    axes.set_yticks(range(down), shown, fontsize=FONT - 1)
    axes.set_xticks(range(across), wide["response"].columns, fontsize=FONT - 2)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("program   (dot: 95 % interval without 0)", fontsize=FONT)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02)
    bar.set_label(label, fontsize=FONT - 1)
    bar.ax.tick_params(labelsize=FONT - 1)
    bar.outline.set_visible(False)
    return figure


def response_scatter(
    predicted: Float[np.ndarray, " genes"],
    measured: Float[np.ndarray, " genes"],
    genes: Sequence[str],
    *,
    title: str = "",
    named: int = 8,
) -> "matplotlib.figure.Figure":
    """A gene's measured response across, the predicted one up; the line is equality.

    **Arguments:** `predicted` and `measured`, changes of mean expression from the controls, of the
    `genes` of these names; `named`, genes of the largest measured responses that get their name, of
    those above a fifth of the largest, where there is room for it.

    **Raises:** `ValueError` for other numbers of responses and names, or no gene.
    """
    if not len(genes) == len(predicted) == len(measured) or not len(genes):
        raise ValueError(
            f"response_scatter: {len(predicted)} predicted and {len(measured)} measured responses "
            f"of {len(genes)} genes."
        )
    figure = new_figure(3.4, 3.4)
    axes = figure.subplots()
    both = np.concatenate([predicted, measured])
    ends = [float(both.min()), float(both.max())]
    room = 0.06 * (ends[1] - ends[0]) or 0.1
    dotted: Any = {"color": INK, "linewidth": 0.7, "linestyle": ":"}
    axes.axline((0, 0), slope=1, **dotted)
    axes.scatter(measured, predicted, s=6, color=SCBIG, alpha=0.6, linewidths=0)
    # One scale for both, or a prediction of half the size would look right.
    axes.set_xlim(ends[0] - room, ends[1] + room)
    axes.set_ylim(ends[0] - room, ends[1] + room)
    axes.set_aspect("equal")
    varies = np.ptp(predicted) > 0 and np.ptp(measured) > 0
    r = f"r = {np.corrcoef(predicted, measured)[0, 1]:.2f}" if varies else "r undefined"
    axes.set_title(broken(f"{title}   {r}".strip(), 46), fontsize=FONT)
    axes.set_xlabel("measured change from controls, log", fontsize=FONT)
    axes.set_ylabel("predicted change from controls, log", fontsize=FONT)
    axes.tick_params(labelsize=FONT - 1)
    axes.locator_params(nbins=6)
    axes.spines[["top", "right"]].set_visible(False)
    point = line("a gene", color=SCBIG, marker="o", markersize=2.5, linestyle="")
    key(figure, [point, line("predicted = measured", **dotted)])
    chosen = _largest(measured)[:named]
    places = np.stack([measured, predicted], axis=1).astype(np.float64)
    name_points(axes, places, chosen, [str(genes[place]) for place in chosen])
    return figure


def _largest(responses: Float[np.ndarray, " genes"]) -> list[int]:
    """The genes above a fifth of the largest response, by size: names in the crowd are unread."""
    sizes = np.abs(responses)
    order = np.argsort(-sizes, kind="stable")
    return [int(place) for place in order if sizes[place] > 0.2 * sizes.max()]


def _chosen(
    what: str, table: "pandas.DataFrame", conditions: Sequence[str], *, most: int
) -> list[str]:
    """The conditions to show, of a table of one context."""
    known = list(dict.fromkeys(table["condition"])) if len(table) else []
    unknown = [name for name in conditions if name not in known]
    contexts = list(dict.fromkeys(table["context"])) if len(table) else []
    if not known or unknown or len(contexts) > 1:
        why = (
            f"has no condition {examples(unknown)}"
            if known and unknown
            else f"has the contexts {examples(contexts)}: choose one"
            if known
            else "has no row"
        )
        raise ValueError(f"{what}: the table {why}.")
    return list(conditions) or known[:most]
