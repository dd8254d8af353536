"""Shifts, responses and scatters: what is drawn where, and that it can be told apart."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from scbig.plotting import attention_shifts, program_heatmap, response_scatter, save

from .keys import said, within

SHIFTS = pd.DataFrame(
    {
        "context": "", "condition": ["A"] * 3 + ["B"] * 3, "program": [0, 1, 2] * 2,
        "shift": [0.1, -0.3, 0.02, 0.5, 0.0, 0.0], "low": [0.05, -0.4, -0.1, 0.4, -0.1, -0.1],
        "high": [0.15, -0.2, 0.1, 0.6, 0.1, 0.1], "cells": [7] * 3 + [9] * 3,
    }
)  # fmt: skip


def labels(panel):
    return [label.get_text() for label in panel.get_yticklabels()]


def test_programs_go_by_the_size_of_their_shift_and_colours_say_what_is_sure(tmp_path):
    figure = attention_shifts(SHIFTS)
    first, second = figure.axes
    assert labels(first) == ["1", "0", "2"]
    assert first.get_title() == "A (7 cells)"
    lines: Any = [line for line in first.lines if line.get_marker() == "o"]
    points = [line.get_xdata()[0] for line in lines]
    np.testing.assert_allclose(points, [-30, 10, 2])
    colours = [line.get_color() for line in lines]
    down, up, unsure = colours
    handles: Any = figure.legends[0].legend_handles
    drawn = {handle.get_label(): handle.get_color() for handle in handles}
    assert drawn["read less"] == down
    assert drawn["read more"] == up
    assert drawn["interval holds 0: no shift is sure"] == unsure
    assert len({down, up, unsure}) == 3
    assert "% more than in controls; bars: 95 % interval" in said(figure)
    assert labels(second)[0] == "0"
    save(figure, tmp_path / "shift.png")
    assert (tmp_path / "shift.png").stat().st_size > 5000
    (only,) = attention_shifts(SHIFTS, conditions=["B"], most=1).axes
    assert labels(only) == ["0"]


def test_a_heat_map_has_the_largest_responses_first_and_dots_where_they_are_sure():
    table = SHIFTS.rename(columns={"shift": "response"})
    panel: Any = program_heatmap(table).axes[0]
    assert labels(panel) == ["B", "A"]
    np.testing.assert_allclose(panel.images[0].get_array(), [[0.5, 0, 0], [0.1, -0.3, 0.02]])
    dots = {tuple(int(x) for x in place) for place in panel.collections[0].get_offsets()}
    assert dots == {(0, 0), (0, 1), (1, 1)}
    assert panel.images[0].get_clim() == (-0.5, 0.5)
    figures = program_heatmap(table), program_heatmap(table, label="something")
    told = [figure.axes[1].get_ylabel() for figure in figures]
    assert told == ["change from controls, log", "something"]


@pytest.mark.parametrize("draw", [attention_shifts, program_heatmap])
def test_what_cannot_be_drawn_is_named(draw):
    table = SHIFTS.assign(response=SHIFTS["shift"])
    with pytest.raises(ValueError, match="no condition 'C'"):
        draw(table, conditions=["C"])
    with pytest.raises(ValueError, match="has the contexts 'a', 'b': choose one"):
        draw(table.assign(context=["a"] * 3 + ["b"] * 3))
    with pytest.raises(ValueError, match="has no row"):
        draw(table[:0])


def test_a_scatter_names_the_largest_responses_and_the_correlation():
    rng = np.random.default_rng(0)
    measured = rng.normal(size=30)
    predicted = measured + 0.1 * rng.normal(size=30)
    genes = [f"g{i}" for i in range(30)]
    axes = response_scatter(predicted, measured, genes, title="A+B", named=3).axes[0]
    wanted = [genes[i] for i in np.argsort(-np.abs(measured))[:3]]
    assert [text.get_text() for text in axes.texts] == wanted
    assert axes.get_title() == f"A+B   r = {np.corrcoef(predicted, measured)[0, 1]:.2f}"
    still = response_scatter(np.zeros(30), measured, genes).axes[0]
    assert still.get_title() == "r undefined"
    with pytest.raises(ValueError, match="30 predicted and 30 measured responses of 29 genes"):
        response_scatter(predicted, measured, genes[1:])


def test_names_lie_within_the_frame_and_apart_and_the_line_has_one(tmp_path):
    # Eight genes where one has room, at the edge of the frame.
    rng = np.random.default_rng(0)
    measured = 0.03 * rng.normal(size=500)
    measured[:8] = 1 + 0.02 * rng.normal(size=8)
    predicted = 0.8 * measured
    figure = response_scatter(predicted, measured, [f"ENSG{i:07d}" for i in range(500)])
    axes = figure.axes[0]
    frame, boxes = within(axes)
    assert 4 <= len(boxes) <= 8
    for number, (low, high) in enumerate(boxes):
        assert (low >= frame[0] - 1).all()
        assert (high <= frame[1] + 1).all()
        for other in boxes[:number]:
            assert (high <= other[0] + 0.5).any() or (other[1] <= low + 0.5).any()
    # On one scale, so that the line is the diagonal.
    assert axes.get_xlim() == axes.get_ylim()
    assert "predicted = measured" in said(figure)
    assert "a gene" in said(figure)
    save(figure, tmp_path / "scatter.png")


def test_what_does_not_respond_gets_no_name():
    axes = response_scatter(np.ones(3), np.zeros(3), ["a", "b", "c"]).axes[0]
    assert not axes.texts
    one = response_scatter(np.array([0.5]), np.array([0.6]), ["only"]).axes[0]
    assert [text.get_text() for text in one.texts] == ["only"]


def test_long_names_of_conditions_do_not_leave_their_panels():
    long = "Panobinostat@0.1+Trametinib (GSK1120212)@10"
    figure = attention_shifts(SHIFTS.replace({"condition": {"A": long, "B": f"{long}0"}}))
    figure.draw_without_rendering()
    first, second = (panel.title.get_window_extent() for panel in figure.axes)
    assert "\n" in figure.axes[0].get_title()
    assert first.x1 < second.x0
    # A wide name takes room from no square.
    table = SHIFTS.rename(columns={"shift": "response"}).replace({"condition": {"A": long}})
    figure = program_heatmap(table)
    figure.draw_without_rendering()
    assert figure.axes[0].get_window_extent().width > 100
