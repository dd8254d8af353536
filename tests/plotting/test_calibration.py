"""Bins of what a prediction says of its error, and their picture."""

import pathlib
import runpy
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scbig.plotting import calibration, save

SCRIPT = pathlib.Path(__file__).parents[2] / "experiments" / "tools" / "calibration.py"


def test_errors_as_large_as_told_lie_on_the_line(tmp_path):
    rng = np.random.default_rng(0)
    told = rng.uniform(0.1, 1.0, 20_000)
    noise = np.full(20_000, 0.2)
    error = rng.normal(size=20_000) * np.sqrt(told**2 + noise**2)
    binned = runpy.run_path(str(SCRIPT))["binned"]
    table = pd.DataFrame({"both": told, "error": error, "noise": noise})
    bins = binned(table, "both")
    assert len(bins) == 10
    assert bins["number"].sum() == 20_000
    np.testing.assert_allclose(bins["error"], bins["told"], rtol=0.15, atol=0.03)
    assert (np.diff(bins["told"]) > 0).all()
    doubled = binned(table.assign(both=2 * told), "both")
    np.testing.assert_allclose(doubled["told"], 2 * bins["told"])
    figure = calibration({"right": bins, "too wide": doubled})
    lines: Any = figure.axes[0].lines
    np.testing.assert_allclose(lines[0].get_xdata(), bins["told"])
    np.testing.assert_allclose(lines[1].get_ydata(), doubled["error"])
    assert len({line.get_marker() for line in lines[:2]}) == 2
    save(figure, tmp_path / "calibration.png")


def test_what_cannot_be_drawn_is_named():
    zero = pd.DataFrame({"told": [0.0], "error": [1.0], "number": [3]})
    with pytest.raises(ValueError, match="no bin"):
        calibration({"a": zero})
    with pytest.raises(ValueError, match="one to 5 tables are drawn; got 0"):
        calibration({})
