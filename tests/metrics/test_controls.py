"""Noise that prediction and measurement share through their controls, and how many there are."""

import warnings
from typing import Any

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from scbig import metrics
from scbig.baselines import Control, PerturbedMean, compare
from scbig.data import Columns, Screen

LINE = Columns(context="line")


def labelled(values, conditions, lines=None) -> Any:
    obs = pd.DataFrame({"condition": conditions})
    if lines is not None:
        obs["line"] = lines
    obs.index = pd.Index([f"c{row}" for row in range(len(obs))])
    var = pd.DataFrame(index=pd.Index([f"g{i}" for i in range(values.shape[1])]))
    return ad.AnnData(values, obs=obs, var=var)


def nothing(seed, *, controls=100, genes=800) -> Any:
    """Perturbations that do nothing: cells of one population under the names of many."""
    names = ["control"] * controls + [f"P{i}" for i in range(20) for _ in range(40)]
    rng = np.random.default_rng(seed)
    return labelled(rng.gamma(9, 0.1, (len(names), genes)).astype(np.float32), names)


TEST = [f"P{i}" for i in range(15, 20)]


def common_change(training, controls, observed, **options) -> float:
    """The mean score of what all training perturbations do on average."""
    options |= {"reference": controls[:3].copy(), "max_cells": 2}  # distances are of no interest
    train = Screen.from_anndata(training).without(TEST)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = compare(
            {"mean": PerturbedMean.fit(train)}, controls, observed, TEST, key=jr.key(0), **options
        )
    return float(table.loc["mean", "pearson_delta"].mean())


def test_a_common_change_scores_by_the_noise_of_shared_controls_alone():
    shared, apart, known, closed = [], [], [], []
    for seed in range(2):
        cells = nothing(seed)
        kept, held = metrics.hold_controls(cells, seed=seed)
        shared.append(common_change(cells, cells, cells))
        apart.append(common_change(kept, kept, cells, held_controls=held))
        # A predictor that was fitted on all controls knows the noise of the held ones.
        known.append(common_change(cells, kept, cells, held_controls=held))
        # The same without the library: both responses from one mean, and from two.
        values = [cells.X[(cells.obs["condition"] == n).to_numpy()] for n in ("control", *TEST)]
        trained = ~cells.obs["condition"].isin(["control", *TEST]).to_numpy()
        origin, change = values[0].mean(0), cells.X[trained].mean(0) - values[0].mean(0)
        closed.append([stats.pearsonr(change, x.mean(0) - origin)[0] for x in values[1:]])
    assert np.mean(shared) == pytest.approx(np.mean(closed), abs=0.01)
    # 1/100 of a cell's variance is common; a measured response has 1/40 more, a trained one 1/600.
    expected = 0.01 / np.sqrt((0.01 + 1 / 40) * (0.01 + 1 / 600))
    assert np.mean(shared) == pytest.approx(expected, abs=0.08)
    assert np.mean(shared) > 0.4
    assert abs(np.mean(apart)) < 0.08
    assert np.mean(known) > 0.2


@pytest.mark.parametrize("storage", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_each_side_is_measured_from_its_own_controls(storage):
    rng = np.random.default_rng(0)
    names = ["control"] * 20 + ["A"] * 8 + ["B"] * 9 + ["A+B"] * 9
    make = lambda: np.log1p(rng.poisson(2.0, (len(names), 30)) * rng.uniform(0.5, 2, 30))
    predicted, observed = labelled(make(), names), labelled(storage(make()), names)
    kept, held = metrics.hold_controls(observed, seed=3)
    # So far from the others that the genes called changed tell which were taken.
    own = held.to_df().to_numpy()
    held.X = storage(np.where(np.arange(30) < 6, own + 2.5, 0.75 * own))
    singles = metrics.single_profiles(predicted)
    asked: dict[str, Any] = {"changed": "bonferroni", "weighted": "controls", "singles": singles}
    seen = {"held": lambda _, __, controls: controls.sum()}
    table: Any = metrics.evaluate(predicted, kept, held_controls=held, metrics=seen, **asked)
    dense = lambda cells, name: np.asarray(
        pd.DataFrame(cells.to_df())[(cells.obs["condition"] == name).to_numpy()]
    )
    start, origin = dense(kept, "control"), dense(held, "control")
    assert len(start) == len(origin) == 10
    np.testing.assert_allclose(table["held"], origin.sum())
    p = {}
    for name in ("A", "B", "A+B"):
        row, guess, truth = table.loc[name], dense(predicted, name), dense(observed, name)
        delta = guess.mean(0) - start.mean(0), truth.mean(0) - origin.mean(0)
        assert row["pearson_delta"] == pytest.approx(stats.pearsonr(*delta)[0])
        assert row["acc"] == np.mean((delta[0] > 0) == (delta[1] > 0))
        assert row["l2"] == pytest.approx(np.linalg.norm(guess.mean(0) - truth.mean(0)))
        test = lambda *own: stats.mannwhitneyu(*own, method="asymptotic").pvalue * 30 < 0.05
        p[name] = test(guess, start), test(truth, origin)
        assert [row["de_predicted"], row["de_measured"]] == [own.sum() for own in p[name]]
        assert p[name][1].sum() >= 5
        fold: Any = stats.spearmanr(*(own[p[name][1]] for own in delta))
        assert row["des"] == pytest.approx(fold.statistic)
        t: Any = stats.ttest_ind(truth, origin)
        share = np.abs(t.statistic) / np.abs(t.statistic).sum()
        spread = share @ (delta[1] - share @ delta[1]) ** 2
        r2 = 1 - share @ (delta[0] - delta[1]) ** 2 / spread
        assert row["r2_delta"] == pytest.approx(r2)
        changes = delta
    # The last is the double: its deviations from the sum of singles, each from its own controls.
    sums = [sum(singles.loc[("", part)] - own.mean(0) for part in "AB") for own in (start, origin)]
    away = [own - total for own, total in zip(changes, sums, strict=True)]
    assert table.loc["A+B", "gi_pearson"] == pytest.approx(stats.pearsonr(*away)[0], rel=1e-5)
    # PDS of responses: `A` is as near to each measured response as the sum of its differences says.
    rank = lambda name: [
        np.abs(
            dense(predicted, name).mean(0) - start.mean(0) - dense(observed, o).mean(0)
            + origin.mean(0)
        ).sum()
        for o in ("A", "B", "A+B")
    ]  # fmt: skip
    near = rank("A")
    assert table.loc["A", "pds"] == 1 - np.sum(np.array(near) < near[0]) / 2


@pytest.mark.parametrize(
    "kind", [lambda a: a, lambda a: Screen.from_anndata(a, LINE)], ids=["AnnData", "Screen"]
)
def test_halves_of_controls_are_disjoint_and_within_contexts(kind):
    rng = np.random.default_rng(0)
    names = ["control"] * 7 + ["A"] * 3 + ["control"] * 4 + ["B"] * 2
    cells = labelled(rng.gamma(9, 0.1, (16, 5)).astype(np.float32), names, list("x" * 10 + "y" * 6))
    screen: Any = kind(cells)
    columns = Columns() if isinstance(screen, Screen) else LINE
    kept, held = metrics.hold_controls(screen, columns, seed=1)
    sizes = lambda own: metrics.support(own, columns)["controls"].to_dict()
    assert sizes(kept) == {("x", "A"): 4, ("y", "B"): 2}
    rows = lambda own: {
        np.asarray(row).tobytes()
        for row in (own.expression.toarray() if isinstance(own, Screen) else np.asarray(own.X))
    }
    assert len(rows(held)) == 5
    assert not rows(held) & rows(kept)
    assert rows(held) | rows(kept) == rows(screen)
    again, _ = metrics.hold_controls(screen, columns, seed=1)
    other, _ = metrics.hold_controls(screen, columns, seed=2)
    assert rows(again) == rows(kept) != rows(other)
    guess: Any = screen.to_anndata() if isinstance(screen, Screen) else cells.copy()
    guess = guess[(guess.obs["condition"] != "control").to_numpy()].copy()
    context = Columns(context="context") if isinstance(screen, Screen) else LINE
    table = metrics.evaluate(guess, kept, context, held_controls=held)
    assert np.isfinite(table["pearson_delta"]).all()


def test_held_controls_that_are_not_apart_are_refused():
    cells = nothing(0, genes=12)
    kept, held = metrics.hold_controls(cells)
    guess = cells[(cells.obs["condition"] == "P3").to_numpy()].copy()
    with pytest.raises(ValueError, match="50 of 50 held controls are also among the controls"):
        metrics.evaluate(guess, cells, held_controls=held)
    with pytest.raises(ValueError, match="50 of 50 held controls are also among"):
        metrics.evaluate(guess, kept, held_controls=kept)
    origin = metrics.mean_of_conditions(cells)
    with pytest.raises(ValueError, match="give only one"):
        metrics.evaluate(guess, kept, held_controls=held, origin=origin)
    with pytest.raises(ValueError, match="The held control cells do not have the genes"):
        metrics.evaluate(guess, kept, held_controls=held[:, :9].copy())
    few = cells[(cells.obs["condition"] == "P3").to_numpy() | (np.arange(cells.n_obs) < 1)].copy()
    with pytest.raises(ValueError, match="Controls of 1 contexts are too few .*'' has 1"):
        metrics.hold_controls(few)
    alone = cells[:8].copy()
    alone.obs = alone.obs.drop(columns="condition")
    assert [own.n_obs for own in metrics.hold_controls(alone)] == [4, 4]


def test_the_cells_that_a_score_rests_on_are_counted():
    rng = np.random.default_rng(0)
    names = ["control"] * 7 + ["A"] * 3 + ["control"] * 4 + ["A"] * 2 + ["B+ctrl"]
    cells = labelled(rng.gamma(9, 0.1, (17, 5)), names, list("x" * 10 + "y" * 7))
    table = metrics.support(cells, LINE)
    expected = {("x", "A"): (3, 7), ("y", "A"): (2, 4), ("y", "B"): (1, 4)}
    assert {k: tuple(row) for k, row in zip(table.index, table.to_numpy(), strict=True)} == expected
    pooled = metrics.support(cells, controls=cells[:2].copy())
    assert pooled.loc["A"].to_dict() == {"cells": 5, "controls": 2}
    with pytest.raises(ValueError, match="no control cells among the observed"):
        metrics.support(cells[7:10].copy())


def test_few_controls_are_told():
    cells = nothing(0, controls=300, genes=12)
    screen = Screen.from_anndata(cells)
    run = lambda start, **more: compare(
        {"none": Control.fit(screen)}, start, screen, ["P1"], key=jr.key(0), **more
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(screen)
    kept, held = metrics.hold_controls(screen)
    with pytest.warns(UserWarning, match="There are 150 control cells, of which there should be"):
        run(kept, held_controls=held)
    lines = labelled(np.asarray(cells.X), cells.obs["condition"].to_numpy(), "x")
    lines.obs.loc[lines.obs_names[::2], "line"] = "y"
    said = r"2 contexts have too few control cells, .* 300: 'x \(150\)', 'y \(150\)'"
    with pytest.warns(UserWarning, match=said):
        compare({"none": Control.fit(screen)}, lines, lines, ["P1"], LINE, key=jr.key(0))
