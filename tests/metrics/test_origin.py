"""Responses from another origin than the controls, and PDS by other rules, in the table."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbig import metrics
from scbig.data import Columns, Screen

GENES = tuple(f"G{place}" for place in range(25))
LABELS = ["control"] * 12 + ["G1"] * 6 + ["G2"] * 6 + ["G3"] * 6 + ["G1+G2"] * 6


def make(seed, common=0.0, lines=("x",)) -> Any:
    """Cells of which every perturbation has a change in common, and one of its own."""
    rng, shared = np.random.default_rng(seed), np.random.default_rng(7)
    effects = {label: shared.normal(0, 0.4, 25) for label in dict.fromkeys(LABELS)}
    effects["control"] = np.zeros(25)
    pushed = common * shared.gamma(2, 0.5, 25)
    rates = np.stack(
        [2 * np.exp(effects[label]) + pushed * (label != "control") for label in LABELS]
    )
    values = np.concatenate([np.log1p(rng.poisson(rates) * 1.7) for _ in lines])
    obs = pd.DataFrame({"condition": LABELS * len(lines), "line": np.repeat(lines, len(LABELS))})
    obs.index = pd.Index([f"c{row}" for row in range(len(values))])
    return ad.AnnData(values, obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))


def mean(adata, label, line=None):
    chosen = adata.obs["condition"] == label
    return adata[chosen & (adata.obs["line"] == line) if line else chosen].X.mean(axis=0)


@pytest.mark.parametrize("singles", [True, False])
@pytest.mark.parametrize("kind", [lambda a: a, Screen.from_anndata], ids=["AnnData", "Screen"])
def test_the_origin_is_the_mean_of_means(singles, kind):
    cells = make(0)
    found = metrics.mean_of_conditions(kind(cells), singles=singles)
    names = ["G1", "G2", "G3"] if singles else ["G1", "G2", "G3", "G1+G2"]
    expected = np.mean([mean(cells, name) for name in names], axis=0)
    np.testing.assert_allclose(found.loc[""], expected, rtol=1e-6)
    assert tuple(found.columns) == GENES


def test_each_context_has_an_origin_of_its_own():
    cells = make(0, lines=("x", "y"))
    columns = Columns(context="line")
    found = metrics.mean_of_conditions(cells, columns, singles=True)
    for line in ("x", "y"):
        expected = np.mean([mean(cells, name, line) for name in ("G1", "G2", "G3")], axis=0)
        np.testing.assert_allclose(found.loc[line], expected)
    predicted = make(1, lines=("x", "y"))
    table = metrics.evaluate(predicted, cells, columns, origin=found)
    for line, name in table.index.to_flat_index():
        row = table.loc[(line, name)]
        guess, truth = (mean(own, name, line) - found.loc[line] for own in (predicted, cells))
        assert row["pearson_delta"] == pytest.approx(np.corrcoef(guess, truth)[0, 1])


def test_what_all_perturbations_share_is_no_merit():
    """One prediction for all conditions is right about what they have in common."""
    training, observed = make(0, common=3.0), make(1, common=3.0)
    predicted = training[training.obs["condition"] != "control"].copy()
    predicted.X = np.random.default_rng(0).permutation(predicted.X)
    usual = metrics.evaluate(predicted, observed)["pearson_delta"]
    origin = metrics.mean_of_conditions(training)
    other = metrics.evaluate(predicted, observed, origin=origin.iloc[:, ::-1])["pearson_delta"]
    assert usual.mean() > 0.5
    assert abs(other.mean()) < 0.25


def test_an_origin_that_lacks_something_is_refused():
    cells = make(0)
    origin = metrics.mean_of_conditions(cells)
    with pytest.raises(ValueError, match=r"lacks 0 contexts \(\) and 1 genes \('G3'\)"):
        metrics.evaluate(cells, cells, origin=origin.drop(columns="G3"))
    with pytest.raises(ValueError, match="lacks 1 contexts"):
        metrics.evaluate(cells, cells, origin=origin.rename(index={"": "elsewhere"}))
    doubles = cells[cells.obs["condition"].isin(["control", "G1+G2"])].copy()
    with pytest.raises(ValueError, match="no single perturbation among the training cells"):
        metrics.mean_of_conditions(doubles, singles=True)


@pytest.mark.parametrize("distance", ["l1", "l2", "cosine"])
@pytest.mark.parametrize("leave_out", [True, False])
def test_the_tables_pds_is_that_of_the_responses(distance, leave_out):
    predicted, observed = make(1), make(0)
    for row, label in enumerate(predicted.obs["condition"]):
        # Wrong about the perturbed genes, by which alone conditions are then told apart.
        predicted.X[row, [g in label.split("+") for g in GENES]] += 4
    table = metrics.evaluate(predicted, observed, pds_distance=distance, pds_leave_out=leave_out)
    origin = mean(observed, "control")
    deltas = [
        np.stack([mean(own, n) - origin for n in table.index]) for own in (predicted, observed)
    ]
    left_out = np.array([[gene in name.split("+") for gene in GENES] for name in table.index])
    expected = metrics.discrimination_scores(
        *deltas, distance=distance, left_out=left_out if leave_out else None
    )
    np.testing.assert_allclose(table["pds"], expected)
