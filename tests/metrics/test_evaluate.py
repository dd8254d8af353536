"""The table of metrics on AnnData: against loops, on perfect predictions, on bad input."""

import dataclasses
import inspect
import math
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.decomposition import PCA

from scbig import metrics
from scbig.data import Columns, Condition, Screen, _labelled, _stored

GENES = [f"G{i}" for i in range(30)]
SIZES = {"control": 25, "A": 14, "B+ctrl": 9, "B+A": 12}


def make_cells(seed, sizes=SIZES):
    """Sparse non-negative cells, whose conditions differ in mean."""
    rng = np.random.default_rng(seed)
    blocks, labels = [], []
    for place, (label, size) in enumerate(sizes.items()):
        centre = np.random.default_rng(100 + place).uniform(0, 2, len(GENES))
        cells = np.maximum(centre + rng.normal(size=(size, len(GENES))), 0)
        blocks.append(cells)
        labels += [label] * size
    obs = pd.DataFrame({"condition": labels}, index=pd.Index([f"c{i}" for i in range(len(labels))]))
    matrix = sparse.csr_matrix(np.concatenate(blocks).astype(np.float32))
    return ad.AnnData(matrix, obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))


@pytest.fixture
def observed():
    return make_cells(0)


@pytest.fixture
def predicted():
    return make_cells(1, {"A+B": 10, "ctrl+B": 8, "A": 7})


def of(adata, *labels):
    return adata[adata.obs["condition"].isin(labels)].X.toarray().astype(float)


def test_the_table_equals_a_loop_over_conditions(predicted, observed):
    table = metrics.evaluate(predicted, observed, components=5, unbiased=False)
    assert table.index.tolist() == ["A", "A+B", "B"]
    assert table.index.name == "condition"
    control = of(observed, "control")
    measured = {"A": of(observed, "A"), "A+B": of(observed, "B+A"), "B": of(observed, "B+ctrl")}
    guessed = {"A": of(predicted, "A"), "A+B": of(predicted, "A+B"), "B": of(predicted, "ctrl+B")}
    pca = PCA(5, svd_solver="full").fit(np.concatenate([control, *measured.values()]))
    for name in measured:
        row = table.loc[name]
        guess, truth = guessed[name].mean(0), measured[name].mean(0)
        origin = control.mean(0)
        assert row["pearson_delta"] == pytest.approx(
            stats.pearsonr(guess - origin, truth - origin)[0]
        )
        assert row["mse"] == pytest.approx(np.mean((guess - truth) ** 2))
        rank = sum(
            np.abs(guess - m.mean(0)).sum() < np.abs(guess - truth).sum() for m in measured.values()
        )
        assert row["pds"] == pytest.approx(1 - rank / 2)
        x, y = pca.transform(guessed[name]), pca.transform(measured[name])
        mean = lambda a, b: np.mean([[math.dist(p, q) for q in b] for p in a])
        assert row["e_distance"] == pytest.approx(2 * mean(x, y) - mean(x, x) - mean(y, y))


def test_columns_are_those_of_the_papers_tables(predicted, observed):
    table = metrics.evaluate(predicted, observed)
    assert list(table) == [
        *("pearson_delta", "pearson_delta_deg20", "acc", "acc_deg20", "l2", "mse", "mae", "pds"),
        *("discr_cos", "e_distance"),
    ]
    assert all(dtype == np.float64 for dtype in table.dtypes)


def test_a_perfect_prediction_is_perfect(observed):
    shuffled = observed[np.random.default_rng(0).permutation(observed.n_obs)]
    for guess in (observed, shuffled):
        table = metrics.evaluate(guess, observed, unbiased=False)
        for column in ("pearson_delta", "pearson_delta_deg20", "acc", "acc_deg20", "discr_cos"):
            np.testing.assert_allclose(table[column], 1)
        for column in ("mse", "mae", "l2", "e_distance"):
            np.testing.assert_allclose(table[column], 0, atol=1e-6)
        assert (table["pds"] == 1).all()


def test_neither_storage_nor_order_nor_spelling_matters(predicted, observed):
    expected = metrics.evaluate(predicted, observed)
    rng = np.random.default_rng(1)
    other = predicted[rng.permutation(predicted.n_obs), rng.permutation(30)].copy()
    other.X = other.X.toarray()
    other.obs["cond"] = pd.Categorical(
        other.obs["condition"].replace({"A+B": "B+A", "A": "A+ctrl"})
    )
    truth = observed[rng.permutation(observed.n_obs)].copy()
    truth.obs = truth.obs.rename(columns={"condition": "cond"})
    controls = truth[truth.obs["cond"] == "control"][:, rng.permutation(30)]
    found = metrics.evaluate(other, truth, Columns(condition="cond"), controls=controls)
    pd.testing.assert_frame_equal(found, expected)


def test_other_control_names_and_separators(predicted, observed):
    expected = metrics.evaluate(predicted, observed)
    rename = lambda s: s.replace("control", "NT").replace("ctrl", "NT").replace("+", "_")
    for adata in (predicted, observed):
        adata.obs["condition"] = [rename(label) for label in adata.obs["condition"]]
    found = metrics.evaluate(predicted, observed, Columns(control="NT", separator="_"))
    pd.testing.assert_frame_equal(found, expected)


def test_predicted_controls_do_not_count(predicted, observed):
    expected = metrics.evaluate(predicted, observed)
    twisted = ad.concat(
        [predicted, make_cells(7, {"control": 20})], index_unique="-", keys=["a", "b"]
    )
    found = metrics.evaluate(twisted, observed)
    pd.testing.assert_frame_equal(found, expected)


def test_swapped_predictions_lose_discrimination(observed):
    swapped = observed[observed.obs["condition"] != "control"].copy()
    names = {"A": "B", "B+ctrl": "A", "B+A": "A+B"}
    swapped.obs["condition"] = [names[label] for label in swapped.obs["condition"]]
    pds = metrics.evaluate(swapped, observed)["pds"]
    assert pds["A+B"] == 1
    assert max(pds["A"], pds["B"]) < 1


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("B@0.10+A", "A+B@0.1"),
        ("A@10.0", "A@10"),
        ("A@ 1e-3 + ctrl", "A@0.001"),
        ("ctrl@1", "control"),
        ("A@1+A-x", "A@1+A-x"),  # sorted by name, whatever sorts after it
        ("IGH@", "IGH@"),
        ("A@high", "A@high"),
    ],
)
def test_a_dose_has_one_spelling(label, name):
    assert Condition.parse(label).name == name
    with pytest.raises(ValueError, match="twice"):
        Condition.parse("A@1+A@2")


def test_pds_denominator_of_cell_eval(predicted, observed):
    ours = metrics.evaluate(predicted, observed)["pds"]
    theirs = metrics.evaluate(predicted, observed, pds_denominator="n")["pds"]
    np.testing.assert_allclose(1 - theirs, (1 - ours) * 2 / 3)


def test_top_chooses_the_number_of_genes(predicted, observed):
    everything = metrics.evaluate(predicted, observed, top=1000)
    np.testing.assert_allclose(everything["pearson_delta_deg20"], everything["pearson_delta"])
    few = metrics.evaluate(predicted, observed, top=3)
    assert set((few["acc_deg20"] * 3).round(9)) <= {0, 1, 2, 3}


def test_reference_cells_define_the_components(predicted, observed):
    flat = observed.copy()
    flat.X = sparse.csr_matrix(
        flat.X.toarray() * (np.arange(30) == 0)
    )  # only the first gene varies: the distance is that of the first gene
    found = metrics.evaluate(predicted, observed, reference=flat, components=1, unbiased=False)
    x, y = of(predicted, "A")[:, 0], of(observed, "A")[:, 0]
    assert found.loc["A", "e_distance"] == pytest.approx(stats.energy_distance(x, y) ** 2)


def test_a_cap_on_cells_is_a_seeded_subsample(predicted, observed):
    run = lambda **k: metrics.evaluate(predicted, observed, **k)["e_distance"]
    assert run(max_cells=5, seed=1).equals(run(max_cells=5, seed=1))
    assert not run(max_cells=5, seed=1).equals(run(max_cells=5, seed=2))
    assert run(max_cells=100).equals(run())


def test_a_screen_in_memory_or_on_disk_scores_as_its_anndata(
    predicted, observed, tmp_path, monkeypatch
):
    """A stored screen is read one population at a time, and never as a whole."""
    options: Any = {"components": 5, "max_cells": 9}
    expected = metrics.evaluate(predicted, observed, **options)
    ceiling = metrics.split_half(observed, **options)
    observed.write_h5ad(tmp_path / "screen.h5ad")
    monkeypatch.setattr(_stored, "BLOCK", 8)
    monkeypatch.setattr(_labelled, "BLOCK", 8)
    stored = Screen.open(tmp_path / "screen.h5ad")
    most = []
    inner = _stored.StoredMatrix.__getitem__

    def spy(matrix, rows):
        most.append(len(rows))
        return inner(matrix, rows)

    monkeypatch.setattr(_stored.StoredMatrix, "__getitem__", spy)
    for screen in (Screen.from_anndata(observed), stored):
        found = metrics.evaluate(predicted, screen, **options)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-5)
        found = metrics.split_half(screen, **options)
        pd.testing.assert_frame_equal(found, ceiling, rtol=1e-5)
        found = metrics.evaluate(predicted, observed, controls=screen, **options)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-5)
        found = metrics.evaluate(predicted, observed, reference=screen, **options)
        reference = metrics.evaluate(predicted, observed, reference=observed, **options)
        pd.testing.assert_frame_equal(found, reference, rtol=1e-5)
    assert max(most) == SIZES["control"]


def test_storage_does_not_change_a_digit_that_counts(predicted, observed):
    """Small responses: a mean that is exact to float32 only would change their correlation."""
    for adata in (predicted, observed):
        values = adata.X.toarray()
        adata.X = sparse.csr_matrix(np.float32(10) + np.float32(1e-3) * values)
    sparsely = metrics.evaluate(predicted, observed)
    for adata in (predicted, observed):
        adata.X = adata.X.toarray()
    pd.testing.assert_frame_equal(sparsely, metrics.evaluate(predicted, observed), rtol=1e-9)


def broken(adata, change):
    adata = adata.copy()
    return change(adata) or adata


def with_nan(adata):
    adata.X = adata.X.toarray()
    adata.X[adata.obs["condition"] == "ctrl+B", 3] = np.nan


def with_nan_stored_sparse(adata):
    values = adata.X.toarray()
    values[0] = 0  # an empty row, and a NaN that is the first entry of its row
    values[adata.obs["condition"] == "ctrl+B", 0] = np.nan
    adata.X = sparse.csr_matrix(values)


def rename_genes(*names):
    return lambda adata: setattr(adata, "var_names", [*names, *GENES[len(names) :]])


def rename_condition_column(adata):
    adata.obs = adata.obs.rename(columns={"condition": "x"})


def relabel(label):
    def change(adata):
        adata.obs["condition"] = [label] * adata.n_obs

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (rename_genes("X1", "X2"), r"lack 2 \('G0', 'G1'\) and have 2 others \('X1', 'X2'\)"),
        (
            rename_genes("G5"),
            r"In the predicted cells: 1 gene names are there more than once: 'G5'",
        ),
        (lambda a: a[:, :10], r"lack 20 \('G10', 'G11', .*'G14' and 15 more\) and have 0 others"),
        (relabel("C+A"), r"1 .* not among the observed cells: 'A\+C'"),
        (relabel("A+A"), "names one perturbation twice"),
        (relabel("A+"), "empty name"),
        (relabel("ctrl+control"), "no perturbation"),
        (relabel(None), "the condition, is missing in 25 of 25 cells"),
        (with_nan, r"NaN or infinite expression in 8 of the predicted .* 'B'\."),
        (with_nan_stored_sparse, r"in 8 of the predicted cells, of the conditions 'B'"),
        (rename_condition_column, r"column 'condition'"),
    ],
)
def test_bad_predictions_are_named(predicted, observed, change, message):
    with pytest.raises(ValueError, match=message):
        metrics.evaluate(broken(predicted, change), observed)


def test_missing_controls_are_an_error(predicted, observed):
    perturbed = observed[observed.obs["condition"] != "control"]
    with pytest.raises(ValueError, match="no control cells among the observed cells"):
        metrics.evaluate(predicted, perturbed)
    with pytest.raises(ValueError, match="no control cells: the AnnData is empty"):
        metrics.evaluate(predicted, observed, controls=observed[:0])


@pytest.mark.parametrize("score", [metrics.evaluate, metrics.split_half])
def test_a_control_label_that_no_cell_has_is_an_error(predicted, observed, score):
    cells = (predicted, observed) if score is metrics.evaluate else (observed,)
    with pytest.raises(ValueError, match="'control' is reserved|'ctrl' is reserved"):
        score(*cells, Columns(control="NT"))
    # An unperturbed partner of a perturbation is not a control cell.
    apart = [adata[adata.obs["condition"] != "control"].copy() for adata in cells]
    for adata in apart:
        adata.obs["condition"] = adata.obs["condition"].str.replace("ctrl", "NT")
    with pytest.raises(ValueError, match="no control cells among the observed cells"):
        score(*apart, Columns(control="NT"))


@pytest.mark.parametrize("label", ["control", "ctrl", "ctrl+ctrl", "DMSO", "non-targeting_3"])
def test_the_usual_control_names_stand_for_one_another(predicted, observed, label):
    expected = metrics.evaluate(predicted, observed)
    observed.obs["condition"] = observed.obs["condition"].replace({"control": label})
    pd.testing.assert_frame_equal(metrics.evaluate(predicted, observed), expected)


def test_bad_controls_and_references_are_errors(predicted, observed):
    bad = broken(observed[:5], lambda a: setattr(a, "X", np.full((5, 30), np.inf)))
    with pytest.raises(ValueError, match="infinite expression in 5 of the control"):
        metrics.evaluate(predicted, observed, controls=bad)
    with pytest.raises(ValueError, match="infinite expression in 5 of the reference"):
        metrics.evaluate(predicted, observed, reference=bad)
    with pytest.raises(ValueError, match="must be positive"):
        metrics.evaluate(predicted, observed, top=0)


def test_summary_skips_what_is_undefined():
    table = pd.DataFrame({"pearson_delta": [1.0, np.nan, 0.0], "pds": [np.nan] * 3})
    summary = metrics.summarise(table)
    assert summary.loc["pearson_delta"].tolist() == pytest.approx([0.5, np.sqrt(0.5), 0.5, 2])
    assert summary.loc["pds", "count"] == 0
    assert np.isnan(summary.loc["pds", "mean"])


def test_split_half_is_a_ceiling_that_better_predictions_approach():
    observed = make_cells(0, {"control": 60, "A": 40, "B": 41, "A+B": 42})
    table = metrics.split_half(observed, seed=3)
    assert table.index.tolist() == ["A", "A+B", "B"]
    assert ((table["pearson_delta"] > 0.8) & (table["pearson_delta"] < 1)).all()
    assert (table["e_distance"] > 0).all()
    again = metrics.split_half(observed, seed=3)
    pd.testing.assert_frame_equal(table, again)
    other = metrics.split_half(observed, seed=4)
    assert not table.equals(other)
    pair = metrics.split_half(observed, conditions=["B+A", "A+ctrl"], top=5)
    assert pair.index.tolist() == ["A", "A+B"]


def test_the_two_halves_share_no_cell():
    # Each cell of A expresses a gene of its own: disjoint halves never agree on an expressed gene.
    values = 0.7 * np.concatenate([np.eye(30)[20:24], np.eye(30)[:8]])
    obs = pd.DataFrame(
        {"condition": ["control"] * 4 + ["A"] * 8}, index=pd.Index([str(i) for i in range(12)])
    )
    observed = ad.AnnData(values, obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))
    table = metrics.split_half(observed, controls=observed[:4])
    assert table.loc["A", "l2"] == pytest.approx(0.7 * np.sqrt(8 / 4**2))


def test_one_cell_has_no_unbiased_distance_and_all_other_scores():
    observed = make_cells(0, {"control": 9, "A": 1, "B": 4})
    predicted = make_cells(1, {"A": 5, "B": 1})
    table = metrics.evaluate(predicted, observed)
    assert np.isnan(table["e_distance"].to_numpy()).all()
    assert np.isfinite(table.drop(columns="e_distance").to_numpy()).all()
    biased = metrics.evaluate(predicted, observed, unbiased=False)["e_distance"]
    assert np.isfinite(biased.to_numpy()).all()


def test_conditions_too_small_to_split_are_named():
    observed = make_cells(0, {"control": 9, "A": 3, "B": 4})
    with pytest.raises(ValueError, match=r"1 .*fewer than 4 cells cannot be split: 'A'"):
        metrics.split_half(observed)
    with pytest.raises(ValueError, match="no perturbation to split"):
        metrics.split_half(observed, conditions=[])


def test_the_table_and_what_scores_it_have_the_same_defaults():
    """Commands make a `Scoring` of their own."""
    arguments = inspect.signature(metrics.evaluate).parameters
    for own in dataclasses.fields(metrics.Scoring):
        if own.name != "metrics":
            assert arguments[own.name].default == own.default, own.name
