"""cell-eval, the field's reference, on the metrics in common."""

import importlib.metadata
import warnings
from collections.abc import Sequence
from typing import Any

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest

import scbig
from scbig import baselines, comparison, metrics
from scbig.baselines import predict_cells
from scbig.priors import EmbeddingTable

try:
    importlib.metadata.version("cell-eval")
except importlib.metadata.PackageNotFoundError:
    pytest.skip(
        "cell-eval is not installed: pip install 'scbig-jax[oracle]'", allow_module_level=True
    )
# Of what is installed, a failing import fails.
cell_eval: Any = importlib.import_module("cell_eval")

GENES = tuple(f"G{place}" for place in range(60))
# Singles named after measured genes, which cell-eval leaves out of PDS, doubles, and a drug.
NAMES = ("D", "G1", "G2", "G3", "G4+G5", "G6+G7")
LABELS = np.repeat(["control", *NAMES], [80] + [40] * len(NAMES))


def draw(seed: int, scale: float) -> Any:
    """Cells of which each condition changes the rates by its own factors, scaled."""
    shared, own = np.random.default_rng(9), np.random.default_rng(seed)
    base = shared.gamma(1, 1.5, len(GENES))
    effects = {name: shared.normal(0, 0.6, len(GENES)) for name in NAMES}
    rates = [base * np.exp(scale * effects.get(label, 0)) for label in LABELS]
    index = pd.Index([f"c{row}" for row in range(len(LABELS))])
    obs = pd.DataFrame({"target": LABELS, "condition": LABELS}, index=index)
    values = np.log1p(own.poisson(rates) * 1.3)
    return ad.AnnData(values, obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))


def cells(adata: Any, name: str) -> np.ndarray:
    return adata.X[adata.obs["target"] == name]


@pytest.fixture(scope="module")
def sides():
    """Predicted and measured cells with the same controls."""
    measured, predicted = draw(1, 1.0), draw(2, 0.7)
    controls = (LABELS == "control")[:, None]
    predicted.X = np.where(controls, measured.X, predicted.X)
    return predicted, measured


def evaluated(
    predicted: Any, measured: Any, folder: Any, names: Sequence[str] = NAMES, **options: Any
) -> tuple[Any, Any]:
    """What cell-eval says of each condition, and its evaluator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # polars has moved on
        evaluator = cell_eval.MetricsEvaluator(
            predicted.copy(),
            measured.copy(),
            control_pert="control",
            pert_col="target",
            num_threads=1,
            outdir=str(folder),
        )
        table, _ = evaluator.compute(write_csv=False, **options)
    return table.to_pandas().set_index("perturbation").loc[list(names)], evaluator


@pytest.fixture(scope="module")
def theirs(sides, tmp_path_factory):
    """What cell-eval says, and its tests of each gene in the measured and the predicted cells."""
    left_out = ["clustering_agreement", "pearson_edistance"]
    folder = tmp_path_factory.mktemp("cell-eval")
    table, evaluator = evaluated(sides[0], sides[1], folder, profile="full", skip_metrics=left_out)
    both = evaluator.de_comparison.real, evaluator.de_comparison.pred
    return table, [own.data.to_pandas().set_index(["target", "feature"]) for own in both]


@pytest.fixture(scope="module")
def ours(sides):
    """Our table, with the metrics of changed genes."""
    predicted, measured = sides
    return metrics.evaluate(predicted[LABELS != "control"].copy(), measured, changed="bh")


# The controls are the same on both sides, so the error of a response is that of a mean.
@pytest.mark.parametrize(
    ("column", "their"),
    [
        ("pearson_delta", "pearson_delta"),
        ("mse", "mse"),
        ("mae", "mae"),
        ("mse", "mse_delta"),
        ("mae", "mae_delta"),
        ("de_recall", "de_sig_genes_recall"),
        ("de_measured", "de_nsig_counts_real"),
        ("de_predicted", "de_nsig_counts_pred"),
    ],
)
def test_columns_agree(ours, theirs, column, their):
    np.testing.assert_allclose(ours[column], theirs[0][their].astype(float), atol=1e-6)


def test_it_reads_the_stored_predictions_of_a_comparison(tmp_path):
    screen = scbig.Screen.from_anndata(draw(1, 1.0))
    split = scbig.Split.of(name="own", train=NAMES[:4], test=NAMES[4:])
    plan = comparison.Comparison(
        screen=screen,
        priors=scbig.Priors(genes=EmbeddingTable(GENES[:2], np.eye(2, dtype=np.float32))),
        evaluations=(comparison.Evaluation("own", (split,)),),
        recipes={"mean": baselines.Rule(comparison.RULES["perturbed mean"])},
        out=tmp_path / "run",
    )
    assert comparison.predict_all(plan, progress=False) == {}
    stored = ad.read_h5ad(tmp_path / "run" / "own" / "mean" / "fold0-seed0.h5ad")
    measured = draw(1, 1.0)
    measured = measured[measured.obs["condition"].isin(["control", *NAMES[4:]]).to_numpy()].copy()
    for side in (stored, measured):
        side.obs["target"] = side.obs["condition"].astype(str)
    table, _ = evaluated(stored, measured, tmp_path, names=NAMES[4:], profile="minimal")
    own, _ = comparison.read_prediction(tmp_path / "run" / "own" / "mean" / "fold0-seed0.h5ad")
    found = metrics.evaluate(own, measured)
    for column in ("pearson_delta", "mse", "mae"):
        np.testing.assert_allclose(found[column], table[column].astype(float), atol=1e-5)


def test_the_order_of_the_numbers_of_changed_genes_agrees(ours, theirs):
    found = ours["de_measured"].corr(ours["de_predicted"], method="spearman")
    assert theirs[0]["de_spearman_sig"].nunique() == 1
    assert found == pytest.approx(theirs[0]["de_spearman_sig"].iloc[0], abs=1e-6)


@pytest.mark.parametrize("distance", ["l1", "l2", "cosine"])
def test_discrimination_agrees(sides, theirs, distance):
    origin = cells(sides[1], "control").mean(axis=0)
    means = [[cells(side, name).mean(axis=0) for name in NAMES] for side in sides]
    found = metrics.discrimination_scores(
        *(np.stack(own) - origin for own in means),
        distance=distance,
        denominator="n",
        left_out=metrics.perturbed_genes([(name,) for name in NAMES], GENES),
    )
    expected = theirs[0][f"discrimination_score_{distance}"].astype(float)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_tests_of_genes_agree(sides, theirs, name):
    origin = cells(sides[1], "control")
    for side, tests in zip(sides[::-1], theirs[1], strict=True):
        found, own = metrics.rank_sums(cells(side, name), origin), tests.loc[name].loc[list(GENES)]
        np.testing.assert_allclose(found.p, own["p_value"], rtol=1e-6, atol=1e-12)
        folds = metrics.log_fold_changes(
            cells(side, name).mean(axis=0), origin.mean(axis=0), fold="counts"
        )
        # Infinite there where one side has no count; here only very large.
        there = own["log2_fold_change"].to_numpy(np.float64)
        np.testing.assert_array_equal(np.sign(there) * np.isinf(there), np.trunc(folds / 20))
        finite = np.isfinite(there)
        np.testing.assert_allclose(folds[finite], there[finite], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_scores_of_changed_genes_agree(sides, theirs, name):
    origin = cells(sides[1], "control")
    middle, means = origin.mean(axis=0), [cells(side, name).mean(axis=0) for side in sides]
    guess, truth = (metrics.log_fold_changes(mean, middle, fold="counts") for mean in means)
    few, called = (metrics.rank_sums(cells(side, name), origin).significant() for side in sides)
    found = {
        "de_spearman_lfc_sig": metrics.des(means[0], means[1], middle, called, fold="counts"),
        "de_direction_match": metrics.direction_accuracy(guess[called], truth[called]),
    }
    for top, name_of in ((None, "N"), (50, "50"), (100, "100")):
        share = lambda of, top=top: metrics.top_overlap(guess, truth, (few, called), top=top, of=of)
        found[f"overlap_at_{name_of}"] = share("observed")
        found[f"precision_at_{name_of}"] = share("predicted")
    assert found == pytest.approx({key: theirs[0].loc[name, key] for key in found}, abs=1e-6)


def test_predicted_counts_are_taken_beside_measured_ones(sides, tmp_path):
    """cell-eval normalises both sides itself: the numbers are those of its normalised cells."""
    measured: Any = sides[1].copy()
    measured.X = np.rint(np.expm1(measured.X) / 1.3)
    controls = sides[1][LABELS == "control"].copy()
    origin = cells(sides[1], "control").mean(axis=0)
    effects = lambda asked: np.stack([cells(sides[1], c.name).mean(axis=0) - origin for c in asked])
    moved = predict_cells(effects, GENES, controls, NAMES, key=jr.key(0), cells=60)
    predicted: Any = scbig.as_counts(moved, controls, key=jr.key(0))
    predicted.obs["target"] = predicted.obs["condition"].astype(str)
    predicted = ad.concat([predicted, measured[LABELS == "control"]], join="outer")
    found, _ = evaluated(predicted, measured, tmp_path, profile="minimal")

    totals = [np.asarray(side.X.sum(axis=1)).ravel() for side in (predicted, measured)]
    dense = [np.asarray(predicted.X.toarray()), measured.X]
    logs = [
        np.log1p(own * (np.median(total) / total)[:, None])
        for own, total in zip(dense, totals, strict=True)
    ]
    labels = predicted.obs["target"].to_numpy(), LABELS
    mean = lambda side, name: logs[side][labels[side] == name].mean(axis=0)
    for name in NAMES:
        responses = [mean(side, name) - mean(side, "control") for side in (0, 1)]
        pearson = metrics.pearson(responses[0], responses[1])
        assert found.loc[name, "pearson_delta"] == pytest.approx(pearson, abs=1e-6)
        assert pearson > 0.8
