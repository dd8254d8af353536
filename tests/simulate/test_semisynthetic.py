"""Cells around given effects: the count model asked for, the same from any block, whole files."""

import dataclasses
import json
import os
import pathlib
import tracemalloc
from typing import Any

import anndata as ad
import numpy as np
import pytest
from scipy import sparse, stats

from scbig.data import Condition, Screen
from scbig.simulate import (
    CountModel,
    Effects,
    Pseudobulk,
    SemiSyntheticConfig,
    _draws as cells_module,
    _semisynthetic as screen_module,
    count_model,
    expected_means,
    semi_synthetic_screen,
    write_semi_synthetic,
)

PLAIN = SemiSyntheticConfig(library_spread=0.0, program_noise=0.0, programs=1, shuffle=False)


def by_hand(
    rate, effects, config=PLAIN, *, loadings=None, controls=2000, cells=1000, names=None
) -> CountModel:
    rate, effects = np.asarray(rate, float), np.atleast_2d(np.asarray(effects, float))
    names = names or [f"P{i}" for i in range(len(effects))]
    if loadings is None:
        loadings = np.zeros((config.programs, len(rate)))
    return CountModel(
        genes=tuple(f"G{i}" for i in range(len(rate))),
        conditions=tuple(Condition.parse(name) for name in names),
        control_rate=rate,
        effects=effects,
        loadings=np.asarray(loadings, np.float32),
        cells=np.array([controls] + [cells] * len(effects)),
        config=config,
        checksum="0" * 64,
    )


@pytest.fixture(scope="module")
def model():
    """40 genes from rare to common, 12 conditions, all sources of noise."""
    rng = np.random.default_rng(0)
    rate = np.exp(rng.uniform(np.log(1e-6), np.log(5e-3), 40))
    config = SemiSyntheticConfig(programs=3, log_normalise=True)
    loadings = rng.normal(size=(3, 40))
    loadings *= config.program_noise / np.linalg.norm(loadings, axis=0)
    names = [f"P{i}" for i in range(8)] + ["P0+P1", "P2+P3", "P4+P5", "P6+P7"]
    return by_hand(
        rate, rng.normal(0, 0.5, (12, 40)), config,
        loadings=loadings, controls=500, cells=60, names=names,
    )  # fmt: skip


@pytest.fixture(scope="module")
def screen(model):
    return semi_synthetic_screen(model, seed=0)


def same(a: ad.AnnData, b: ad.AnnData) -> None:
    for x, y in ((a.X, b.X), (a.layers["counts"], b.layers["counts"])):
        x, y = sparse.csr_matrix(x), sparse.csr_matrix(y)
        np.testing.assert_array_equal(x.indptr, y.indptr)
        np.testing.assert_array_equal(x.indices, y.indices)
        np.testing.assert_array_equal(x.data, y.data)
        assert x.dtype == y.dtype == np.float32
    assert list(a.obs_names) == list(b.obs_names)
    assert list(a.obs["condition"].cat.categories) == list(b.obs["condition"].cat.categories)
    for column in ("condition", "ncounts"):
        np.testing.assert_array_equal(a.obs[column], b.obs[column])
    assert list(a.var_names) == list(b.var_names)
    for name in ("effects", "loadings"):
        np.testing.assert_array_equal(np.asarray(a.varm[name]), np.asarray(b.varm[name]))


def test_the_seed_decides_every_cell(model, screen):
    same(screen, semi_synthetic_screen(model, seed=0))
    other = semi_synthetic_screen(model, seed=1)
    assert (other.layers["counts"] != screen.layers["counts"]).nnz > 1000
    assert list(other.obs["condition"]) != list(screen.obs["condition"])
    with pytest.raises(ValueError, match="must not be negative: got -1"):
        semi_synthetic_screen(model, seed=-1)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_a_file_holds_the_same_cells_whatever_the_block(model, screen, tmp_path, suffix):
    read: Any = ad.read_h5ad if suffix == "h5ad" else ad.read_zarr
    for block in (1, 600, 100_000):
        path = tmp_path / f"{block}.{suffix}"
        write_semi_synthetic(path, model, block=block, seed=0)
        same(read(path), screen)
    assert {p.name for p in tmp_path.iterdir()} == {f"{b}.{suffix}" for b in (1, 600, 100_000)}


def test_counts_alone_or_with_their_logarithm(model, screen, tmp_path):
    bare = dataclasses.replace(model, config=dataclasses.replace(model.config, log_normalise=False))
    write_semi_synthetic(tmp_path / "a.h5ad", bare, seed=0)
    counts: Any = ad.read_h5ad(tmp_path / "a.h5ad")
    assert "counts" not in counts.layers
    assert (screen.layers["counts"] != counts.X).nnz == 0
    dense = counts.X.toarray().astype(float)
    expected = np.log1p(1e4 * dense / counts.obs["ncounts"].to_numpy()[:, None])
    np.testing.assert_allclose(screen.X.toarray(), expected, rtol=1e-5)
    Screen.from_anndata(screen)


def test_sizes_names_and_record(model, screen):
    numbers = screen.obs["condition"].value_counts()
    assert numbers.pop("control") == 500
    assert set(numbers) == {60}
    assert list(screen.obs["condition"].cat.categories) == model.names
    assert screen.layers["counts"].has_sorted_indices
    np.testing.assert_array_equal(screen.X.data > 0, True)
    record = screen.uns["semi_synthetic"]
    assert record["seed"] == 0
    assert record["effects_sha256"] == model.checksum
    assert SemiSyntheticConfig(**json.loads(record["config"])) == model.config


def test_the_truth_is_in_the_file(model, tmp_path):
    write_semi_synthetic(tmp_path / "a.h5ad", model, seed=0)
    found = CountModel.from_anndata(ad.read_h5ad(tmp_path / "a.h5ad"))
    assert found.config == model.config
    assert found.names == model.names
    assert found.genes == model.genes
    for name in ("control_rate", "effects", "loadings", "cells", "rates"):
        np.testing.assert_array_equal(getattr(found, name), getattr(model, name))
    np.testing.assert_array_equal(expected_means(found), expected_means(model))
    with pytest.raises(ValueError, match="no semi-synthetic screen"):
        CountModel.from_anndata(ad.AnnData(np.zeros((1, 1), np.float32)))


def test_without_shuffling_conditions_follow_one_another(model):
    plain = dataclasses.replace(model, config=dataclasses.replace(model.config, shuffle=False))
    codes = semi_synthetic_screen(plain, seed=0).obs["condition"].cat.codes
    np.testing.assert_array_equal(codes, np.repeat(np.arange(13), [500] + [60] * 12))


def test_counts_are_exactly_negative_binomial():
    """Both ways of drawing, against SciPy's probabilities; 13,500 counts in every library."""
    means = np.array([0.002, 0.05, 0.4, 2.0, 2.9, 3.1, 40.0])
    model = by_hand(means / PLAIN.library_size, np.zeros(7), controls=40_000, cells=1)
    adata: Any = semi_synthetic_screen(model, seed=0)
    counts = adata.X.toarray()[:40_000].astype(int)
    for column, mean in zip(counts.T, means, strict=True):
        law = stats.nbinom(1 / PLAIN.dispersion, 1 / (1 + PLAIN.dispersion * mean))
        edges = np.unique(law.ppf(np.linspace(0, 1, 30)[1:-1]))
        bounds = np.concatenate([[-np.inf], edges, [np.inf]])
        seen = np.histogram(column, np.concatenate([[-1], edges + 0.5, [1e9]]))[0]
        expected = np.diff(law.cdf(bounds)) * len(column)
        kept = expected > 5
        seen, expected = seen[kept], expected[kept]
        assert abs(column.mean() - mean) < 5 * law.std() / 200
        if len(seen) > 1:
            chance = stats.chisquare(seen, expected * seen.sum() / expected.sum()).pvalue
            assert chance > 1e-4


def test_rare_genes_can_be_lifted_far():
    """A small dispersion and a library a thousandfold: counts of hundreds from a rare gene."""
    config = dataclasses.replace(PLAIN, dispersion=1e-3, library_spread=2.5)
    model = by_hand(np.full(50, 2e-4), np.zeros(50), config, controls=4000, cells=1)
    adata: Any = semi_synthetic_screen(model, seed=0)
    counts, totals = adata.X.toarray(), adata.obs["ncounts"].to_numpy()
    high, low = totals > 1e6, totals < 1e5
    assert high.sum() > 50
    assert counts.max() > 500
    for part in (high, low):
        rate = counts[part].sum() / totals[part].sum() / 50
        assert rate == pytest.approx(2e-4, rel=0.02)


def naive(model: CountModel, group: int, cells: int, seed: int) -> np.ndarray:
    """The model's formula, one cell and one gene at a time."""
    rng, config = np.random.default_rng(seed), model.config
    change = np.concatenate([np.zeros((1, len(model.genes))), model.effects])[group]
    size = 1 / config.dispersion
    rows = []
    for _ in range(cells):
        library = config.library_size * np.exp(config.library_spread * rng.standard_normal())
        activity = rng.standard_normal(len(model.loadings))
        row = []
        for gene, rate in enumerate(model.control_rate):
            weights = model.loadings[:, gene].astype(float)
            lift = activity @ weights - 0.5 * weights @ weights
            mean = library * rate * np.exp(change[gene] + lift)
            row.append(rng.negative_binomial(size, size / (size + mean)))
        rows.append(row)
    return np.array(rows, float)


def test_mean_variance_and_covariance_are_those_of_a_naive_loop():
    rng = np.random.default_rng(1)
    config = SemiSyntheticConfig(programs=2, program_noise=0.5)
    loadings = rng.normal(size=(2, 6))
    loadings[:, 1], loadings[:, 3] = loadings[:, 0], -loadings[:, 2]
    loadings *= 0.5 / np.linalg.norm(loadings, axis=0)
    rate = np.array([1e-3, 1e-3, 1e-3, 1e-3, 3e-5, 1e-4])
    model = by_hand(rate, [np.linspace(-1, 1, 6)], config, loadings=loadings, cells=30_000)
    adata: Any = semi_synthetic_screen(model, seed=0)
    drawn = adata[adata.obs["condition"] == "P0"].X.toarray().astype(float)
    loop = naive(model, 1, 10_000, seed=0)
    error = np.hypot(drawn.std(0) / np.sqrt(len(drawn)), loop.std(0) / np.sqrt(len(loop)))
    np.testing.assert_array_less(np.abs(drawn.mean(0) - loop.mean(0)), 4.5 * error)
    np.testing.assert_allclose(drawn.var(0), loop.var(0), rtol=0.15)
    # In closed form too: mean, and variance = mu + mu^2 ((1 + alpha) e^(sigma^2 + tau^2) - 1).
    tau, alpha = config.library_spread, config.dispersion
    mean = model.rates[1] * config.library_size * np.exp(tau**2 / 2)
    np.testing.assert_allclose(drawn.mean(0), mean, rtol=0.03)
    beyond = (1 + alpha) * np.exp(0.25 + tau**2) - 1
    np.testing.assert_allclose(drawn.var(0), mean + beyond * mean**2, rtol=0.12)
    # Genes of one direction rise and fall together beyond the library, those opposed do not.
    shared = np.cov(drawn.T) / np.outer(mean, mean)
    wanted = np.exp(loadings.T @ loadings + tau**2) - 1
    assert shared[0, 1] == pytest.approx(wanted[0, 1], rel=0.12)
    assert shared[2, 3] == pytest.approx(wanted[2, 3], abs=0.04)
    assert shared[0, 1] > 0.3 > 0 > shared[2, 3]


def test_the_effects_come_back_as_ratios_of_means(model):
    """Rates of a condition over those of the controls, normalised by the cell's own total."""
    big = dataclasses.replace(model, cells=np.array([20_000] + [2000] * 12))
    adata: Any = semi_synthetic_screen(big, seed=2)
    counts = adata.layers["counts"].toarray()
    totals = adata.obs["ncounts"].to_numpy(float)
    codes = adata.obs["condition"].cat.codes.to_numpy()
    rates, errors = [], []
    for group in range(13):
        part, total = counts[codes == group].astype(float), totals[codes == group].sum()
        rates.append(part.sum(0) / total)
        errors.append(part.std(0) / part.mean(0).clip(1e-9) / np.sqrt(len(part)))
    rates, errors = np.array(rates), np.array(errors)
    seen = rates[0] * 20_000 * 13_500 > 300
    assert seen.sum() > 25
    off = np.log(rates[1:, seen] / rates[0, seen]) - model.effects[:, seen]
    score = off / np.hypot(errors[1:, seen], errors[0, seen])
    assert abs(score.mean()) < 0.25
    assert 0.8 < score.std() < 1.15
    # The total is that of a library, of which the screen's genes are a part.
    library = 13_500 * np.exp(0.37**2 / 2)
    np.testing.assert_allclose(totals.mean(), library, rtol=0.01)
    assert totals.min() >= counts.sum(1).min()
    assert np.log(totals).std() == pytest.approx(0.37, abs=0.01)


def test_expected_means_are_what_many_cells_average_to(model):
    big = dataclasses.replace(model, cells=np.array([30_000] + [2500] * 12))
    adata: Any = semi_synthetic_screen(big, seed=3)
    codes, expected = adata.obs["condition"].cat.codes.to_numpy(), expected_means(model)
    assert expected.shape == (13, 40)
    for group in (0, 1, 12):
        part = adata.X[codes == group].toarray().astype(float)
        error = part.std(0) / np.sqrt(len(part))
        assert np.all(np.abs(part.mean(0) - expected[group]) < 4.5 * error + 2e-3 * expected[group])


def test_programs_are_axes_of_the_effects_and_numbers_those_asked_for():
    rng = np.random.default_rng(0)
    conditions = tuple(Condition((f"P{i:02d}",)) for i in range(30))
    axes = np.linalg.qr(rng.normal(size=(50, 2)))[0].T
    changes = rng.normal(size=(30, 2)) @ (axes * [[6.0], [3.0]])
    effects = Effects(
        genes=tuple(f"G{i}" for i in range(50)), conditions=conditions, changes=changes
    )
    totals = np.linspace(1e6, 3e6, 30)
    bulk = Pseudobulk.from_effects(
        effects, control_mean=np.full(50, 100.0), totals=totals, control_total=1e8
    )
    config = SemiSyntheticConfig(
        programs=2, program_noise=0.4, shrink=False, measured_numbers=True, control_cells=77
    )
    model = count_model(effects, config, pseudobulk=bulk)
    np.testing.assert_allclose(np.linalg.norm(model.loadings, axis=0), 0.4, rtol=1e-5)
    # Before each gene is scaled, programs are orthogonal and span the plane of the effects.
    centred = changes - changes.mean(axis=0)
    size = np.linalg.norm(np.linalg.lstsq(axes.T, np.eye(50), rcond=None)[0], axis=0)
    assert size.min() > 0
    similar = np.corrcoef(centred.T)
    together = model.loadings.T @ model.loadings / 0.16
    np.testing.assert_allclose(np.diag(together), 1, rtol=1e-5)
    np.testing.assert_allclose(together, similar, atol=1e-4)
    assert model.cells[0] == 77
    np.testing.assert_allclose(model.cells[1:], 400 * totals / totals.mean(), atol=0.5)
    equal = count_model(
        effects, dataclasses.replace(config, measured_numbers=False), pseudobulk=bulk
    )
    assert set(equal.cells[1:]) == {400}


def test_a_base_line_that_cannot_be_is_refused(model):
    effects = Effects(
        genes=("a", "b"),
        conditions=(Condition(("A",)), Condition(("B",))),
        changes=np.array([[0.0, 0.0], [4.0, 0.0]]),
    )
    options = {"totals": np.array([1e6, 1e6]), "control_total": 1e7}
    high = Pseudobulk.from_effects(effects, control_mean=np.array([6e5, 6e5]), **options)
    with pytest.raises(ValueError, match=r"add up to 1.2, more than a library"):
        count_model(effects, SemiSyntheticConfig(), pseudobulk=high)
    raised = Pseudobulk.from_effects(effects, control_mean=np.array([6e4, 6e4]), **options)
    with pytest.raises(ValueError, match=r"In 1 conditions .* more than a library: 'B'"):
        count_model(effects, SemiSyntheticConfig(shrink=False), pseudobulk=raised)
    with pytest.raises(ValueError, match="other genes or conditions"):
        count_model(
            dataclasses.replace(effects, genes=("a", "c")), SemiSyntheticConfig(), pseudobulk=raised
        )
    with pytest.raises(ValueError, match="its own config"):
        semi_synthetic_screen(model, SemiSyntheticConfig(), seed=0)


class DiskFullError(OSError):
    """Stands for a write that fails."""


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_nothing_and_spoils_nothing(
    model, screen, tmp_path, monkeypatch, suffix, there
):
    path = tmp_path / f"screen.{suffix}"
    if there:
        write_semi_synthetic(path, model, seed=0)

    def fail(*_):
        left = [p.name for p in tmp_path.iterdir() if p.name != path.name]
        assert left
        raise DiskFullError("No space left on device")

    monkeypatch.setattr(screen_module, "_obs", fail)
    with pytest.raises(DiskFullError):
        write_semi_synthetic(path, model, seed=1)
    assert [p.name for p in tmp_path.iterdir()] == ([path.name] if there else [])
    if there:
        read: Any = ad.read_h5ad if suffix == "h5ad" else ad.read_zarr
        same(read(path), screen)


def test_a_zarr_folder_is_replaced_whole(model, tmp_path, monkeypatch):
    path = tmp_path / "screen.zarr"
    write_semi_synthetic(path, model, seed=0)
    write_semi_synthetic(path, model, seed=1)
    same(ad.read_zarr(path), semi_synthetic_screen(model, seed=1))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    rename = os.replace

    def fail(source, target):
        # zarr renames its own files too.
        if pathlib.Path(target) == path and ".partial" in str(source):
            assert not path.exists()
            raise DiskFullError
        rename(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(DiskFullError):
        write_semi_synthetic(path, model, seed=0)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    same(ad.read_zarr(path), semi_synthetic_screen(model, seed=1))


def test_other_formats_and_blocks_are_refused(model, tmp_path):
    with pytest.raises(ValueError, match=r"\.h5ad or \.zarr"):
        write_semi_synthetic(tmp_path / "screen.csv", model, seed=0)
    with pytest.raises(ValueError, match="block must be positive"):
        write_semi_synthetic(tmp_path / "screen.h5ad", model, block=0, seed=0)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_writing_never_holds_the_matrix(tmp_path, monkeypatch, suffix):
    """12,000 cells more are 17 MB more of matrix; a fifth of that is names and totals of cells."""
    # Of two threads, both are at their peak together in some runs only.
    monkeypatch.setattr(cells_module, "WORKERS", 1)
    peaks = []
    for controls in (1000, 4000, 16_000):  # the first loads what is loaded once
        model = by_hand(np.full(200, 2e-4), np.zeros(200), controls=controls, cells=1)
        tracemalloc.start()
        try:
            write_semi_synthetic(tmp_path / f"a.{suffix}", model, block=1024, seed=0)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    read: Any = ad.read_h5ad if suffix == "h5ad" else ad.read_zarr
    assert read(tmp_path / f"a.{suffix}").X.nnz * 8 > 20e6
    assert peaks[2] - peaks[1] < 4e6
