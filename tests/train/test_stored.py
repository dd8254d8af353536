"""A screen on disk trains as the same screen in memory does."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import zarr
from anndata.io import write_elem

from scbig import train
from scbig.data import Screen
from scbig.method import Weighted, but
from scbig.objective import Reconstruction
from scbig.sampling import CellIndex
from scbig.train._latents import latents_of

from .conftest import TINY

# A buffer of two batches, and blocks that neither it nor the number of cells is a multiple of.
STREAMED = but(
    TINY,
    **{
        "stage1.epochs": 2,
        "stage1.buffer": 64,
        "stage1.block": 7,
        "terms.Consistency.losses.PathwayAlignment.pool": 9,
    },
)


def on_disk(screen, path):
    adata = screen.to_anndata()
    if path.suffix == ".h5ad":
        adata.write_h5ad(path)
    else:
        write_elem(zarr.open_group(str(path), mode="w", zarr_format=2), "/", adata)
    return Screen.open(path)


@pytest.fixture(scope="module")
def stored(screen, tmp_path_factory):
    return on_disk(screen, tmp_path_factory.mktemp("stored") / "screen.h5ad")


@pytest.mark.slow
def test_training_from_disk_gives_the_numbers_of_training_from_memory(
    screen, stored, priors, tmp_path
):
    run = lambda cells, out: train.fit(
        cells, priors, STREAMED, out=tmp_path / out, progress=False, key=jr.key(3)
    )
    memory, disk = run(screen, "memory"), run(stored, "disk")
    arrays = lambda fit: jax.tree.leaves(eqx.filter(fit.model.pure, eqx.is_array))
    for one, other in zip(arrays(memory), arrays(disk), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    timeless = lambda fit: fit.history.drop(columns="steps_per_second")
    np.testing.assert_allclose(
        timeless(memory).select_dtypes("number"), timeless(disk).select_dtypes("number"), rtol=1e-4
    )
    latents = list((tmp_path / "disk").glob("latents-*.npy"))
    assert len(latents) == 1
    assert not list((tmp_path / "memory").glob("latents-*.npy"))
    rows = np.load(latents[0], mmap_mode="r")
    assert rows.shape[1] == STREAMED.encoder.latent
    assert 0 < rows.shape[0] < screen.num_cells


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_a_run_that_goes_on_reads_the_latents_that_are_there(screen, model, tmp_path, suffix):
    stored = on_disk(screen, tmp_path / f"screen.{suffix}")
    first = latents_of(model, stored, folder=tmp_path)
    np.testing.assert_allclose(
        first, model.encode_cells(jnp.asarray(screen.dense())), rtol=1e-5, atol=1e-6
    )
    (path,) = tmp_path.glob("*.npy")
    np.save(path, 0 * np.asarray(first))
    assert not np.any(latents_of(model, stored, folder=tmp_path))
    # Another encoder's latents, or those of other cells, are not mistaken for these.
    fewer = stored.select([next(c for c in stored.conditions if not c.is_control)])
    assert latents_of(model, fewer, folder=tmp_path).shape[0] == fewer.num_cells
    np.save(path, np.asarray(first)[:3])
    with pytest.raises(ValueError, match="shape"):
        latents_of(model, stored, folder=tmp_path)
    np.save(path, np.asarray(first))
    other = dataclasses.replace(model, mean=model.mean + 1)
    assert np.any(latents_of(other, stored, folder=tmp_path))


def test_the_pool_keeps_cells_of_each_condition_and_all_of_a_small_one(screen):
    index = CellIndex.from_screen(screen)
    pool, rows = index.pooled(9)
    assert np.all(pool.size == 9)
    assert len(np.unique(rows)) == len(rows) == 9 * index.num_groups
    for group in range(index.num_groups):
        own = rows[np.asarray(pool.order)[int(pool.start[group]) :][:9]]
        condition = int(index.condition[group])
        assert set(screen.condition_index[own]) == {condition}
    everything, rows = index.pooled(10_000)
    np.testing.assert_array_equal(rows, index.order)
    np.testing.assert_array_equal(everything.start, index.start)


def test_what_needs_all_cells_in_memory_is_refused(stored, priors):
    with pytest.raises(ValueError, match="stage1.buffer"):
        train.fit(stored, priors, TINY, progress=False, key=jr.key(0))
    terms = (*STREAMED.terms, Weighted(Reconstruction(32), 1.0))
    parts = ("velocity", "encoder", "decoder")
    whole = but(STREAMED, terms=terms, **{"stage2.trains": parts})
    with pytest.raises(ValueError, match="only the flow can train"):
        train.fit(stored, priors, whole, progress=False, key=jr.key(0))
