"""What all figures share: colours, sizes, an empty figure, names that fit, and a key."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from scbig.metrics import ERRORS

if TYPE_CHECKING:
    import matplotlib.colors
    import matplotlib.figure

SCBIG = "#0072B2"  # blue of the Okabe-Ito palette, told from the others by any colour vision
DOWN = "#D55E00"  # its vermillion, the opposite of the blue
OTHER = "#8C8C8C"
INK = "#333333"
FONT = 8
_ACROSS = 4
_LETTER = 0.6 / 72
"""Inches of a letter for each point of its size, about."""
_MEASURES = {
    "pearson_delta": "correlation of responses",
    "pearson_delta_deg20": "correlation, 20 top genes",
    "acc": "genes of right direction",
    "acc_deg20": "direction, 20 top genes",
    "l2": "distance of means",
    "mse": "squared error of means",
    "mae": "absolute error of means",
    "discr_cos": "cosine of responses",
    "pds": "told from other conditions",
    "des": "order of changed genes",
    "e_distance": "energy distance of cells",
    "wasserstein": "Wasserstein, of cells",
}
"""What a metric measures, in as many letters as a panel is wide."""


def colour_of(predictor: str) -> str:
    """The one colour of scBIG and its variants; grey for whatever it is compared with."""
    return SCBIG if predictor.lower().startswith("scbig") else OTHER


def titled(metric: str) -> str:
    """A metric's name, what it measures if that is known, and whether less of it is better."""
    known = [_MEASURES[metric]] if metric in _MEASURES else []
    return "\n".join([metric, *known, *(["(lower is better)"] if metric in ERRORS else [])])


def diverging() -> "matplotlib.colors.Colormap":
    """From vermillion by white to blue: less, nothing, more."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("change", [DOWN, "#FFFFFF", SCBIG])


def new_figure(width: float, height: float) -> "matplotlib.figure.Figure":
    """An empty figure, in inches, that belongs to no window and to no pyplot state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def grid(panels: int) -> tuple[int, int]:
    """Rows and columns for this many panels: at most four across, rows as even as can be."""
    down = -(-panels // _ACROSS)
    return down, -(-panels // down)


def inches(names: Iterable[str], font: int = FONT) -> float:
    """About how wide the widest line of some names is."""
    lines = [line for name in names for line in str(name).split("\n")]
    return _LETTER * font * max(map(len, lines), default=0)


def broken(name: str, letters: int) -> str:
    """A name over as many lines as it needs, broken after a sign that joins its parts if it can be.

    **Arguments:** `letters`, at most on a line.
    """
    lines = [""]
    for part in re.findall(r"[^+ _-]+[+ _-]*|[+ _-]+", name):
        # A part that is too long for any line goes on where the line ends.
        for piece in (part[at : at + letters] for at in range(0, len(part), letters)):
            if len(lines[-1]) + len(piece.rstrip()) > letters:
                lines.append("")
            lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def key(
    figure: "matplotlib.figure.Figure", handles: Sequence[Any], *, title: str | None = None
) -> None:
    """What signs and colours mean, below the panels, in as many columns as fit.

    The figure grows by the room that it takes, so that the panels keep theirs.

    **Arguments:** `handles`, artists with labels; `title`, a sentence above them.
    """
    size, (width, height) = FONT - 1, figure.get_size_inches()
    entry = 0.5 + inches([str(handle.get_label()) for handle in handles], size)
    width = max(float(width), entry)
    columns = min(len(handles), int(width / entry))
    said = None if title is None else broken(title, int(width / (_LETTER * size)))
    down = -(-len(handles) // columns) + (0 if said is None else 1 + said.count("\n"))
    figure.set_size_inches(width, height + 0.12 + 0.15 * down)
    figure.legend(
        handles=[*handles], loc="outside lower center", ncols=columns, fontsize=size,
        title=said, title_fontsize=size, frameon=False, borderaxespad=0.2,
    )  # fmt: skip


def line(label: str, **style: Any) -> Any:
    """A line for a key."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **style)


def patch(label: str, **style: Any) -> Any:
    """A coloured square for a key."""
    from matplotlib.patches import Patch

    return Patch(label=label, **style)
