"""Figures: what they show, and that files appear whole or not at all."""

import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from scbig.plotting import comparison, save, training_curves

TABLE = pd.DataFrame(
    {"pearson_delta": [np.nan, 0.62, 0.85], "mse": [0.05, 0.03, 0.01], "pds": [0.5, -0.2, 0.9]},
    index=pd.Index(["control", "additive", "scBIG"], name="predictor"),
)
HISTORY = pd.DataFrame(
    {
        "step": [1, 2, 3],
        "flow": [3.0, 2.0, 1.0],
        "pearson": [-0.1, np.nan, 0.5],
        "note": list("abc"),
    }
)


def dots(panel):
    """The values and heights of a panel's dots, with their colours."""
    return [
        (*line.get_xydata()[0], line.get_color())
        for line in panel.lines
        if line.get_marker() == "o"
    ]


def test_comparison_shows_every_value_and_marks_scbig():
    figure = comparison(TABLE, metrics=["pearson_delta", "mse"])
    figure.draw_without_rendering()
    pearson, mse = figure.axes
    assert [label.get_text() for label in pearson.get_yticklabels()] == list(TABLE.index)
    assert [(x, y) for x, y, _ in dots(mse)] == [(0.05, 0), (0.03, 1), (0.01, 2)]
    assert [(x, y) for x, y, _ in dots(pearson)] == [(0.62, 1), (0.85, 2)]
    assert [text.get_text() for text in pearson.texts] == ["n/a", "0.620", "0.850"]
    assert pearson.get_title() == "pearson_delta\ncorrelation of responses"
    assert mse.get_title() == "mse\nsquared error of means\n(lower is better)"
    control, additive, scbig = (colour for *_, colour in dots(mse))
    assert control == additive != scbig
    assert dots(pearson)[-1][-1] == scbig
    assert mse.yaxis_inverted()


def test_comparison_keeps_numbers_inside_the_panels():
    names = [*(f"m{i}" for i in range(9))]
    values = np.random.default_rng(0).normal(size=(6, 9))
    table = pd.DataFrame(values, index=pd.Index([*"abcde", "scBIG"]), columns=pd.Index(names))
    figure = comparison(table, metrics=names)
    figure.draw_without_rendering()
    assert len(figure.axes) == 9
    for panel in figure.axes:
        frame = panel.get_window_extent()
        for text in panel.texts:
            box = text.get_window_extent()
            assert frame.x0 - 1 <= box.x0
            assert box.x1 <= frame.x1 + 1


def test_comparison_of_nothing_but_nan_can_be_drawn():
    comparison(TABLE.iloc[:1], metrics=["pearson_delta"]).draw_without_rendering()


def test_comparison_names_what_is_wrong():
    with pytest.raises(ValueError, match="not among the columns: 'accuracy'.*'pearson_delta'"):
        comparison(TABLE, metrics=["accuracy", "mse"])
    with pytest.raises(ValueError, match="0 metrics"):
        comparison(TABLE, metrics=[])
    with pytest.raises(ValueError, match="0 rows"):
        comparison(TABLE.iloc[:0], metrics=["mse"])
    with pytest.raises(ValueError, match="repeated: 'scBIG'"):
        comparison(pd.concat([TABLE, TABLE.iloc[2:]]), metrics=["mse"])


def test_training_curves_have_a_panel_for_each_loss():
    figure = training_curves(HISTORY)
    figure.draw_without_rendering()
    flow, pearson = figure.axes
    assert (flow.get_title(), flow.get_yscale()) == ("flow", "log")
    assert (pearson.get_title(), pearson.get_yscale()) == ("pearson", "linear")
    np.testing.assert_array_equal(flow.lines[0].get_xydata(), HISTORY[["step", "flow"]])
    np.testing.assert_array_equal(pearson.lines[0].get_xydata(), [[1, -0.1], [3, 0.5]])


def test_training_curves_name_what_is_wrong():
    with pytest.raises(ValueError, match=r"numeric column `step`.*'flow', 'pearson'"):
        training_curves(HISTORY.drop(columns="step"))
    with pytest.raises(ValueError, match="at least one loss"):
        training_curves(HISTORY.drop(columns=["flow", "pearson"]))
    with pytest.raises(ValueError, match="over 0 rows"):
        training_curves(HISTORY.iloc[:0])


MAGIC = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml", "PNG": b"\x89PNG"}


@pytest.mark.parametrize("suffix", MAGIC)
def test_save_writes_the_format_of_the_suffix(suffix, tmp_path):
    path = tmp_path / "new" / "folder" / f"figure.v1.{suffix}"
    save(training_curves(HISTORY), path)
    assert path.read_bytes().startswith(MAGIC[suffix])
    assert list(path.parent.iterdir()) == [path]
    save(training_curves(HISTORY), path)  # over the old one


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")

    def fails(self, target, **options):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fails)
    with pytest.raises(OSError, match="disk full"):
        save(Figure(), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.png, \.pdf, \.svg"):
        save(Figure(), tmp_path / "figure.jpg")


def test_no_pyplot_state_is_touched(tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    save(comparison(TABLE, metrics=["mse"]), tmp_path / "x.png")
    assert ("matplotlib.pyplot" in sys.modules) == before
