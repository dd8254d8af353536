"""Curves over sizes, contours of populations, dots: what is drawn, and what cannot be."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from scbig.baselines import Interval
from scbig.plotting import density, dots, save, sweep

from .keys import said


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
    assert len({line.get_marker() for line in drawn}) == 2
    assert panel.get_xlabel() == "programs"
    handles: Any = figure.legends[0].legend_handles
    styles = {handle.get_label(): handle.get_linestyle() for handle in handles}
    assert [styles[name] for name in lines] == [line.get_linestyle() for line in drawn]
    assert "95 % interval of the mean" in styles
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
    first = figure.axes[0]
    assert [panel.get_xlabel() for panel in figure.axes] == ["UMAP 1", "UMAP 1"]
    assert first.get_ylabel() == "A\nUMAP 2"
    for words in ("dark to light: 20, 50, 80 % of them", "inner to outer line: 20", "a control"):
        assert words in said(figure)
    save(figure, tmp_path / "density.png")
    perturbed: Any = table[table["population"] != "control"]
    other = density(perturbed, plane="PC")
    assert other.axes[0].get_xlabel() == "PC 1"
    assert "control" not in said(other)
    flat = table.assign(y=1.0)
    assert len(density(flat, conditions=["A"]).axes) == 2


def test_no_contour_is_cut_off():
    (panel,) = density(pd.concat([cells(1, "A", "measured", 5), cells(0, "A", "ours", 5)])).axes
    (left, right), (low, high) = panel.get_xlim(), panel.get_ylim()
    for drawn in panel.collections:
        for path in drawn.get_paths():
            x, y = np.asarray(path.vertices).T
            assert left < x.min() < x.max() < right
            assert low < y.min() < y.max() < high


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


def test_dots_have_a_shape_of_their_own_for_each_column(tmp_path):
    table = pd.DataFrame({"ours": [1.0, 10.0], "paper": [2.0, np.nan]}, pd.Index(["one", "two"]))
    figure = dots(table, xlabel="milliseconds", log=True)
    (panel,) = figure.axes
    drawn: Any = panel.lines
    np.testing.assert_allclose([line.get_xdata() for line in drawn], [[1, 10], [2, np.nan]])
    assert len({line.get_marker() for line in drawn}) == 2
    assert len({line.get_color() for line in drawn}) == 2
    assert [tick.get_text() for tick in panel.get_yticklabels()] == ["one", "two"]
    assert panel.get_xscale() == "log"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ours", "paper"]
    save(figure, tmp_path / "dots.png")
    wrongs: Any = (table[:0], table[[]], pd.concat([table] * 3, axis=1))
    for wrong in wrongs:
        with pytest.raises(ValueError, match="one to 4 columns"):
            dots(wrong, xlabel="x")
    with pytest.raises(ValueError, match="must be positive"):
        dots(-table, xlabel="x", log=True)
