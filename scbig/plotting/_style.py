"""What all figures share: colours, sizes, an empty figure."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import matplotlib.colors
    import matplotlib.figure

SCBIG = "#0072B2"  # blue of the Okabe-Ito palette, told from the others by any colour vision
DOWN = "#D55E00"  # its vermillion, the opposite of the blue
OTHER = "#8C8C8C"
INK = "#333333"
FONT = 8
_ACROSS = 4


def colour_of(predictor: str) -> str:
    """The one colour of scBIG and its variants; grey for whatever it is compared with."""
    return SCBIG if predictor.lower().startswith("scbig") else OTHER


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
