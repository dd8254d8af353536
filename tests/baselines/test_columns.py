"""Predictions say what their columns are, and fit back into the metrics."""

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest

from scbig import metrics
from scbig.baselines import Additive, compare
from scbig.data import Columns, Screen, control_cells

from .test_protocol import make_cells

OWN = Columns(condition="perturbation", context="cell_line")


@pytest.fixture
def cells():
    return make_cells().copy()


def renamed(cells):
    cells = cells.copy()
    cells.obs = cells.obs.rename(columns={"condition": "perturbation", "line": "cell_line"})
    return cells


def read_back(adata, folder):
    adata.write_h5ad(folder / "predicted.h5ad")
    return ad.read_h5ad(folder / "predicted.h5ad")


def test_predictions_from_a_screen_are_scored_in_their_contexts(cells, tmp_path):
    cells = renamed(cells)
    screen = Screen.from_anndata(cells, OWN)
    predicted = Additive.fit(screen).predict(screen, ["B+A", "A"], key=jr.key(0))
    expected = metrics.evaluate(predicted, screen.to_anndata(), Columns(context="context"))
    assert expected.index.unique("context").tolist() == ["x", "y"]
    for guess in (predicted, read_back(predicted, tmp_path)):
        for found in (
            metrics.evaluate(guess, screen),
            metrics.evaluate(guess, cells, OWN),
            metrics.evaluate(guess, screen, OWN),
        ):
            pd.testing.assert_frame_equal(found, expected)


@pytest.mark.parametrize("keys", ["cell_line", ["cell_line", "day"]])
def test_predictions_from_cells_are_scored_by_the_users_columns(cells, tmp_path, keys):
    cells = renamed(cells)
    cells.obs["day"] = [{"x": "1", "y": "2"}[line] for line in cells.obs["cell_line"]]
    columns = Columns(condition="perturbation", context=keys)
    screen = Screen.from_anndata(cells, columns)
    controls = cells[cells.obs["perturbation"] == "control"].copy()
    predictor = Additive.fit(screen)
    # The controls' own labels stay beside the predicted ones, and are not mistaken for them.
    predicted = predictor.predict(controls, ["A"], Columns(context=keys), key=jr.key(0))
    again = predictor.predict(cells, ["A"], columns, key=jr.key(0))
    np.testing.assert_array_equal(np.asarray(again.X), np.asarray(predicted.X))
    expected = metrics.evaluate(predictor.predict(screen, ["A"], key=jr.key(0)), screen)
    assert len(expected) == 2
    for guess in (predicted, read_back(predicted, tmp_path)):
        pd.testing.assert_frame_equal(metrics.evaluate(guess, cells, columns), expected)
        pd.testing.assert_frame_equal(metrics.evaluate(guess, screen), expected)
        halves = metrics.split_half(guess, columns, controls=screen)
        assert halves.index.tolist() == expected.index.tolist()


def test_contexts_of_predictions_count_only_beside_others(cells):
    screen = Screen.from_anndata(cells, Columns(context="line"))
    predicted = Additive.fit(screen).predict(screen, ["A"], key=jr.key(0))
    assert metrics.evaluate(predicted, cells).index.tolist() == ["A"]
    del predicted.uns["scbig_columns"]
    pd.testing.assert_frame_equal(
        metrics.evaluate(predicted, cells), metrics.evaluate(predicted.copy(), cells, Columns())
    )


def test_columns_renamed_after_the_prediction_are_the_callers_to_name(cells):
    screen = Screen.from_anndata(cells, Columns(context="line"))
    predicted = Additive.fit(screen).predict(screen, ["A"], key=jr.key(0))
    expected = metrics.evaluate(predicted, screen)
    predicted.obs = pd.DataFrame(predicted.obs).rename(columns={"condition": "guess"})
    found = metrics.evaluate(predicted, screen, Columns(condition="guess", context="context"))
    pd.testing.assert_frame_equal(found, expected)


def test_recorded_conditions_do_not_follow_the_callers_spelling(cells):
    cells.obs["condition"] = [
        {"control": "AAVS1", "B+A": "B_A"}.get(label, label) for label in cells.obs["condition"]
    ]
    columns = Columns(control="AAVS1", separator="_")
    screen = Screen.from_anndata(cells, columns)
    predicted = Additive.fit(screen).predict(screen, ["A+B", "B"], key=jr.key(0))
    found = metrics.evaluate(predicted, cells, columns)
    assert found.index.tolist() == ["A+B", "B"]
    assert np.isfinite(found["mse"]).all()


def test_a_screen_is_compared_with_cells_that_have_their_own_columns(cells):
    cells = renamed(cells)
    screen = Screen.from_anndata(cells, OWN)
    predictors = {"additive": Additive.fit(screen)}
    options = {"key": jr.key(0), "components": 3}
    expected = compare(predictors, screen, screen, ["A", "B"], **options)
    for given in (screen, cells, cells[cells.obs["perturbation"] == "control"]):
        found = compare(predictors, given, cells, ["A", "B"], OWN, **options)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-5)


def test_a_comparison_reads_its_conditions_as_the_cells_labels(cells):
    cells.obs["condition"] = [
        {"control": "AAVS1", "B+A": "B_A"}.get(label, label) for label in cells.obs["condition"]
    ]
    columns = Columns(control="AAVS1", separator="_")
    screen = Screen.from_anndata(cells, columns)
    predictors = {"additive": Additive.fit(screen)}
    table = compare(predictors, cells, cells, ["A_B", "AAVS1_A"], columns, key=jr.key(0))
    assert table.loc["additive"].index.tolist() == ["A", "A+B"]
    # A predictor reads them so too, and writes what the library reads.
    found = predictors["additive"].predict(cells, ["B_A", "A"], columns, key=jr.key(0))
    assert found.obs["condition"].unique().tolist() == ["A+B", "A"]
    metrics.evaluate(found, cells, columns)
    for conditions, number in ((["AAVS1"], None), (["A_B"], 0)):
        with pytest.raises(ValueError, match="Nothing to compare"):
            compare(predictors, cells, cells, conditions, columns, key=jr.key(0), cells=number)


def test_of_cells_with_labels_the_controls_are_taken(cells):
    screen = Screen.from_anndata(cells, Columns(context="line"))
    predictor = Additive.fit(screen)
    controls = cells[cells.obs["condition"] == "control"].copy()
    predict = lambda given: predictor.predict(
        given, ["A"], key=jr.key(0), columns=Columns(context="line")
    )
    expected = predict(controls)
    unlabelled, numbered = controls.copy(), cells.copy()
    del unlabelled.obs["condition"]
    numbered.obs["condition"] = numbered.obs["condition"].replace("control", "non-targeting_3")
    for given in (cells, unlabelled, numbered):
        found = predict(given)
        np.testing.assert_array_equal(found.X, expected.X)
        assert found.obs["source"].tolist() == expected.obs["source"].tolist()
    guess = metrics.evaluate(expected, screen)
    for given in (cells, controls, unlabelled):
        found = metrics.evaluate(expected, screen, Columns(context="line"), controls=given)
        pd.testing.assert_frame_equal(found, guess)


def test_controls_are_found_by_the_callers_columns(cells):
    cells = renamed(cells)
    cells.obs["condition"] = "stimulated"  # of another meaning
    found, key = control_cells(cells, OWN)
    assert key == "cell_line"
    assert list(found.obs_names) == list(cells.obs_names[cells.obs["perturbation"] == "control"])
    assert set(found.obs["condition"]) == {"control"}
    assert set(cells.obs["condition"]) == {"stimulated"}


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("A", r"no control cells: no label in obs\['condition'\] means .*labels are 'A'\. If all"),
        (None, r"In the control cells: obs\['condition'\], the condition, is missing in 50 of"),
    ],
)
def test_labels_without_controls_are_an_error(cells, label, message):
    predictor = Additive.fit(Screen.from_anndata(cells))
    cells = cells[:50].copy()
    cells.obs["condition"] = label
    with pytest.raises(ValueError, match=message):
        predictor.predict(cells, ["A"], key=jr.key(0))
