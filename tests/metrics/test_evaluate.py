"""The table of metrics on AnnData: against loops, on perfect predictions, on bad input."""

import math

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.decomposition import PCA

from scbig import metrics

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
    table = metrics.evaluate(predicted, observed, control="control", components=5)
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
    table = metrics.evaluate(predicted, observed, control="control")
    assert list(table) == [
        *("pearson_delta", "pearson_delta_deg20", "acc", "acc_deg20", "l2", "mse", "mae", "pds"),
        *("discr_cos", "e_distance"),
    ]
    assert all(dtype == np.float64 for dtype in table.dtypes)


def test_a_perfect_prediction_is_perfect(observed):
    shuffled = observed[np.random.default_rng(0).permutation(observed.n_obs)]
    for guess in (observed, shuffled):
        table = metrics.evaluate(guess, observed, control="control")
        for column in ("pearson_delta", "pearson_delta_deg20", "acc", "acc_deg20", "discr_cos"):
            np.testing.assert_allclose(table[column], 1)
        for column in ("mse", "mae", "l2", "e_distance"):
            np.testing.assert_allclose(table[column], 0, atol=1e-6)
        assert (table["pds"] == 1).all()


def test_neither_storage_nor_order_nor_spelling_matters(predicted, observed):
    expected = metrics.evaluate(predicted, observed, control="control")
    rng = np.random.default_rng(1)
    other = predicted[rng.permutation(predicted.n_obs), rng.permutation(30)].copy()
    other.X = other.X.toarray()
    other.obs["cond"] = pd.Categorical(
        other.obs["condition"].replace({"A+B": "B+A", "A": "A+ctrl"})
    )
    truth = observed[rng.permutation(observed.n_obs)].copy()
    truth.obs = truth.obs.rename(columns={"condition": "cond"})
    controls = truth[truth.obs["cond"] == "control"][:, rng.permutation(30)]
    found = metrics.evaluate(other, truth, control=controls, condition_key="cond")
    pd.testing.assert_frame_equal(found, expected)


def test_other_control_names_and_separators(predicted, observed):
    expected = metrics.evaluate(predicted, observed, control="control")
    rename = lambda s: s.replace("control", "NT").replace("ctrl", "NT").replace("+", "_")
    for adata in (predicted, observed):
        adata.obs["condition"] = [rename(label) for label in adata.obs["condition"]]
    found = metrics.evaluate(predicted, observed, control="NT", separator="_")
    pd.testing.assert_frame_equal(found, expected)


def test_predicted_controls_do_not_count(predicted, observed):
    expected = metrics.evaluate(predicted, observed, control="control")
    twisted = ad.concat(
        [predicted, make_cells(7, {"control": 20})], index_unique="-", keys=["a", "b"]
    )
    found = metrics.evaluate(twisted, observed, control="control")
    pd.testing.assert_frame_equal(found, expected)


def test_swapped_predictions_lose_discrimination(observed):
    swapped = observed[observed.obs["condition"] != "control"].copy()
    names = {"A": "B", "B+ctrl": "A", "B+A": "A+B"}
    swapped.obs["condition"] = [names[label] for label in swapped.obs["condition"]]
    pds = metrics.evaluate(swapped, observed, control="control")["pds"]
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
    assert metrics.canonical_name(label) == name
    with pytest.raises(ValueError, match="twice"):
        metrics.canonical_name("A@1+A@2")


def test_pds_denominator_of_cell_eval(predicted, observed):
    ours = metrics.evaluate(predicted, observed, control="control")["pds"]
    theirs = metrics.evaluate(predicted, observed, control="control", pds_denominator="n")["pds"]
    np.testing.assert_allclose(1 - theirs, (1 - ours) * 2 / 3)


def test_top_chooses_the_number_of_genes(predicted, observed):
    everything = metrics.evaluate(predicted, observed, control="control", top=1000)
    np.testing.assert_allclose(everything["pearson_delta_deg20"], everything["pearson_delta"])
    few = metrics.evaluate(predicted, observed, control="control", top=3)
    assert set((few["acc_deg20"] * 3).round(9)) <= {0, 1, 2, 3}


def test_reference_cells_define_the_components(predicted, observed):
    flat = observed.copy()
    flat.X = sparse.csr_matrix(
        flat.X.toarray() * (np.arange(30) == 0)
    )  # only the first gene varies: the distance is that of the first gene
    found = metrics.evaluate(predicted, observed, control="control", reference=flat, components=1)
    x, y = of(predicted, "A")[:, 0], of(observed, "A")[:, 0]
    assert found.loc["A", "e_distance"] == pytest.approx(stats.energy_distance(x, y) ** 2)


def test_a_cap_on_cells_is_a_seeded_subsample(predicted, observed):
    run = lambda **k: metrics.evaluate(predicted, observed, control="control", **k)["e_distance"]
    assert run(max_cells=5, seed=1).equals(run(max_cells=5, seed=1))
    assert not run(max_cells=5, seed=1).equals(run(max_cells=5, seed=2))
    assert run(max_cells=100).equals(run())


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
        (rename_genes("X1", "X2"), r"2 \(G0, G1\) lacking, 2 \(X1, X2\) extra"),
        (rename_genes("G5"), r"predicted cells are not unique: 1 \(G5\)"),
        (lambda a: a[:, :10], r"20 \(G10, G11, G12, G13, G14, ...\) lacking, 0 \(\) extra"),
        (relabel("C+A"), r"not among the observed cells: 1 \(A\+C\)"),
        (relabel("A+A"), "names one perturbation twice"),
        (relabel("A+"), "empty name"),
        (relabel("ctrl+control"), "no perturbation"),
        (relabel(None), "25 of the predicted cells have no label"),
        (with_nan, r"NaN or infinite expression in 8 of the predicted .*: 1 \(B\)"),
        (with_nan_stored_sparse, r"in 8 of the predicted cells, of conditions: 1 \(B\)"),
        (rename_condition_column, r"column 'condition'"),
    ],
)
def test_bad_predictions_are_named(predicted, observed, change, message):
    with pytest.raises(ValueError, match=message):
        metrics.evaluate(broken(predicted, change), observed, control="control")


def test_missing_controls_are_an_error(predicted, observed):
    perturbed = observed[observed.obs["condition"] != "control"]
    with pytest.raises(ValueError, match=r"labelled 'ctrl'; the labels are: 3 \(A, B\+A, B\+ctrl"):
        metrics.evaluate(predicted, perturbed, control="ctrl")
    with pytest.raises(ValueError, match="no control cells"):
        metrics.evaluate(predicted, observed, control=observed[:0])


@pytest.mark.parametrize("score", [metrics.evaluate, metrics.split_half])
def test_a_control_label_that_no_cell_has_is_an_error(predicted, observed, score):
    cells = (predicted, observed) if score is metrics.evaluate else (observed,)
    message = r"No observed cell is labelled 'NT'; the labels are: 4 \(A, B\+A, B\+ctrl, control\)"
    with pytest.raises(ValueError, match=message):
        score(*cells, control="NT")
    # An unperturbed partner of a perturbation is not a control cell.
    combined = cells[-1].copy()
    combined.obs["condition"] = combined.obs["condition"].replace({"B+ctrl": "B+NT"})
    with pytest.raises(ValueError, match="No observed cell is labelled 'NT'"):
        score(*cells[:-1], combined, control="NT")


@pytest.mark.parametrize("label", ["control", "ctrl", "ctrl+ctrl", "control+ctrl"])
@pytest.mark.parametrize("control", ["control", "ctrl"])
def test_the_usual_control_names_stand_for_one_another(predicted, observed, label, control):
    expected = metrics.evaluate(predicted, observed, control="control")
    observed.obs["condition"] = observed.obs["condition"].replace({"control": label})
    for name in {control, label}:
        found = metrics.evaluate(predicted, observed, control=name)
        pd.testing.assert_frame_equal(found, expected)


def test_bad_controls_and_references_are_errors(predicted, observed):
    bad = broken(observed[:5], lambda a: setattr(a, "X", np.full((5, 30), np.inf)))
    with pytest.raises(ValueError, match="infinite expression in the control"):
        metrics.evaluate(predicted, observed, control=bad)
    with pytest.raises(ValueError, match="infinite expression in the reference"):
        metrics.evaluate(predicted, observed, control="control", reference=bad)
    with pytest.raises(ValueError, match="must be positive"):
        metrics.evaluate(predicted, observed, control="control", top=0)


def test_summary_skips_what_is_undefined():
    table = pd.DataFrame({"pearson_delta": [1.0, np.nan, 0.0], "pds": [np.nan] * 3})
    summary = metrics.summarise(table)
    assert summary.loc["pearson_delta"].tolist() == pytest.approx([0.5, np.sqrt(0.5), 0.5, 2])
    assert summary.loc["pds", "count"] == 0
    assert np.isnan(summary.loc["pds", "mean"])


def test_split_half_is_a_ceiling_that_better_predictions_approach():
    observed = make_cells(0, {"control": 60, "A": 40, "B": 41, "A+B": 42})
    table = metrics.split_half(observed, control="control", seed=3)
    assert table.index.tolist() == ["A", "A+B", "B"]
    assert ((table["pearson_delta"] > 0.8) & (table["pearson_delta"] < 1)).all()
    assert (table["e_distance"] > 0).all()
    again = metrics.split_half(observed, control="control", seed=3)
    pd.testing.assert_frame_equal(table, again)
    other = metrics.split_half(observed, control="control", seed=4)
    assert not table.equals(other)
    pair = metrics.split_half(observed, control="control", conditions=["B+A", "A+ctrl"], top=5)
    assert pair.index.tolist() == ["A", "A+B"]


def test_the_two_halves_share_no_cell():
    # Each cell of A expresses a gene of its own: disjoint halves never agree on an expressed gene.
    values = np.concatenate([np.zeros((4, 30)), np.eye(30)[:8]])
    obs = pd.DataFrame(
        {"condition": ["control"] * 4 + ["A"] * 8}, index=pd.Index([str(i) for i in range(12)])
    )
    observed = ad.AnnData(values, obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))
    table = metrics.split_half(observed, control=observed[:4])
    assert table.loc["A", "l2"] == pytest.approx(np.sqrt(8 / 4**2))
    assert table.loc["A", "discr_cos"] == pytest.approx(0)


def test_conditions_too_small_to_split_are_named():
    observed = make_cells(0, {"control": 9, "A": 3, "B": 4})
    with pytest.raises(ValueError, match=r"fewer than 4 cells cannot be split: 1 \(A\)"):
        metrics.split_half(observed, control="control")
    with pytest.raises(ValueError, match="no perturbation to split"):
        metrics.split_half(observed, control="control", conditions=[])


def test_cell_eval_agrees_where_it_has_the_same_metric(predicted, observed):
    cell_eval = pytest.importorskip("cell_eval")
    controls = observed[observed.obs["condition"] == "control"]
    merged = {"B+ctrl": "B", "ctrl+B": "B", "B+A": "A+B"}
    sides = []
    joined = ad.concat([predicted, controls], index_unique="-", keys=["a", "b"])
    for adata in (joined, observed.copy()):
        adata.obs["target"] = adata.obs["condition"].replace(merged)
        sides.append(adata)
    evaluator = cell_eval.MetricsEvaluator(
        *sides, control_pert="control", pert_col="target", num_threads=1
    )
    results, _ = evaluator.compute(profile="minimal", write_csv=False)
    theirs = results.to_pandas().set_index("perturbation").sort_index()
    ours = metrics.evaluate(predicted, observed, control="control")
    for column in ("pearson_delta", "mse", "mae"):
        np.testing.assert_allclose(ours[column], theirs[column].astype(float), rtol=1e-4)
