"""Figures on disk."""

import os
import pathlib
from typing import TYPE_CHECKING

from scbig._files import atomic

if TYPE_CHECKING:
    import matplotlib.figure

_FORMATS = (".png", ".pdf", ".svg")


def save(
    figure: "matplotlib.figure.Figure", path: str | os.PathLike[str], *, dpi: float = 200
) -> None:
    """Writes a figure as png, pdf or svg, by the suffix; the folder is made if need be.

    The file appears whole or not at all: it is written under another name and then renamed.

    **Arguments:** `figure`; `path`; `dpi`, pixels per inch of a png.

    **Raises:** `ValueError` for another suffix.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"{path}: a figure is saved as one of {', '.join(_FORMATS)}.")
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=dpi)
