"""Shifts, responses and scatters: what is drawn where, and that it can be told apart."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from scbig.plotting import attention_shifts, program_heatmap, response_scatter, save

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
    assert len({*colours}) == 3
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
