"""What a figure says of its signs, and where its words are."""

from typing import Any

import numpy as np
from matplotlib.text import Text


def said(figure: Any) -> str:
    """All words of the keys below the panels."""
    texts = [(key.get_title(), *key.get_texts()) for key in figure.legends]
    return " ".join(text.get_text().replace("\n", " ") for key in texts for text in key)


def within(axes: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    """The corners of the frame, and those of each name in it."""
    axes.figure.draw_without_rendering()
    # Of the words alone: a line joins them to their point.
    boxes = [Text.get_window_extent(text) for text in axes.texts]
    return axes.get_window_extent().get_points(), [box.get_points() for box in boxes]
