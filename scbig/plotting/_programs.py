"""Gene programs: what they are enriched in, and how they interact."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scbig._names import examples

from ._style import FONT, INK, SCBIG, new_figure

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import pandas

_NEEDED = ["program", "set", "q_value", "significant"]
_STRONGEST = 10.0  # -log10 q from which on the colour stays the same
_FOLD = 8.0  # of chance; from here on the colour stays the same
_LONGEST = 60  # characters of a set's name
_LABELLED = 48  # programs; of more, not every one gets its number


def enrichment_heatmap(
    table: "pandas.DataFrame",
    *,
    sets: Sequence[str] | None = None,
    each: int = 3,
    most: int = 40,
) -> "matplotlib.figure.Figure":
    """Programs across, gene sets down, coloured by -log10 q; a dot where it is significant.

    Sets are ordered by the program in which they are strongest, so that a program's sets stand
    together. Names that are too long lose their middle.

    **Arguments:**

    - `table`: as from `scbig.analysis.enrichment`; of its columns `program`, `set`, `q_value` and
      `significant` are used. A program and set without a row is drawn as not enriched.
    - `sets`: those to show, for instance the most general ones (Figure 3). By default the `each`
      best significant sets of every program (Figures 9 and 10), or the `each` best whatever they
      are if none is significant.
    - `most`: rows; of more sets, those with the lowest q-values are shown.

    **Raises:** `ValueError` for a table without these columns or rows, and for unknown sets.
    """
    _check(table, sets, each, most)
    shown = _rows(table, sets, each, most)
    programs = np.unique(table["program"].to_numpy())
    part = table[table["set"].isin(shown)]
    wide = part.pivot(index="set", columns="program", values="q_value")
    q_values = wide.reindex(index=shown, columns=programs).fillna(1.0).to_numpy()
    # A q-value of 0 is below what a float holds.
    strength = -np.log10(np.maximum(q_values, np.finfo(float).tiny))
    marked = part.pivot(index="set", columns="program", values="significant")
    marked = marked.reindex(index=shown, columns=programs).eq(True).to_numpy()
    return _draw(strength, marked, [shortened(name) for name in shown], programs)


def _check(table, sets, each, most) -> None:
    absent = [column for column in _NEEDED if column not in table.columns]
    if absent or not len(table):
        raise ValueError(
            f"enrichment_heatmap: needs rows with the columns {examples(_NEEDED)}; got "
            f"{len(table)} rows with {examples(table.columns, most=20)}."
        )
    known = set(table["set"])
    unknown = [name for name in sets or [] if name not in known]
    if unknown or (sets is not None and not len(sets)):
        raise ValueError(
            f"enrichment_heatmap: {len(unknown)} of {len(sets or [])} sets are not in the table: "
            f"{examples(unknown) or 'none is asked for'}. It has {len(known)}."
        )
    if each < 1 or most < 1:
        raise ValueError(f"each and most must be at least 1; got each={each}, most={most}.")


def _rows(table, sets, each: int, most: int) -> list[str]:
    """The sets to show, from top to bottom."""
    ordered = table.sort_values(["q_value", "p_value"] if "p_value" in table else ["q_value"])
    if sets is not None:
        chosen = ordered[ordered["set"].isin(set(sets))]
    else:
        seen = ordered[ordered["significant"]] if ordered["significant"].any() else ordered
        chosen = seen.groupby("program").head(each)
    # The first row of a set is that of its strongest program, whether or not that chose it.
    wanted = chosen.drop_duplicates("set")["set"].head(most)
    strongest = ordered[ordered["set"].isin(wanted)].drop_duplicates("set")
    return strongest.sort_values("program", kind="stable")["set"].tolist()


def shortened(name: str) -> str:
    """A name without its middle if it is too long: what tells two apart may be at either end."""
    if len(name) <= _LONGEST:
        return name
    end = _LONGEST // 3
    head, tail = name[: _LONGEST - end - 3], name[-end:]
    # At a blank if there is one: half a word is no help.
    return f"{head.rpartition(' ')[0] or head} … {tail.partition(' ')[2] or tail}"


def _draw(strength, marked, names, programs) -> "matplotlib.figure.Figure":
    down, across = strength.shape
    high = float(np.clip(strength.max(), 2.0, _STRONGEST))
    cell = min(0.16, 11.0 / across)
    figure = new_figure(4.4 + cell * across, 0.9 + 0.16 * down)
    axes = figure.subplots()
    image = axes.imshow(strength, cmap=_colours(), vmin=0.0, vmax=high, aspect="auto")
    row, column = np.nonzero(marked)
    light = strength[row, column] < 0.35 * high
    axes.scatter(column, row, s=5, c=np.where(light, INK, "#FFFFFF"), linewidths=0)
    _frame(axes, down, across)
    _number(axes.xaxis, programs)
    axes.set_yticks(range(down), names, fontsize=FONT - 1)
    axes.set_xlabel("program", fontsize=FONT)
    _bar(figure, image, "$-\\log_{10}$ q   (dot: significant)", bool(strength.max() > high))
    return figure


def _colours():
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("strength", ["#FFFFFF", SCBIG, "#00253D"])
    return colours.with_extremes(bad="#D9D9D9", under="#FFFFFF")


def _frame(axes, down: int, across: int) -> None:
    """Thin lines between cells, which keep a row and a column readable from afar."""
    axes.set_xticks(np.arange(across + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(down + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#E4E4E4", linewidth=0.4)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def _number(axis, programs) -> None:
    step = -(-len(programs) // _LABELLED)
    axis.set_ticks(range(0, len(programs), step), programs[::step], fontsize=FONT - 2)


def _bar(figure, image, label: str, above: bool) -> None:
    bar = figure.colorbar(
        image, ax=figure.axes[0], fraction=0.03, pad=0.02, extend="max" if above else "neither"
    )
    bar.set_label(label, fontsize=FONT)
    bar.ax.tick_params(labelsize=FONT - 1)
    bar.outline.set_visible(False)


def interaction_heatmap(folds: "pandas.DataFrame") -> "matplotlib.figure.Figure":
    """Programs by programs: their interactions, as a multiple of what chance would put there.

    White is chance or fewer; the colour stops at eight times chance. Grey cells have no pair of
    genes. Dark blocks on the diagonal are programs whose genes interact with one another.

    **Arguments:** `folds`, as from `scbig.analysis.interaction_folds`.

    **Raises:** `ValueError` unless it is square, with at least one value.
    """
    values = folds.to_numpy(float)
    if values.ndim != 2 or len(set(values.shape)) > 1 or not np.isfinite(values).any():
        raise ValueError(
            f"interaction_heatmap: needs programs by programs with values; got {values.shape}, "
            f"{int(np.isfinite(values).sum())} of them finite."
        )
    count = len(values)
    side = min(0.16 * count, 9.0)
    figure = new_figure(1.6 + side, 0.7 + side)
    axes = figure.subplots()
    image = axes.imshow(values, cmap=_colours(), vmin=1.0, vmax=_FOLD)
    _frame(axes, count, count)
    programs = folds.index.to_numpy()
    _number(axes.xaxis, programs)
    _number(axes.yaxis, programs)
    axes.set_xlabel("program", fontsize=FONT)
    axes.set_ylabel("program", fontsize=FONT)
    _bar(figure, image, "interactions, observed / expected", bool(np.nanmax(values) > _FOLD))
    return figure
