"""Each metric of a perfect prediction, of the worst, and of cells that say nothing."""

import inspect
import math
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from scbig import metrics

NAN = math.nan
NAMES = ("A", "B", "A+B")
GENES = 24
seeds = st.integers(0, 2**16)
ASKED: dict[str, Any] = {
    "changed": "bh",
    "weighted": "controls",
    "wasserstein": True,
    "equal_cells": True,
    "unbiased": False,
    "components": 3,
    "max_cells": 8,
}


class Cases(NamedTuple):
    """What a column is of the truth, of its opposite, and of the controls themselves.

    **Fields:** `perfect` and `worst`, for all conditions alike, as a pair of bounds; `nothing`, of
    the controls as a prediction; `blank`, where no gene responds at all.
    """

    perfect: tuple[float, float]
    worst: tuple[float, float]
    nothing: tuple[float, float] | float
    blank: tuple[float, float] | float


ONE, ZERO, SOME = (1 - 1e-6, 1 + 1e-6), (-1e-6, 1e-6), (1e-3, math.inf)
ANY = (-math.inf, math.inf)
SHARE, LEAST = (0.0, 1.0), (-1 - 1e-6, -1 + 1e-6)
ERROR = Cases(ZERO, SOME, SOME, ZERO)
CASES = {
    "pearson_delta": Cases(ONE, LEAST, NAN, NAN),
    "pearson_delta_deg20": Cases(ONE, LEAST, NAN, NAN),
    "acc": Cases(ONE, ZERO, SHARE, ONE),
    "acc_deg20": Cases(ONE, ZERO, SHARE, ONE),
    "l2": ERROR,
    "mse": ERROR,
    "mae": ERROR,
    "pds": Cases(ONE, (0.0, 0.5), SHARE, (0.5, 0.5)),
    "discr_cos": Cases(ONE, LEAST, NAN, NAN),
    "e_distance": Cases((-1e-6, 1.0), (0.3, math.inf), (0.1, math.inf), ZERO),
    "wasserstein": Cases((0.0, 1.2), (0.8, math.inf), (0.6, math.inf), ZERO),
    "e_distance_floor": Cases((0.0, 1.0), (0.0, 1.0), (0.0, 1.0), ZERO),
    "wasserstein_floor": Cases((0.0, 1.2), (0.0, 1.2), (0.0, 1.2), ZERO),
    "des": Cases(ONE, LEAST, NAN, NAN),
    "de_jaccard": Cases(ONE, SHARE, ZERO, NAN),
    "de_recall": Cases(ONE, SHARE, ZERO, NAN),
    "de_precision": Cases(ONE, SHARE, NAN, NAN),
    "de_predicted": Cases((5, GENES), (5, GENES), ZERO, ZERO),
    "de_measured": Cases((5, GENES), (5, GENES), (5, GENES), ZERO),
    "wmse": Cases(ZERO, SOME, SOME, NAN),
    "r2_delta": Cases(ONE, (-math.inf, -2.0), (-math.inf, 0.999), NAN),
    "gi_pearson": Cases(ONE, (-math.inf, 0.99), ANY, NAN),
    "gi_error": Cases(ZERO, SOME, SOME, NAN),
    "gi_magnitude": Cases(ZERO, ANY, NAN, NAN),
    "gi_dominance": Cases(ZERO, ANY, NAN, NAN),
    "gi_fit": Cases(ZERO, ANY, NAN, NAN),
    "gi_similarity": Cases(ZERO, ANY, NAN, NAN),
}
OF_DOUBLES = [column for column in CASES if column.startswith("gi_")]


def labelled(groups) -> Any:
    labels = np.repeat([*groups], [len(own) for own in groups.values()])
    obs = pd.DataFrame({"condition": labels}, index=pd.Index([f"c{i}" for i in range(len(labels))]))
    var = pd.DataFrame(index=pd.Index([f"g{i}" for i in range(GENES)]))
    return ad.AnnData(np.concatenate([*groups.values()]), obs=obs, var=var)


def screen(seed):
    """Controls, and conditions that move them: by gene up or down, each in another way."""
    rng = np.random.default_rng(seed)
    controls = 2 + 0.1 * rng.normal(size=(16, GENES))
    # Far from zero, so that the opposite of a direction is the other one, and of the same size.
    effects = {name: rng.uniform(0.4, 0.9, GENES) * rng.choice([-1, 1], GENES) for name in NAMES}
    effects["A+B"] = 0.5 * (effects["A"] + effects["B"]) + 0.6 * effects["A+B"]
    effects["A+B"] += np.where(effects["A+B"] > 0, 0.4, -0.4)
    return controls, effects


def predictions(controls, effects, times):
    return labelled({name: controls + times * effects[name] for name in effects})


def check(table, which):
    assert list(table) == [*CASES], "a column without cases here, or cases without a column"
    for column, cases in CASES.items():
        expected = getattr(cases, which)
        rows = ["A+B"] if column in OF_DOUBLES else [*NAMES]
        for value in table.loc[rows, column]:
            if isinstance(expected, tuple):
                assert expected[0] <= value <= expected[1], (column, which, value)
            else:
                assert np.isnan(value), (column, which, value)


@settings(max_examples=4)
@given(seeds)
@pytest.mark.parametrize(("which", "times"), [("perfect", 1), ("worst", -1), ("nothing", 0)])
def test_every_column_of_a_prediction(which, times, seed):
    controls, effects = screen(seed)
    observed = labelled({"control": controls} | {n: controls + effects[n] for n in NAMES})
    singles = metrics.single_profiles(observed)
    guess = predictions(controls, effects, times)
    check(metrics.evaluate(guess, observed, singles=singles, **ASKED), which)


def test_every_column_where_nothing_varies():
    """All cells alike: no response, no spread, and of distances none either."""
    cells = np.full((8, GENES), 1.3)
    observed = labelled({"control": cells} | dict.fromkeys(NAMES, cells))
    guess, singles = labelled(dict.fromkeys(NAMES, cells)), metrics.single_profiles(observed)
    check(metrics.evaluate(guess, observed, singles=singles, **ASKED), "blank")


@settings(max_examples=4)
@given(seeds)
def test_every_column_of_one_cell_of_one_condition_with_a_constant_gene(seed):
    controls, effects = screen(seed)
    controls[:, 3], effects["A"][3] = 2.5, 0.0
    observed = labelled({"control": controls, "A": (controls + effects["A"])[:1]})
    guess = labelled({"A": (controls + effects["A"])[1:2]})
    singles = metrics.single_profiles(observed)
    asked: Any = ASKED | {"unbiased": True}
    row = metrics.evaluate(guess, observed, singles=singles, **asked).loc["A"]
    undefined = {"pds", "e_distance", "e_distance_floor", "wasserstein", "wasserstein_floor"}
    undefined |= {*OF_DOUBLES}
    # One cell against sixteen changes no gene for sure, and the shares are of none.
    told = {column for column in CASES if np.isnan(row[column])}
    assert undefined <= told <= undefined | {"des", "de_jaccard", "de_recall", "de_precision"}
    assert row["pearson_delta"] > 0.8
    assert row["r2_delta"] > 0.5


def test_the_functions_of_bad_and_of_empty_cases():
    rng = np.random.default_rng(0)
    truth, control = rng.normal(size=(2, 30))
    flat = np.full(30, 0.3)
    assert metrics.pearson(truth, -truth) == pytest.approx(-1)
    assert metrics.cosine(truth, -truth) == pytest.approx(-1)
    assert np.isnan(metrics.pearson(truth, flat))
    assert np.isnan(metrics.cosine(truth, 0 * truth))
    assert metrics.cosine(flat, flat) == pytest.approx(1)
    assert metrics.direction_accuracy(truth, -truth) == 0
    assert metrics.direction_accuracy(0 * truth, 0 * truth) == 1
    assert metrics.top_genes(0 * truth, 3).tolist() == [0, 1, 2]
    assert not metrics.response(flat, flat * (1 + 1e-9)).any()
    orders = np.eye(4)
    assert (metrics.discrimination_scores(orders, orders) == 1).all()
    assert (metrics.discrimination_scores(-orders, orders, distance="cosine") == 0).all()
    assert (metrics.discrimination_scores(0 * orders, orders) == 0.5).all()
    assert np.isnan(metrics.discrimination_scores(orders[:1], orders[:1])).all()
    cells = rng.normal(size=(9, 3))
    assert metrics.energy_distance(cells, cells, unbiased=False) == pytest.approx(0, abs=1e-9)
    far = metrics.energy_distance(cells, cells + 1e3)
    assert far == pytest.approx(2e3 * np.sqrt(3), rel=0.01)
    with pytest.raises(ValueError, match="at least 2 cells on both sides"):
        metrics.energy_distance(cells[:1], cells)
    with pytest.raises(ValueError, match="at least 2 cells"):
        metrics.fit_projection(cells[:1])
    assert (metrics.rank_sums(cells, cells).p > 0.9).all()
    assert (metrics.rank_sums(cells, cells + 99).p < 1e-3).all()
    assert (metrics.rank_sums(0 * cells, 0 * cells).p == 1).all()
    with pytest.raises(ValueError, match="needs cells on both sides"):
        metrics.rank_sums(cells[:0], cells)
    assert metrics.distance_correlation(truth, truth) == pytest.approx(1)
    assert metrics.distance_correlation(truth, rng.normal(size=30)) < 0.6
    assert np.isnan(metrics.distance_correlation(truth, flat))
    many = np.ones(30, bool)
    for fold in ("difference", "ratio"):
        up, down = np.abs(truth) + 2, np.abs(control) + 2
        assert metrics.des(up, up, down, many, fold=fold) == pytest.approx(1)
        assert np.isnan(metrics.des(down, up, down, many, fold=fold))
        changes = metrics.log_fold_changes(down, down, fold=fold)
        np.testing.assert_allclose(changes, 0, atol=1e-12)
    assert metrics.overlap(many, many)["de_jaccard"] == 1
    assert metrics.overlap(many, ~many)["de_precision"] == 0
    assert np.isnan(metrics.overlap(~many, ~many)["de_jaccard"])
    half = np.arange(30) < 15
    assert metrics.top_overlap(truth, truth, (many, many)) == 1
    assert metrics.top_overlap(truth, truth, (half, ~half)) == 0
    assert metrics.top_overlap(truth, truth, (~many, many)) == 0
    assert metrics.ahead("pds") == 1
    assert metrics.ahead("mse") == -1
    worst = metrics.weighted_scores(2 * control - truth, truth, control, many.astype(float))
    assert worst["r2_delta"] < -2
    still = metrics.interaction(0 * truth, truth, control)
    assert np.isnan([getattr(still, name) for name in vars(still)]).all()


def test_every_function_of_the_room_has_cases():
    """A public function that no test of a bad case names is one that nobody thought of."""
    rest = {
        # Tables, splits and readers, which have tests of bad inputs of their own.
        *("evaluate", "scored", "split_half", "halves", "summarise", "reference_of", "held_of"),
        *("mean_of_conditions", "single_profiles", "hold_controls", "support", "counted"),
        *("few_controls", "perturbed_genes", "named", "wanted_of"),
    }
    public = {
        name
        for name, own in vars(metrics).items()
        if callable(own) and not isinstance(own, type) and own.__module__.startswith("scbig.")
    }
    here = inspect.getsource(test_the_functions_of_bad_and_of_empty_cases)
    in_columns = {"response_scores", "changed_scores", "interaction_scores"}
    lacking = [n for n in public - rest - in_columns if f"metrics.{n}(" not in here]
    assert not lacking


def test_every_error_is_a_column():
    """A column that nobody told to be an error would be shown as a merit."""
    assert {*CASES} >= metrics.ERRORS
    assert {*CASES} >= metrics.RELIABILITIES
