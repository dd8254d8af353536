"""One part changed at a time, and errors held against what a prediction says of itself."""

import runpy

import numpy as np
import pandas as pd
import pytest

import scbig

from .small import EXPERIMENTS, SIMULATION, bare


@pytest.mark.slow
def test_one_part_is_changed_at_a_time(tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "ablation.py"))
    arms = ("scBIG", "random programs")
    given = {"simulation": SIMULATION, "model": bare(), "screens": (3,), "scored": 3}
    run = script["Ablation"](**given, out=tmp_path, only=arms)
    averages = script["main"](run)
    assert set(arms) <= {*averages.index}
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert (scores.groupby(["screen", "predictor"]).size() == 3).all()
    page = (tmp_path / "ablation.md").read_text()
    assert "3 unseen doubles of 1 simulated screens" in page
    pd.testing.assert_frame_equal(script["main"](run), averages)
    with pytest.raises(SystemExit, match="No arm 'nothing'"):
        script["main"](script["Ablation"](**given, out=tmp_path, only=("nothing",)))


@pytest.mark.slow
def test_errors_are_held_against_what_the_prediction_says_of_itself(tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "ensembles.py"))
    model = scbig.but(scbig.anchored(bare()), **{"stage2.members": 2})
    given = {"simulation": SIMULATION, "model": model, "screens": (3,), "scored": 3}
    told = script["main"](script["Ensembles"](**given, out=tmp_path))
    assert list(told.index) == ["noise", "anchor", "members", "both"]
    errors = pd.read_csv(tmp_path / "errors.csv")
    assert len(errors) == 3 * 40
    total = np.hypot(errors.anchor, errors.members)
    np.testing.assert_allclose(errors.both, total, rtol=1e-3, atol=1e-4)
    # Errors that a deviation tells exactly, and without noise.
    known = errors.assign(screen=3, error=errors.both, noise=0.0)
    exact = script["calibration"](known, "both")
    assert exact["genes"] == exact["conditions"] == pytest.approx(1.0)
    assert exact["covered"] == 1.0
