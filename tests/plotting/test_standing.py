"""Means beside the simple rules: every line, bar and colour has a name in the figure."""

from typing import Any

import numpy as np
import pytest

from scbig.baselines import Interval
from scbig.plotting import save, standing

from .keys import said


def rows(**means: float) -> dict[str, dict[str, Interval]]:
    at = lambda m: Interval(mean=m, low=m - 0.1, high=m + 0.2, number=9)
    return {name.replace("_", " "): {"mse": at(mean)} for name, mean in means.items()}


def test_anchors_are_lines_at_their_means_which_the_key_tells_apart(tmp_path):
    found = rows(scBIG=0.5, additive=0.4, GEARS=0.3, perturbed_mean=0.1)
    figure = standing(found)
    (panel,) = figure.axes
    assert panel.get_title() == "mse\nsquared error of means\n(lower is better)"
    upright: Any = [line for line in panel.lines if line.get_marker() == "None"]
    lines = {line.get_linestyle(): line.get_xdata()[0] for line in upright}
    handles: Any = figure.legends[0].legend_handles
    drawn = {handle.get_label(): handle for handle in handles}
    mean, additive = (
        drawn["perturbed mean: the same change for all"],
        drawn["additive: the sum of single perturbations"],
    )
    assert lines[mean.get_linestyle()] == 0.1
    assert lines[additive.get_linestyle()] == 0.4
    assert len(lines) == 2
    points: Any = [line for line in panel.lines if line.get_marker() == "o"]
    colours = {line.get_ydata()[0]: line.get_color() for line in points}
    assert colours[0] == drawn["scBIG: mean over conditions, 95 % interval"].get_color()
    assert colours[2] == drawn["other rows: mean over conditions, 95 % interval"].get_color()
    assert colours[0] != colours[2]
    save(figure, tmp_path / "standing.png")


def test_the_key_has_only_what_is_drawn_and_fits():
    figure = standing(rows(scBIG=0.5))
    assert said(figure).strip() == "scBIG: mean over conditions, 95 % interval"
    figure.draw_without_rendering()
    box, whole = figure.legends[0].get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0
    assert box.x1 <= whole.x1
    assert figure.axes[0].get_window_extent().height > 20


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(ValueError, match="at least one metric"):
        standing({})
    names = {f"rule_{n}": 0.1 * n for n in range(7)}
    with pytest.raises(ValueError, match="at most 6 anchors are drawn; got 7"):
        standing(rows(**names), anchors=[name.replace("_", " ") for name in names])
    undefined = Interval(mean=np.nan, low=np.nan, high=np.nan, number=0)
    assert not standing({"additive": {"pds": undefined}}).axes[0].lines
