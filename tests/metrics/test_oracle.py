"""cell-eval, the field's reference, on the metrics in common."""

import warnings
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbig import metrics

cell_eval = pytest.importorskip("cell_eval")

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


@pytest.fixture(scope="module")
def theirs(sides, tmp_path_factory):
    """What cell-eval says, and its tests of each gene in the measured cells."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # polars has moved on
        evaluator = cell_eval.MetricsEvaluator(
            *(side.copy() for side in sides),
            control_pert="control",
            pert_col="target",
            num_threads=1,
            outdir=str(tmp_path_factory.mktemp("cell-eval")),
        )
        left_out = ["clustering_agreement", "pearson_edistance"]
        table, _ = evaluator.compute(profile="full", write_csv=False, skip_metrics=left_out)
    tests = evaluator.de_comparison.real.data.to_pandas()
    return table.to_pandas().set_index("perturbation").loc[list(NAMES)], tests


@pytest.mark.parametrize("column", ["pearson_delta", "mse", "mae"])
def test_means_agree(sides, theirs, column):
    predicted, measured = sides
    ours = metrics.evaluate(predicted[LABELS != "control"].copy(), measured)
    np.testing.assert_allclose(ours[column], theirs[0][column].astype(float), atol=1e-6)


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
    table, tests = theirs
    origin = cells(sides[1], "control")
    predicted, measured = (metrics.rank_sums(cells(side, name), origin) for side in sides)
    own = tests[tests["target"] == name].set_index("feature").loc[list(GENES)]
    np.testing.assert_allclose(measured.p, own["p_value"], rtol=1e-6, atol=1e-12)
    found = metrics.overlap(predicted.significant(), measured.significant())
    assert found["de_recall"] == pytest.approx(table.loc[name, "de_sig_genes_recall"])
    assert found["de_measured"] == table.loc[name, "de_nsig_counts_real"]
    assert found["de_predicted"] == table.loc[name, "de_nsig_counts_pred"]
