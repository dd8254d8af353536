"""The pipeline from counts, against the arithmetic done by hand and on real counts."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

from scbig.data import Columns, Screen
from scbig.preprocess import PreprocessConfig, preprocess


def make_counts() -> Any:
    """60 cells of 30 genes; `G1` is perturbed and rare, `Z` is perturbed and not measured."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(1.0, 3.0, 30), (60, 30)).astype(np.float32)
    counts[:, 1] = 0
    counts[2:4, 1] = 1
    counts[:, 2] = 0
    counts[5, :] = 0
    counts[5, 7] = 3
    obs = pd.DataFrame(
        {"condition": ["control", "G1", "Z", "G3+G1", "G4", "G5"] * 10},
        index=pd.Index([f"cell{i}" for i in range(60)]),
    )
    obs.loc[obs["condition"] == "G5", "condition"] = "G4"
    obs.iloc[5, 0] = "lost"
    return ad.AnnData(
        counts, obs=obs, var=pd.DataFrame(index=pd.Index([f"G{i}" for i in range(30)]))
    )


def run(adata, **config) -> Any:
    config = {"min_genes": 3, "min_cells": 10, "variable_genes": 8} | config
    return preprocess(adata, PreprocessConfig(**config))


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_matrix, lambda x: x.astype(np.int64)])
def test_counts_are_filtered_normalised_and_logged(layout):
    counts = make_counts()
    raw = np.asarray(counts.X).copy()
    counts.X = layout(counts.X)
    result = run(counts, variable_genes=1000)
    cells = np.arange(60) != 5
    genes = ((raw[cells] > 0).sum(axis=0) >= 10) | np.isin(np.arange(30), [1, 3, 4])
    kept = raw[cells][:, genes]
    expected = np.log1p(kept / kept.sum(axis=1, keepdims=True) * 1e4)
    assert list(result.var_names) == [f"G{i}" for i in np.flatnonzero(genes)]
    assert list(result.obs_names) == [f"cell{i}" for i in np.flatnonzero(cells)]
    np.testing.assert_allclose(result.X.toarray(), expected, rtol=1e-5)
    np.testing.assert_array_equal(result.layers["counts"].toarray(), kept)


def test_what_was_removed_is_reported():
    counts = make_counts()
    counts.obs["condition"] = pd.Categorical(counts.obs["condition"])
    result = run(counts)
    assert "lost" not in result.obs["condition"].cat.categories
    report = result.uns["preprocess"]
    assert report["removed_cells"] == 1
    assert list(report["removed_conditions"]) == ["lost"]
    assert list(report["perturbed_not_measured"]) == ["Z"]
    assert report["removed_genes_rare"] + report["removed_genes_not_variable"] == 30 - result.n_vars
    assert report["removed_genes_rare"] >= 1
    assert report["min_genes"] == 3


def test_variable_genes_and_every_perturbed_gene_are_kept():
    counts = make_counts()
    everything = run(counts, variable_genes=1000)
    result = run(counts)
    table = sc.pp.highly_variable_genes(everything, n_top_genes=8, inplace=False)
    assert table is not None
    variable = set(everything.var_names[table["highly_variable"].to_numpy()])
    assert len(variable) == 8
    assert set(result.var_names) == variable | {"G1", "G3", "G4"}
    # Normalised by all measured counts, not only by those of the genes that are kept.
    np.testing.assert_array_equal(result.X.toarray(), everything[:, result.var_names].X.toarray())


def test_the_counts_given_stay_as_they_are():
    counts = make_counts()
    before = counts.copy()
    run(counts)
    np.testing.assert_array_equal(counts.X, before.X)
    pd.testing.assert_frame_equal(counts.obs, before.obs)
    assert list(counts.uns) == list(counts.var) == []
    assert list(counts.layers) == list(before.layers)  # nothing, or since anndata 0.13 X as None
    assert "counts" not in counts.layers


def test_the_result_can_be_written_and_read(tmp_path):
    result = run(make_counts(), min_genes=1)
    result.write_h5ad(tmp_path / "screen.h5ad")
    again = ad.read_h5ad(tmp_path / "screen.h5ad")
    assert len(again.uns["preprocess"]["removed_conditions"]) == 0
    Screen.from_anndata(again)


def edited(function) -> Any:
    adata = make_counts()
    function(adata)
    return adata


def set_first(value):
    def edit(adata):
        adata.X[0, 0] = value

    return edit


@pytest.mark.parametrize(
    ("function", "config", "message"),
    [
        (set_first(0.5), {}, r"1 of \d+ non-zero values are not whole.*'G0'.*layers"),
        (set_first(-1), {}, "1 expression values are negative"),
        (set_first(np.nan), {}, "NaN or infinite"),
        (lambda a: None, {"min_genes": 31}, "None of the 60 cells has min_genes=31"),
        (lambda a: a.X[::6].fill(0), {}, "No control cell is left.*'G1'"),
        (lambda a: a.obs.insert(0, "other", a.obs.pop("condition")), {}, "no column 'condition'"),
    ],
)
def test_what_is_not_counts_or_leaves_nothing_is_refused(function, config, message):
    with pytest.raises(ValueError, match=message):
        run(edited(function), **config)


def test_no_gene_left_is_an_error():
    counts = make_counts()
    counts.obs["condition"] = ["control", "Z"] * 30
    with pytest.raises(ValueError, match="No gene is expressed in min_cells=61"):
        run(counts, min_cells=61)


def test_the_papalexi_counts_are_refused_raw_and_accepted_preprocessed(shared_file):
    adata: Any = ad.read_h5ad(shared_file("data/papalexi21_thp1_20729x299.h5ad"))
    read = lambda adata, **options: Screen.from_anndata(
        adata, Columns(condition="target", control="non-targeting", context="batch"), **options
    )
    with pytest.raises(ValueError, match=r"raw counts: all values.*largest 278.*preprocess"):
        read(adata)
    config = PreprocessConfig(min_genes=20, min_cells=50, variable_genes=100)
    result = preprocess(adata, config, Columns(condition="target", control="non-targeting"))
    screen = read(result)
    assert screen.contexts == ("rep_1", "rep_2", "rep_3")
    assert len(screen.perturbations) == 25
    assert 100 <= screen.num_genes <= 125
    measured = set(adata.var_names) & set(screen.perturbations)
    assert measured <= set(screen.genes)
    unmeasured = result.uns["preprocess"]["perturbed_not_measured"]
    assert set(unmeasured) == set(screen.perturbations) - measured
    assert result.uns["preprocess"]["removed_cells"] == adata.n_obs - screen.num_cells
    with pytest.raises(ValueError, match="raw counts"):
        read(result, layer="counts")


def test_conditions_of_few_cells_are_left_out_by_context():
    counts = make_counts()
    lines = np.array(["x", "y"])[np.arange(60) // 30]
    counts.obs["line"] = lines
    counts.obs.iloc[[10, 16, 22], 0] = "few"  # of G4, in x
    settings = PreprocessConfig(min_genes=3, min_cells=1, min_condition_cells=7)
    result: Any = preprocess(counts, settings, Columns(context="line"))
    sizes = pd.Series(list(zip(result.obs["condition"], result.obs["line"], strict=True)))
    sizes = sizes.value_counts().to_dict()
    assert min(size for (name, _), size in sizes.items() if name != "control") >= 7
    assert sizes["control", "x"] == sizes["control", "y"] == 5  # fewer, and kept
    assert {name for name, _ in sizes} == {"control", "G4"}
    report = result.uns["preprocess"]
    assert set(report["removed_conditions"]) == {"few", "lost", "G1", "G1+G3", "Z"}
    assert report["removed_cells"] == 60 - result.n_obs
    assert report["min_condition_cells"] == 7
