"""Curves over sizes and contours of populations: what is drawn, and what cannot be."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from scbig.baselines import Interval
from scbig.plotting import density, save, sweep


def at(mean: float) -> dict[str, Interval]:
    return {"pearson_delta": Interval(mean=mean, low=mean - 0.1, high=mean + 0.2, number=9)}


def test_a_sweep_has_a_line_of_its_own_kind_for_each_series(tmp_path):
    lines = {"4 points": {8: at(0.5), 32: at(0.7)}, "8 points": {32: at(0.6), 8: at(0.4)}}
    figure = sweep(lines, xlabel="programs", metrics=["pearson_delta"])
    (panel,) = figure.axes
    boxes: Any = panel.containers
    drawn = [box.lines[0] for box in boxes]
    np.testing.assert_allclose(drawn[0].get_ydata(), [0.5, 0.7])
    np.testing.assert_allclose(drawn[1].get_ydata(), [0.4, 0.6])
    assert len({line.get_linestyle() for line in drawn}) == 2
    assert len({line.get_color() for line in drawn}) == 2
    np.testing.assert_allclose(drawn[0].get_xdata(), [8, 32], rtol=0.05)
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["8", "32"]
    (ends,) = boxes[0].lines[2]
    np.testing.assert_allclose(ends.get_segments()[0][:, 1], [0.4, 0.7])
    save(figure, tmp_path / "sweep.png")
    for wrong in ({}, {"one": {}}, dict.fromkeys("abcde", {8: at(0.5)})):
        with pytest.raises(ValueError, match="one to 4 series"):
            sweep(wrong, xlabel="programs", metrics=["pearson_delta"])


def cells(centre: float, condition: str, population: str, number: int = 200) -> pd.DataFrame:
    x, y = np.random.default_rng(len(population)).normal(size=(2, number)) + centre
    return pd.DataFrame({"condition": condition, "population": population, "x": x, "y": y})


def test_contours_hold_the_shares_of_the_cells_that_they_say(tmp_path):
    parts = [cells(0, "control", "control"), cells(4, "A", "measured", 4000), cells(4, "A", "ours")]
    table = pd.concat([*parts, cells(-4, "A", "theirs")])
    figure = density(table)
    assert [panel.get_title() for panel in figure.axes] == ["ours", "theirs"]
    filled, lines = (c for c in figure.axes[0].collections)
    # Within the outermost level lie 80 % of a Gaussian's cells: a circle of radius 1.79.
    outer: Any = max(filled.get_paths()[0].to_polygons(), key=lambda own: len(np.asarray(own)))
    radius = np.linalg.norm(np.asarray(outer) - 4, axis=1)
    np.testing.assert_allclose(np.median(radius), np.sqrt(-2 * np.log(0.2)), rtol=0.1)
    centre = np.concatenate([path.vertices for path in lines.get_paths()]).mean(axis=0)
    np.testing.assert_allclose(centre, 4, atol=0.6)
    save(figure, tmp_path / "density.png")
    flat = table.assign(y=1.0)
    assert len(density(flat, conditions=["A"]).axes) == 2


def test_what_has_no_density_is_named():
    table = pd.concat([cells(0, "A", "measured"), cells(0, "A", "ours", 3)])
    with pytest.raises(ValueError, match="fewer than four cells of 'A, ours'"):
        density(table)
    with pytest.raises(ValueError, match="no column 'population'"):
        density(table.drop(columns="population"))
    with pytest.raises(ValueError, match="not finite"):
        density(table.assign(x=np.nan))
    with pytest.raises(ValueError, match="at least one predictor"):
        density(cells(0, "A", "measured"))
