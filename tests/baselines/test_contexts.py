"""Predictors in several contexts: from each one's own controls, compared within each."""

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest

from scbig import metrics
from scbig.baselines import (
    Additive,
    Control,
    MatchingMean,
    MixedResponses,
    PerturbedMean,
    Predictor,
    averages,
    compare,
    margins,
    predict_cells,
)
from scbig.data import Columns, Condition, Screen
from scbig.response import MixedEffects

GENES = [f"g{i}" for i in range(6)]
LINES = {"x": 1.0, "y": 4.0}  # what a line adds to every gene


LINE = Columns(context="line")


def nothing(conditions):
    return np.zeros((len(conditions), len(GENES)))


def make_cells(seed=0, conditions=("control", "A", "B", "A+B"), size=8):
    rng = np.random.default_rng(seed)
    blocks, labels, lines = [], [], []
    for line, level in LINES.items():
        for label in conditions:
            centre = level + np.random.default_rng([*label.encode()]).uniform(0, 3, len(GENES))
            blocks.append(centre + rng.uniform(0, 0.9, (size, len(GENES))))
            labels += [label] * size
            lines += [line] * size
    index = pd.Index([f"c{i}" for i in range(len(labels))])
    obs = pd.DataFrame({"condition": labels, "line": lines}, index=index)
    cells = ad.AnnData(np.concatenate(blocks).astype(np.float32), obs=obs)
    cells.var_names = GENES
    return cells[rng.permutation(cells.n_obs)].copy()


@pytest.fixture
def cells():
    return make_cells()


@pytest.fixture
def screen(cells):
    return Screen.from_anndata(cells, Columns(context="line"))


@pytest.fixture
def controls(cells):
    return cells[cells.obs["condition"] == "control"]


def values(cells, **chosen):
    mask = np.ones(cells.n_obs, bool)
    for key, value in chosen.items():
        mask &= (cells.obs[key] == value).to_numpy()
    return np.asarray(cells.X)[mask].astype(float)


def fit_all(screen):
    return {
        "control": Control.fit(screen),
        "perturbed mean": PerturbedMean.fit(screen),
        "matching mean": MatchingMean.fit(screen),
        "additive": Additive.fit(screen),
    }


def test_effects_are_added_to_the_control_mean_of_each_context(screen, cells, controls):
    change = lambda label: np.mean(
        [
            values(cells, condition=label, line=line).mean(0) - values(controls, line=line).mean(0)
            for line in LINES
        ],
        axis=0,
    )
    single = {label: change(label) for label in ("A", "B", "A+B")}
    expected = {
        "control": 0.0,
        "perturbed mean": np.mean([*single.values()], axis=0),
        "matching mean": (single["A"] + single["B"]) / 2,
        "additive": single["A"] + single["B"],
    }
    for name, predictor in fit_all(screen).items():
        predicted = predictor.predict(controls, ["B+A", "A"], key=jr.key(0), columns=LINE)
        assert predicted.n_obs == 2 * controls.n_obs
        for line in LINES:
            found = values(predicted, condition="B+A", line=line)
            centre = values(controls, line=line).mean(0) + expected[name]
            np.testing.assert_allclose(
                found.mean(0), np.maximum(centre, 0), rtol=1e-4, err_msg=name
            )
            assert (found.std(0) > 0).all()


def test_mixed_effects_are_those_of_each_context(cells, screen, controls):
    """Each line has its own measured change; controls of an unknown line what both share."""
    change = lambda label, line: (
        values(cells, condition=label, line=line).mean(0) - values(controls, line=line).mean(0)
    )
    rows = [(label, line) for label in ("A", "A+B", "B") for line in LINES]
    changes = np.array([change(*row) for row in rows])
    conditions, lines = [Condition.parse(label) for label, _ in rows], [line for _, line in rows]
    origin = np.mean([values(controls, line=line).mean(0) for line in LINES], axis=0)
    method = MixedEffects(across=(0.3,))
    fitted = method.fit(conditions, changes, contexts=lines, origin=origin, genes=GENES)
    mixed = MixedResponses.fit(screen, method)
    predicted = mixed.predict(controls, ["B+A", "A"], key=jr.key(0), columns=LINE)
    for label in ("A+B", "A"):
        for line in LINES:
            effect = fitted.means([Condition.parse(label)], [line])[0]
            centre = values(controls, line=line).mean(0) + effect
            spelled = "B+A" if label == "A+B" else label
            found = values(predicted, condition=spelled, line=line).mean(0)
            np.testing.assert_allclose(found, np.maximum(centre, 0), rtol=1e-3)
    alone = controls[controls.obs["line"] == "y"]
    shared = mixed.predict(alone, ["A"], key=jr.key(0))
    centre = values(alone).mean(0) + fitted.means([Condition(("A",))])[0]
    np.testing.assert_allclose(values(shared).mean(0), np.maximum(centre, 0), rtol=1e-3)
    np.testing.assert_array_equal(mixed.effects([Condition()], "x"), 0)


def test_drawn_cells_are_of_their_own_context(controls):
    draw = lambda seed: predict_cells(
        nothing, GENES, controls, ["A", "B"], key=jr.key(seed), cells=30, columns=LINE
    )
    predicted = draw(0)
    assert predicted.n_obs == 2 * 2 * 30
    assert predicted.obs_names.is_unique
    for line in LINES:
        own = {tuple(row) for row in values(controls, line=line)}
        for label in ("A", "B"):
            found = values(predicted, line=line, condition=label)
            assert len(found) == 30
            assert {tuple(row) for row in found} == own
    # Contexts, conditions and keys each draw anew.
    index = {tuple(row): i for line in LINES for i, row in enumerate(values(controls, line=line))}
    drawn = [
        [index[tuple(row)] for row in values(cells, line=line, condition=label)]
        for cells in (predicted, draw(1))
        for line in LINES
        for label in ("A", "B")
    ]
    assert len({tuple(order) for order in drawn}) == 8


def test_one_context_is_as_none(controls, screen):
    alone = controls[controls.obs["line"] == "y"]
    predictor = Additive.fit(screen)
    expected = predictor.predict(alone, ["A", "A+B"], key=jr.key(0))
    found = predictor.predict(alone, ["A", "A+B"], columns=LINE, key=jr.key(0))
    assert set(expected.obs) == {"condition", "line", "source"}
    assert set(found.obs["line"]) == {"y"}
    np.testing.assert_array_equal(np.asarray(found.X), np.asarray(expected.X))


def test_the_context_column_stays_as_it_is(controls):
    controls = controls.copy()
    controls.obs["line"] = [7 if line == "x" else 30 for line in controls.obs["line"]]
    predicted = predict_cells(nothing, GENES, controls, ["A"], key=jr.key(0), columns=LINE)
    assert predicted.obs["line"].dtype.kind == "i"
    for number in (7, 30):
        np.testing.assert_array_equal(values(predicted, line=number), values(controls, line=number))


def test_several_columns_make_a_context(controls):
    controls = controls.copy()
    controls.obs["day"] = ["1", "2"] * 8
    keys = ["line", "day"]
    change = lambda conditions: np.ones((len(conditions), len(GENES)))
    found = predict_cells(
        change, GENES, controls, ["A"], key=jr.key(0), columns=Columns(context=keys)
    )
    for line in LINES:
        for day in "12":
            moved = values(found, line=line, day=day).mean(0)
            expected = values(controls, line=line, day=day).mean(0) + 1
            np.testing.assert_allclose(moved, expected, rtol=1e-5)


def test_bad_contexts_are_errors(controls):
    run = lambda controls, key: predict_cells(
        nothing, GENES, controls, ["A"], key=jr.key(0), columns=Columns(context=key)
    )
    with pytest.raises(ValueError, match="no column 'batch' for the context; it has .*'line'"):
        run(controls, "batch")
    with pytest.raises(ValueError, match="must not be obs..condition"):
        run(controls, "condition")
    with pytest.raises(ValueError, match="must not be obs..condition"):
        run(controls, ["line", "condition"])
    with pytest.raises(ValueError, match="names no column"):
        run(controls, [])
    missing = controls.copy()
    missing.obs["line"] = ["x"] * (controls.n_obs - 1) + [None]
    with pytest.raises(ValueError, match="the context, is missing in 1 of 16 cells"):
        run(missing, "line")


class Recorder:
    """Predicts by another predictor, and keeps the contexts asked for."""

    def __init__(self, predictor):
        self.predictor = predictor
        self.asked = []

    def predict(self, controls, conditions, columns=Columns(), *, key, cells=None):
        self.asked.append((len(conditions), cells, columns))
        options = {"cells": cells, "columns": columns}
        return self.predictor.predict(controls, conditions, key=key, **options)


def test_a_comparison_has_every_predictor_in_every_context(screen, cells, controls):
    spy = Recorder(Additive.fit(screen))
    assert isinstance(spy, Predictor)
    predictors = {"spy": spy, **fit_all(screen)}
    options = {"key": jr.key(0), "columns": LINE, "components": 3}
    table = compare(predictors, controls, cells, ["A+B", "A"], **options)
    assert spy.asked == [(2, None, LINE)]
    assert table.index.names == ["predictor", "context", "condition"]
    assert table.index.unique("predictor").tolist() == [*predictors, "split-half"]
    for name, predictor in predictors.items():
        guess = predictor.predict(controls, ["A+B", "A"], key=jr.key(0), columns=LINE)
        for line in LINES:
            alone = metrics.evaluate(
                guess[guess.obs["line"] == line],
                cells[cells.obs["line"] == line],
                components=3,
            )
            pd.testing.assert_frame_equal(table.loc[name].loc[line], alone)
    summary = averages(table)
    assert list(summary.index) == [*predictors, "split-half"]
    four = table.loc["additive", "mse"]
    assert len(four) == 4
    assert summary.loc["additive", "mse"] == pytest.approx(sum(four) / 4)
    ahead = margins(table, "additive", "mse")
    assert ahead.loc["matching mean", "conditions"] == 4
    difference = summary.loc["additive", "mse"] - summary.loc["matching mean", "mse"]
    assert ahead.loc["matching mean", "mean"] == pytest.approx(difference)


def test_measured_cells_of_other_contexts_play_no_part(screen, cells, controls):
    predictors = fit_all(screen)
    options = {"key": jr.key(0), "columns": LINE}
    found = compare(predictors, controls[controls.obs["line"] == "y"], cells, ["A", "B"], **options)
    assert found.index.unique("context").tolist() == ["y"]
    both = compare(predictors, controls, cells, ["A", "B"], **options)
    expected = both.xs("y", level="context", drop_level=False)
    pd.testing.assert_frame_equal(found, expected)


def test_a_comparison_names_what_was_not_measured_in_a_context(screen, cells, controls):
    mask = (cells.obs["line"] == "y") & (cells.obs["condition"] == "B")
    partly = cells[~mask.to_numpy()]
    with pytest.raises(ValueError, match=r"1 .* not among the observed cells: 'B in y'"):
        compare(fit_all(screen), controls, partly, ["A", "B"], LINE, key=jr.key(0))


def test_a_predictor_that_knows_no_contexts_can_be_compared_without_any(screen, cells, controls):
    class Plain:
        def predict(self, controls, conditions, *, key):
            return Control.fit(screen).predict(controls, conditions, key=key)

    plain: dict = {"plain": Plain()}
    table = compare(plain, controls, cells, ["A"], key=jr.key(0))
    assert table.index.names == ["predictor", "condition"]
    with pytest.raises(TypeError, match="columns"):
        compare(plain, controls, cells, ["A"], LINE, key=jr.key(0))
