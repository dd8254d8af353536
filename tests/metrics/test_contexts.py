"""Cells matched by context: each context is scored by itself, from its own controls."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from scbig import metrics
from scbig.data import Columns, Condition

LINE = Columns(context="line")
GENES = [f"G{i}" for i in range(20)]
# The contexts lie apart, have other numbers of cells, and not all have the same conditions.
SIZES = {
    "x": {"control": 15, "A": 9, "B+ctrl": 7, "B+A": 8},
    "y": {"control": 6, "A": 11, "B+ctrl": 5, "C": 6},
    "z": {"control": 8, "C": 4},
}


def make_cells(seed, sizes=SIZES):
    """Cells whose mean depends on the condition, on the context, and on the two together."""
    rng = np.random.default_rng(seed)
    labels, lines, blocks = [], [], []
    for context, conditions in sizes.items():
        for label, size in conditions.items():
            name = Condition.parse(label).name
            centre = sum(
                np.random.default_rng([*f"{part}".encode()]).uniform(0, 2, len(GENES))
                for part in (name, context, name + context)
            )
            blocks.append(np.maximum(centre + rng.normal(size=(size, len(GENES))), 0))
            labels += [label] * size
            lines += [context] * size
    index = pd.Index([f"c{i}" for i in range(len(labels))])
    obs = pd.DataFrame({"condition": labels, "line": lines}, index=index)
    values = sparse.csr_matrix(np.concatenate(blocks).astype(np.float32))
    return ad.AnnData(values, obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))


@pytest.fixture
def observed():
    cells = make_cells(0)
    return cells[np.random.default_rng(0).permutation(cells.n_obs)].copy()


@pytest.fixture
def predicted():
    sizes = {"y": {"ctrl+C": 6, "A": 5}, "x": {"A+B": 10, "A": 7, "ctrl+B": 3, "control": 4}}
    return make_cells(1, sizes)


def within(adata, context):
    return adata[adata.obs["line"] == context]


def means(adata, context, label):
    chosen = (adata.obs["line"] == context) & (adata.obs["condition"] == label)
    return adata[chosen.to_numpy()].X.toarray().astype(float).mean(0)


def test_each_response_is_from_the_controls_of_its_own_context(predicted, observed):
    table = metrics.evaluate(predicted, observed, columns=LINE)
    assert table.index.names == ["context", "condition"]
    assert table.index.tolist() == [("x", "A"), ("x", "A+B"), ("x", "B"), ("y", "A"), ("y", "C")]
    spelled = {"A": ("A", "A"), "A+B": ("A+B", "B+A"), "B": ("ctrl+B", "B+ctrl")}
    spelled["C"] = ("ctrl+C", "C")
    for context, name in table.index:
        guess = means(predicted, context, spelled[name][0])
        truth = means(observed, context, spelled[name][1])
        origin = means(observed, context, "control")
        row = table.loc[(context, name)]
        expected = stats.pearsonr(guess - origin, truth - origin)[0]
        assert row["pearson_delta"] == pytest.approx(expected, rel=1e-5)
        assert row["l2"] == pytest.approx(np.linalg.norm(guess - truth), rel=1e-5)
        # Ranked among the perturbations evaluated in this context only.
        rivals = [means(observed, context, spelled[c][1]) for c in table.loc[context].index]
        own = np.abs(guess - truth).sum()
        rank = sum(np.abs(guess - rival).sum() < own * (1 - 1e-9) for rival in rivals)
        assert row["pds"] == pytest.approx(1 - rank / (len(rivals) - 1))


@pytest.mark.parametrize(
    "options",
    [{}, {"max_cells": 4, "seed": 3}, {"components": 3, "unbiased": True, "pds_denominator": "n"}],
)
def test_the_rows_of_a_context_are_those_of_its_cells_alone(predicted, observed, options):
    table = metrics.evaluate(predicted, observed, columns=LINE, **options)
    for context in ("x", "y"):
        cells = within(predicted, context), within(observed, context)
        alone = metrics.evaluate(*cells, **options)
        pd.testing.assert_frame_equal(table.loc[context], alone)


def test_controls_given_as_cells_are_matched_too(predicted, observed):
    expected = metrics.evaluate(predicted, observed, columns=LINE)
    is_control = observed.obs["condition"] == "control"
    controls = observed[np.flatnonzero(is_control)[::-1]][:, np.arange(20)[::-1]].copy()
    perturbed = observed[~is_control.to_numpy()].copy()
    for adata in (predicted, controls, perturbed):
        adata.obs["line"] = pd.Categorical(adata.obs["line"], ["z", "y", "x", "unused"])
    found = metrics.evaluate(predicted, perturbed, controls=controls, columns=LINE)
    pd.testing.assert_frame_equal(found, expected)


def test_contexts_need_not_be_text(predicted, observed):
    expected = metrics.evaluate(predicted, observed, columns=LINE)
    number = {"x": 1, "y": 2, "z": 3}
    for adata in (predicted, observed):
        adata.obs["line"] = [number[name] for name in adata.obs["line"]]
    found = metrics.evaluate(predicted, observed, columns=LINE)
    assert found.index.unique("context").tolist() == ["1", "2"]
    np.testing.assert_array_equal(found, expected)


def test_several_columns_make_a_context(predicted, observed):
    expected = metrics.evaluate(predicted, observed, columns=LINE)
    for adata in (predicted, observed):
        adata.obs["day"] = [{"x": 10, "y": 9, "z": 9}[name] for name in adata.obs["line"]]
        adata.obs["half"] = ["-" if name == "x" else "IL6" for name in adata.obs["line"]]
    for keys in (("line", "day"), ["day", "line", "half"]):
        found = metrics.evaluate(predicted, observed, Columns(context=keys))
        names = observed.obs[list(keys)].astype(str).agg("|".join, axis=1)
        shown = sorted(
            {n for n, line in zip(names, observed.obs["line"], strict=True) if line < "z"}
        )
        assert found.index.unique("context").tolist() == shown
        for column in expected:
            assert sorted(found[column]) == sorted(expected[column])
    with pytest.raises(ValueError, match="names no column"):
        metrics.evaluate(predicted, observed, Columns(context=()))
    observed.obs["line"] = observed.obs["line"] + "|IL6"
    observed.obs["half"] = ["IL6|9" if name == "IL6" else "9" for name in observed.obs["half"]]
    observed.obs["line"] = observed.obs["line"].replace({"y|IL6": "x"})
    with pytest.raises(ValueError, match=r"1 names stand for two contexts each.*'x\|IL6\|9'"):
        metrics.evaluate(predicted, observed, Columns(context=("line", "half")))


def test_one_reference_serves_all_contexts(predicted, observed):
    flat = observed.copy()
    flat.X = observed.X.toarray() * (np.arange(20) == 0)  # only the first gene varies
    options: Any = {"columns": LINE, "components": 1, "unbiased": False}
    found = metrics.evaluate(predicted, observed, reference=flat, **options)
    for context in ("x", "y"):
        x, y = (
            within(adata, context)[within(adata, context).obs["condition"] == "A"].X.toarray()[:, 0]
            for adata in (predicted, observed)
        )
        expected = stats.energy_distance(x, y) ** 2
        assert found.loc[(context, "A"), "e_distance"] == pytest.approx(expected, rel=1e-4)


def test_what_differs_between_contexts_only_is_no_response(observed):
    """A line's own controls as the prediction: pooled controls take its identity for an effect."""
    guess = observed[observed.obs["condition"] == "control"].copy()
    guess.obs["condition"] = "A"
    guess = guess[guess.obs["line"] != "z"]
    pooled = metrics.evaluate(guess, observed)
    assert np.isfinite(pooled.loc["A", "discr_cos"])
    matched = metrics.evaluate(guess, observed, columns=LINE)
    assert np.isnan(matched[["discr_cos", "pearson_delta"]]).all(axis=None)


def test_summary_counts_every_context(predicted, observed):
    table = metrics.evaluate(predicted, observed, columns=LINE)
    summary = metrics.summarise(table)
    assert (summary["count"] == 5).all()
    assert summary.loc["mse", "mean"] == pytest.approx(sum(table["mse"]) / 5)


def relabelled(adata, key, old, new):
    adata = adata.copy()
    adata.obs[key] = adata.obs[key].replace({old: new}).astype(object)
    return adata


def test_unmatched_contexts_are_named(predicted, observed):
    score = lambda guess, truth=observed, **options: metrics.evaluate(guess, truth, LINE, **options)
    with pytest.raises(
        ValueError, match=r"1 contexts .* not among .*: 'w'; observed are 'x', 'y', 'z'"
    ):
        score(relabelled(predicted, "line", "y", "w"))
    with pytest.raises(ValueError, match=r"1 .* not among the observed cells: 'C in x'"):
        score(relabelled(predicted, "condition", "A+B", "C"))
    everything = relabelled(predicted, "line", "y", "z")
    with pytest.raises(ValueError, match=r"1 .* not among the observed cells: 'A in z'"):
        score(everything)
    controls = observed[observed.obs["condition"] == "control"]
    message = r"1 contexts have no control cells: 'y'\. .*own context"
    with pytest.raises(ValueError, match=message):
        score(predicted, controls=within(controls, "x"))
    bare = observed[~((observed.obs["line"] == "y") & (observed.obs["condition"] == "control"))]
    with pytest.raises(ValueError, match=message):
        score(predicted, bare)
    with pytest.raises(ValueError, match=message):
        metrics.split_half(bare, columns=LINE)


@pytest.mark.parametrize("side", ["predicted", "observed", "control"])
def test_cells_without_a_context_are_errors(predicted, observed, side):
    cells = {"predicted": predicted, "observed": observed}
    cells["control"] = observed[observed.obs["condition"] == "control"]
    run = lambda cells: metrics.evaluate(
        cells["predicted"], cells["observed"], controls=cells["control"], columns=LINE
    )
    unnamed = cells[side].copy()
    unnamed.obs = unnamed.obs.drop(columns="line")
    message = f"In the {side} cells: obs has no column 'line' for the context"
    with pytest.raises(ValueError, match=message):
        run({**cells, side: unnamed})
    missing = relabelled(cells[side], "line", "x", np.nan)
    count = int((cells[side].obs["line"] == "x").sum())
    with pytest.raises(
        ValueError, match=rf"In the {side} cells: .*'line'\], the context, is missing in {count} of"
    ):
        run({**cells, side: missing})


def test_contexts_with_predicted_controls_only_do_not_count(predicted, observed):
    expected = metrics.evaluate(predicted, observed, columns=LINE)
    more = make_cells(5, {"w": {"control": 3}, "z": {"ctrl": 2}})
    both = ad.concat([predicted, more], index_unique="-", keys=["a", "b"])
    found = metrics.evaluate(both, observed, columns=LINE)
    pd.testing.assert_frame_equal(found, expected)


def test_each_context_is_split_by_itself(observed):
    table = metrics.split_half(observed, columns=LINE, seed=2)
    assert table.index.tolist() == [
        *[("x", "A"), ("x", "A+B"), ("x", "B"), ("y", "A"), ("y", "B"), ("y", "C"), ("z", "C")]
    ]
    for context in SIZES:
        alone = metrics.split_half(within(observed, context), seed=2)
        pd.testing.assert_frame_equal(table.loc[context], alone)
    chosen = metrics.split_half(observed, columns=LINE, conditions=["ctrl+C", "B+A"])
    assert chosen.index.tolist() == [("x", "A+B"), ("y", "C"), ("z", "C")]


def test_conditions_too_small_to_split_are_named_with_their_context():
    sizes = {"x": {"control": 5, "A": 3, "B": 4}, "y": {"control": 5, "A": 4, "B": 2}}
    cells = make_cells(0, sizes)
    with pytest.raises(ValueError, match=r"2 .*cannot be split: 'A in x', 'B in y'"):
        metrics.split_half(cells, columns=LINE)
    with pytest.raises(ValueError, match=r"1 .*cannot be split: 'D'"):
        metrics.split_half(cells, columns=LINE, conditions=["D"])


def test_real_lines_lie_further_apart_than_any_perturbation_moves_them(shared_file):
    """Scored from pooled controls, no prediction at all looks good; matched, it does not."""
    cells = ad.read_h5ad(shared_file("data/mcfaline23_glioma_2586x500.h5ad"))
    controls = cells[cells.obs["condition"] == "control"].copy()
    guess = controls[controls.obs["cell_type"] == "A172"].copy()
    guess.obs["condition"] = "MAPK1"
    there = cells[cells.obs["cell_type"] == "A172"]
    pooled = metrics.evaluate(guess, there, controls=controls)
    matched = metrics.evaluate(
        guess, there, controls=controls, columns=Columns(context="cell_type")
    )
    assert pooled["pearson_delta"].item() > 0.8
    assert np.isnan(matched["discr_cos"].item())
