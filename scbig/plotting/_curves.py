"""Losses over training."""

from typing import TYPE_CHECKING

from scbig._names import examples

from ._style import FONT, SCBIG, grid, new_figure

if TYPE_CHECKING:
    import matplotlib.figure
    import pandas


def training_curves(history: "pandas.DataFrame") -> "matplotlib.figure.Figure":
    """One small panel for each loss, over the training steps.

    **Arguments:** `history`, a column `step` and any numeric columns; others are not drawn. A NaN
    is a step at which that loss was not measured. The axis is logarithmic where every value is
    positive.

    **Raises:** `ValueError` without `step` or without a numeric column that has values.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    numbers = history.select_dtypes("number").dropna(axis="columns", how="all")
    losses = [name for name in numbers.columns if name != "step"]
    if "step" not in numbers or not losses:
        raise ValueError(
            "training_curves: needs a numeric column `step` and at least one loss; got "
            f"{examples(history.columns, most=20)} over {len(history)} rows."
        )
    down, across = grid(len(losses))
    figure = new_figure(0.4 + 2.0 * across, 0.3 + 1.6 * down)
    panels = figure.subplots(down, across, sharex=True, squeeze=False).ravel()
    for panel, loss in zip(panels, losses, strict=False):
        seen = numbers[["step", loss]].dropna()
        few = len(seen) < 30
        panel.plot(
            seen["step"], seen[loss], color=SCBIG, linewidth=1, marker="o" if few else "", ms=2
        )
        panel.set_title(str(loss), fontsize=FONT)
        if (seen[loss] > 0).all():
            panel.set_yscale("log")
            # Few and plain numbers; matplotlib's own are powers that crowd a small panel.
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
            panel.yaxis.set_major_formatter("{x:g}")
            panel.yaxis.set_minor_formatter(NullFormatter())
        panel.tick_params(labelsize=FONT - 1, labelbottom=True)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[len(losses) :]:
        panel.remove()
    figure.supxlabel("step", fontsize=FONT)
    return figure
