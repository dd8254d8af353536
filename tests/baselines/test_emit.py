"""From predicted means to predicted cells."""

import jax.random as jr
import numpy as np
import pytest

from scbig.baselines import predict_cells, shift_cells
from scbig.data import population

GENES = ("g0", "g1", "g2")


def nothing(conditions):
    return np.zeros((len(conditions), len(GENES)))


@pytest.fixture
def controls():
    values = np.array([[0, 1, 2], [0, 3, 0], [0, 2, 4], [0, 2, 2]], np.float32)
    return population([("control", values)], GENES)


def test_shifted_cells_have_exactly_the_predicted_mean_and_no_negatives():
    rng = np.random.default_rng(0)
    cells = (rng.gamma(1, size=(50, 20)) * (rng.uniform(size=(50, 20)) < 0.3)).astype(np.float32)
    mean = rng.uniform(0, 1, 20).astype(np.float32)
    assert (mean > cells.mean(0)).any()
    assert (mean < cells.mean(0)).any()
    shifted = shift_cells(cells, mean)
    np.testing.assert_allclose(shifted.mean(0), mean, rtol=1e-5)
    assert shifted.min() >= 0
    assert shifted.dtype == np.float32


def test_a_fall_scales_and_a_rise_adds(controls):
    shifted = shift_cells(controls.X, np.array([0.5, 1.0, 3.0]))
    assert shifted[:, 0].tolist() == [0.5, 0.5, 0.5, 0.5]
    assert shifted[:, 1].tolist() == [0.5, 1.5, 1.0, 1.0]
    assert shifted[:, 2].tolist() == [3, 1, 5, 3]


def test_a_negative_mean_becomes_zero(controls):
    assert (shift_cells(controls.X, np.array([-1.0, -0.1, 0.0])) == 0).all()


def test_negative_controls_are_an_error(controls):
    with pytest.raises(ValueError, match="must not be negative: the least value is -2"):
        shift_cells(controls.X - 2, np.ones(3))


def test_drawn_cells_are_controls_and_depend_on_the_key(controls):
    labels = ["A", "B"]
    draw = lambda seed: predict_cells(nothing, GENES, controls, labels, key=jr.key(seed), cells=40)
    run = lambda seed: np.asarray(draw(seed).X).reshape(2, 40, 3)
    rows = {tuple(row) for row in controls.X}
    assert {tuple(row) for row in run(0).reshape(-1, 3)} == rows
    assert (run(0) == run(0)).all()
    assert (run(0) != run(1)).any()
    assert (run(0)[0] != run(0)[1]).any()


def test_drawn_cells_have_the_mean_of_all_controls_plus_the_effect(controls):
    effect = np.array([[0.5, -1.0, 0.25]])
    drawn = predict_cells(lambda _: effect, GENES, controls, ["A"], key=jr.key(0), cells=3)
    np.testing.assert_allclose(np.asarray(drawn.X).mean(0), [0.5, 1, 2.25], rtol=1e-6)


def test_labels_stay_as_given_and_genes_are_found_by_name(controls):
    shuffled = controls[:, [2, 0, 1]]
    cells = predict_cells(nothing, GENES, shuffled, ["B+A", "ctrl+C"], key=jr.key(0))
    assert list(cells.obs["condition"]) == ["B+A"] * 4 + ["ctrl+C"] * 4
    assert tuple(cells.var_names) == GENES
    np.testing.assert_array_equal(np.asarray(cells.X)[:4], controls.X)


def test_bad_requests_are_errors(controls):
    broken = controls.copy()
    broken.X = np.full((4, 3), np.nan, np.float32)
    for arguments, message in [
        ((controls[:, :2], ["A"]), r"1 of 3 genes are missing"),
        ((controls, []), r"list of condition labels is needed: got \[\]"),
        ((controls, "A+B"), "list of condition labels is needed: got 'A.B'"),
        ((controls, ["A+A"]), "twice"),
        ((controls[:0], ["A"]), "at least one cell"),
        ((broken, ["A"]), "NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            predict_cells(lambda c: np.zeros((len(c), 3)), GENES, *arguments, key=jr.key(0))
    with pytest.raises(ValueError, match="cells must be positive"):
        predict_cells(nothing, GENES, controls, ["A"], key=jr.key(0), cells=0)
