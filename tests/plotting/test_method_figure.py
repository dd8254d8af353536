"""The picture of the method is drawn, and none of its words touch."""

import itertools
import pathlib
import runpy

SCRIPT = pathlib.Path(__file__).parents[2] / "experiments" / "method_figure.py"


def test_words_lie_inside_the_picture_and_apart():
    figure = runpy.run_path(str(SCRIPT))["draw"]()
    figure.draw_without_rendering()
    words = [text for text in figure.axes[0].texts if text.get_text().strip()]
    assert len(words) > 15
    boxes = [text.get_window_extent() for text in words]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert 0 < box.x0 < box.x1 < figure.bbox.x1
        assert 0 < box.y0 < box.y1 < figure.bbox.y1
