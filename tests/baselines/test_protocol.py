"""One protocol for all predictors: the same starts under one key, whatever else is asked for."""

import inspect
import zlib
from collections.abc import Sequence

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest
from jaxtyping import Float

from scbig.baselines import AbstractEffects, Control, MatchingMean, _compare, compare, standard
from scbig.data import Columns, Condition, Screen
from scbig.priors import EmbeddingTable
from scbig.sampling import start_rows

LINE = Columns(context="line")
GENES = tuple(f"g{i}" for i in range(6))
SIZES = {"control": 9, "A": 5, "B": 6, "B+A": 7}


def make_cells():
    rng = np.random.default_rng(0)
    labels = [(label, line) for line in "xy" for label, size in SIZES.items() for _ in range(size)]
    values = np.log1p(rng.gamma(2.0, size=(len(labels), len(GENES)))).astype(np.float32)
    values[[label == "A" for label, _ in labels]] *= 1.5
    index = pd.Index([f"c{i}" for i in range(len(labels))])
    obs = pd.DataFrame(labels, columns=pd.Index(["condition", "line"]), index=index)
    return ad.AnnData(values, obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))


@pytest.fixture
def cells():
    return make_cells()


@pytest.fixture
def screen(cells):
    return Screen.from_anndata(cells, LINE)


@pytest.fixture
def controls(cells):
    return cells[cells.obs["condition"] == "control"].copy()


def fit_all(screen):
    vectors = np.random.default_rng(1).normal(size=(2, 3)).astype(np.float32)
    predictors = standard(screen, EmbeddingTable(("A", "B"), vectors))
    return {**predictors, "matching mean": MatchingMean.fit(screen), "twice": Twice.fit(screen)}


def test_the_rows_of_every_comparison(screen):
    table = EmbeddingTable(("A", "B"), np.eye(2, dtype=np.float32))
    assert list(standard(screen, table)) == [
        "control",
        "perturbed mean",
        "linear",
        "additive",
        "additive x slope",
        "residual transfer",
        "mixed effects",
        "anchor",
    ]


class Twice(AbstractEffects):
    """A user's own baseline: every perturbation does twice the mean of what was measured."""

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]
    change: Float[np.ndarray, " genes"]

    @classmethod
    def fit(cls, screen: Screen) -> "Twice":
        found = screen.responses()
        change = 2 * found.by_condition().mean(axis=0)
        return cls(genes=screen.genes, control_mean=found.control_mean(), change=change)

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        return np.stack([0 * self.change if c.is_control else self.change for c in conditions])


def test_a_baseline_of_ones_own_is_a_short_subclass(screen, cells, controls):
    assert len(inspect.getsource(Twice).splitlines()) < 30
    twice = Twice.fit(screen)
    table = compare({"twice": twice}, controls, cells, ["A"], LINE, key=jr.key(0))
    assert table.loc["twice"].shape == (2, 10)
    predicted = twice.predict(controls, ["A"], key=jr.key(0))
    expected = np.asarray(controls.X).mean(axis=0) + twice.change
    np.testing.assert_allclose(np.asarray(predicted.X).mean(axis=0), expected, rtol=1e-5)


def test_what_every_predictor_shares_cannot_be_said_twice():
    for method in (AbstractEffects.predict, AbstractEffects.mean):
        assert getattr(method, "__final__", False)
    with pytest.raises(TypeError, match="abstract"):
        AbstractEffects()  # pyright: ignore[reportAbstractUsage, reportCallIssue]


@pytest.mark.parametrize("size", [4, 30])
def test_under_one_key_all_predictors_start_from_the_same_controls(screen, controls, size):
    options = {"key": jr.key(3), "cells": size, "columns": Columns(context="line")}
    starts = {
        name: predictor.predict(controls, ["B+A", "B"], **options).obs["source"].tolist()
        for name, predictor in fit_all(screen).items()
    }
    assert len({tuple(names) for names in starts.values()}) == 1
    # The rule by which a trained model draws, written out.
    expected = []
    for line in "xy":
        own = controls.obs_names[controls.obs["line"] == line]
        for name in ("A+B", "B"):
            key = jr.fold_in(jr.key(3), zlib.crc32(f"{line}\n{name}".encode()))
            expected += own[np.asarray(jr.choice(key, 9, (size,), replace=size > 9))].tolist()
    assert starts["control"] == expected


def test_a_prediction_does_not_depend_on_what_else_is_asked_for(screen, controls):
    options = {"key": jr.key(0), "cells": 5, "columns": Columns(context="line")}
    for name, predictor in fit_all(screen).items():
        of = lambda cells, line: cells[
            (
                (cells.obs["condition"].isin(["A", "A+ctrl"])) & (cells.obs["line"] == line)
            ).to_numpy()
        ]
        alone = predictor.predict(controls, ["A"], **options)
        for asked in (["A", "B"], ["B", "A+B", "A"], ["A+ctrl"]):
            among = predictor.predict(controls, asked, **options)
            for line in "xy":
                found, expected = of(among, line), of(alone, line)
                np.testing.assert_array_equal(found.X, expected.X, err_msg=name)
                assert list(found.obs["source"]) == list(expected.obs["source"])
        one_line = controls[controls.obs["line"] == "y"]
        found = predictor.predict(one_line, ["A"], **options)
        np.testing.assert_array_equal(found.X, of(alone, "y").X, err_msg=name)


def test_starts_are_drawn_without_replacement_where_there_are_enough():
    draw = lambda cells, seed=0: start_rows(
        np.arange(10, 20), Condition(("A",)), "x", cells, key=jr.key(seed)
    )
    assert sorted(draw(10)) == [*range(10, 20)]
    assert len(set(draw(5))) == 5
    assert len(draw(50)) == 50
    assert list(draw(None)) == [*range(10, 20)]
    assert list(draw(10)) != list(draw(10, 1))
    with pytest.raises(ValueError, match="got 0 cells of 10 controls"):
        draw(0)


def test_a_screen_predicts_as_its_control_cells_do(screen, controls, tmp_path, cells):
    cells.write_h5ad(tmp_path / "screen.h5ad")
    stored = Screen.open(tmp_path / "screen.h5ad", LINE)
    for name, predictor in fit_all(screen).items():
        expected = predictor.predict(
            controls, ["A"], key=jr.key(0), cells=4, columns=Columns(context="line")
        )
        for given in (screen, stored, screen.controls):
            found = predictor.predict(given, ["A"], key=jr.key(0), cells=4)
            np.testing.assert_array_equal(found.X, expected.X, err_msg=name)
            assert list(found.obs["context"]) == list(expected.obs["line"])
        with pytest.raises(ValueError, match="leave out context='line'"):
            predictor.predict(screen, ["A"], key=jr.key(0), columns=Columns(context="line"))


def test_a_comparison_takes_screens_in_memory_or_on_disk(screen, cells, controls, tmp_path):
    cells.write_h5ad(tmp_path / "screen.h5ad")
    stored = Screen.open(tmp_path / "screen.h5ad", LINE)
    options = {"key": jr.key(0), "cells": 6, "unbiased": True, "components": 3}
    predictors = fit_all(screen)
    expected = compare(predictors, controls, cells, ["A", "B+A"], LINE, **options)
    assert expected.index.unique("condition").tolist() == ["A", "A+B"]
    for given in (screen, stored):
        found = compare(predictors, given, given, ["A", "A+B"], **options)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-5)


class Counting:
    """Predicts by another predictor, and keeps what was asked and how large the answer was."""

    def __init__(self, predictor):
        self.predictor = predictor
        self.asked = []

    def predict(self, controls, conditions, **options):
        predicted = self.predictor.predict(controls, conditions, **options)
        self.asked.append((list(conditions), predicted.n_obs))
        return predicted


def test_few_cells_are_predicted_at_a_time_and_the_scores_are_the_same(
    screen, cells, controls, monkeypatch
):
    options = {"key": jr.key(0), "cells": 3, "max_cells": 5, "components": 3}
    labels = ["A", "B", "A+B"]
    run = lambda: compare({"it": spy}, controls, cells, labels, LINE, **options)
    spy = Counting(Twice.fit(screen))
    expected = run()
    assert spy.asked == [(["A", "A+B", "B"], 3 * 2 * 3)]
    monkeypatch.setattr(_compare, "MOST_BYTES", 1)
    spy = Counting(Twice.fit(screen))
    pd.testing.assert_frame_equal(run(), expected)
    assert spy.asked == [(["A"], 6), (["A+B"], 6), (["B"], 6)]


def test_a_predictor_that_leaves_something_out_is_named(screen, cells, controls):
    class Lazy:
        def predict(self, controls, conditions, **options):
            return Control.fit(screen).predict(controls, conditions[:1], **options)

    lazy: dict = {"lazy": Lazy()}
    with pytest.raises(ValueError, match=r"'lazy' left out 2 .*: 'B in x', 'B in y'"):
        compare(lazy, controls, cells, ["A", "B"], LINE, key=jr.key(0))
