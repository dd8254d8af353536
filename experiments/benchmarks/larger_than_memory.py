"""A screen of a million cells on two cores: written, preprocessed, read, encoded and sampled.

    python experiments/benchmarks/larger_than_memory.py --effects FILE.npz --out runs/large

Each part runs in a process of its own, whose peak of memory is printed beside its speed. anndata's
AnnLoader is measured where torch is installed; `--part annbatch` in an environment with annbatch
(Python 3.12) measures that one on the same cells.
"""

import itertools
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import tyro

PARTS = ("write", "preprocess", "open", "feed", "annloader", "train", "encode", "sample", "flow")
SECONDS = 60.0
"""How long a loader is measured at most."""


@dataclass(frozen=True, kw_only=True)
class Large:
    """Sizes and places."""

    effects: pathlib.Path
    """npz of given effects, for `scbig.simulate.read_effects`."""
    out: pathlib.Path
    """Folder for the files (3 GB for a million cells); those that are there are used again."""
    cells: int = 1_000_000
    batch: int = 256
    buffer: int = 16_384
    block: int = 256
    part: str | None = None
    """Only this part, in this process."""

    @property
    def counts(self) -> pathlib.Path:
        """The screen as it was drawn."""
        return self.out / "counts.h5ad"

    @property
    def prepared(self) -> pathlib.Path:
        """The preprocessed screen."""
        return self.out / "prepared.h5ad"


def write(run: Large) -> int:
    """Draws the screen, block by block."""
    from scbig import simulate

    effects = simulate.read_effects(run.effects)
    each = round(run.cells / (len(effects.conditions) + 20))
    sizes = simulate.SemiSyntheticConfig(cells_per_condition=each, control_cells=20 * each)
    simulate.write_semi_synthetic(run.counts, effects, sizes, seed=0)
    return each * (len(effects.conditions) + 20)


def preprocess(run: Large) -> int:
    """Filters, normalises, takes the logarithm, chooses the genes."""
    from scbig.preprocess import PreprocessConfig, preprocess_file

    thresholds = PreprocessConfig(min_genes=20, variable_genes=1_900)
    report = preprocess_file(run.counts, run.prepared, thresholds)
    print({name: report[name] for name in report if name.startswith("removed")}, file=sys.stderr)
    return _screen(run).num_cells


def _screen(run: Large):
    from scbig import data

    return data.Screen.open(run.prepared)


def open_screen(run: Large) -> int:
    """Opens and checks the file: one pass over it."""
    return _screen(run).num_cells


def feed(run: Large) -> int:
    """Brings shuffled, dense batches to the device, as stage 1 does."""
    import jax.random as jr

    from scbig.sampling import Order
    from scbig.train import make_feed

    screen = _screen(run)
    order = Order.of(screen.num_cells, run.batch, run.buffer, run.block, key=jr.key(0))
    calls = itertools.islice(make_feed(screen, order)(0), order.calls_per_epoch)
    return _for_a_while(cells.shape[0] for cells, _ in calls)


def _for_a_while(sizes) -> int:
    begun, total = time.perf_counter(), 0
    for size in sizes:
        total += size
        if time.perf_counter() - begun > SECONDS:
            break
    _measured.append(time.perf_counter() - begun)
    return total


def annloader(run: Large) -> int:
    """The same cells through anndata.experimental.AnnLoader, shuffled, dense."""
    import anndata as ad
    from anndata.experimental import AnnLoader

    adata = ad.read_h5ad(run.prepared, backed="r")
    loader = AnnLoader([adata], batch_size=run.batch, shuffle=True)
    return _for_a_while(batch.X.shape[0] for batch in loader)


def annbatch(run: Large) -> int:
    """The same cells through annbatch, from its own shuffled zarr collection."""
    import h5py
    import zarr
    from annbatch import Loader  # pyright: ignore[reportMissingImports]
    from anndata.io import sparse_dataset

    zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})
    path = run.out / "annbatch.zarr"
    if not path.exists():
        source: Any = h5py.File(run.prepared)["X"]
        _convert(sparse_dataset(source), path)
    loader = Loader(
        batch_size=run.batch,
        chunk_size=run.block,
        preload_nchunks=run.buffer // run.block,
        shuffle=True,
    )
    stored: Any = zarr.open_group(path, mode="r")["X"]
    loader.add_dataset(sparse_dataset(stored))
    return _for_a_while(batch["X"].toarray().shape[0] for batch in loader)


def _convert(source: Any, path: pathlib.Path) -> None:
    """The matrix as sharded zarr, which is what annbatch wants."""
    import anndata as ad
    import zarr

    ad.settings.zarr_write_format = 3
    group = zarr.open_group(path, mode="w", zarr_format=3)
    layout = {"chunks": (32_768,), "shards": (4_194_304,)}
    ad.io.write_elem(group, "X", source[:8192], dataset_kwargs=layout)
    written: Any = group["X"]
    stored: Any = ad.io.sparse_dataset(written)
    for start in range(8192, source.shape[0], 65_536):
        stored.append(source[start : start + 65_536])


def _model(screen, config):
    """An untrained model of the screen's genes in programs of their order."""
    import jax.numpy as jnp
    import jax.random as jr
    import numpy as np

    from scbig.model import make_model
    from scbig.programs import GenePartition

    rng = np.random.default_rng(0)
    return make_model(
        config.networks,
        partition=GenePartition.from_labels(np.arange(screen.num_genes) % 12, 12),
        embeddings=jnp.asarray(rng.normal(size=(screen.num_genes, 32)), jnp.float32),
        mean=jnp.asarray(screen.mean()),
        tokens=jnp.asarray(rng.normal(size=(len(screen.perturbations), 32)), jnp.float32),
        key=jr.key(0),
    )


def train(run: Large) -> int:
    """Trains the small preset's autoencoder on what the feed brings."""
    import jax
    import jax.random as jr

    from scbig import method, train as T

    base = method.cpu()
    sizes = method.but(base.stage1, batch=run.batch, buffer=run.buffer, block=run.block)
    screen = _screen(run)
    kept, held = T.hold_out_cells(screen, 0.01, key=jr.key(1))
    model = _model(screen, base)
    stage, state, _ = T.autoencoder_stage(model, kept, held, sizes, key=jr.key(2))
    fed = stage.feed(0)
    state, _ = jax.block_until_ready(stage.advance(state.train, next(fed), jr.key(3)))  # compiles
    states = [state]

    def advance(data) -> int:
        state, _ = jax.block_until_ready(stage.advance(states.pop(), data, jr.key(3)))
        states.append(state)
        return stage.steps_per_call * run.batch

    return _for_a_while(map(advance, fed))


def encode(run: Large) -> int:
    """Encodes every cell once and writes the latents."""
    from scbig.method import cpu
    from scbig.train import latents_of

    screen = _screen(run)
    latents = latents_of(_model(screen, cpu()), screen, folder=run.out)
    return latents.shape[0]


def sample(run: Large) -> int:
    """Draws conditions, their cells and their controls from the latents, inside one program."""
    import jax
    import jax.numpy as jnp
    import jax.random as jr
    import numpy as np

    from scbig.sampling import CellIndex

    screen = _screen(run)
    index = CellIndex.from_screen(screen)
    (path,) = run.out.glob("latents-*.npy")
    latents = jnp.asarray(np.load(path, mmap_mode="r"))

    def step(carry, key):
        group, cell, control = jr.split(key, 3)
        groups = index.draw_groups(8, key=group)
        ends = latents[index.draw_cells(groups, 32, key=cell)]
        starts = latents[index.draw_controls(groups, 32, key=control)]
        return carry + jnp.mean(ends - starts), None

    steps = 10_000
    draw = jax.jit(lambda key: jax.lax.scan(step, 0.0, jr.split(key, steps))[0])
    draw(jr.key(0)).block_until_ready()
    begun = time.perf_counter()
    draw(jr.key(1)).block_until_ready()
    _measured.append(time.perf_counter() - begun)
    return steps * 8 * 32 * 2


def flow(run: Large) -> int:
    """Makes all that stage 2 reads, with both alignments, and takes some of its steps."""
    import jax
    import jax.random as jr
    import numpy as np

    from scbig import method, train as T
    from scbig.priors import PathwayLibrary
    from scbig.service import Names

    config = method.on_disk(method.cpu())
    screen = _screen(run)
    model = _model(screen, config)
    names = Names(genes=screen.genes, perturbations=screen.perturbations)
    latents = T.latents_of(model, screen, folder=run.out)
    chosen = np.random.default_rng(1).random((600, screen.num_genes)) < 0.02
    sets = {f"P{i}": tuple(np.array(screen.genes)[own]) for i, own in enumerate(chosen)}
    learn = T.make_setting(model, names, screen, config, PathwayLibrary(sets))
    few = T.hold_out_cells(screen, 0.01, key=jr.key(1))[1]
    judge = T.make_setting(model, names, few, config, PathwayLibrary(sets))
    prepared = T.Prepared.of(learn, judge, config, latents=latents, key=jr.key(2))
    stage, state, _ = T.flow_stage(model, prepared, config)
    fed = stage.feed(0)
    state, _ = jax.block_until_ready(stage.advance(state.train, next(fed), jr.key(3)))  # compiles
    begun = time.perf_counter()
    jax.block_until_ready(stage.advance(state, next(fed), jr.key(3)))
    _measured.append(time.perf_counter() - begun)
    term: Any = config.flow
    return stage.steps_per_call * term.groups * term.cells


_measured: list[float] = []
"""Seconds that a part measured itself, without what came before."""


def one(run: Large) -> None:
    """Runs one part and prints what it took, as JSON."""
    begun = time.perf_counter()
    cells = {**globals(), "open": open_screen}[str(run.part)](run)
    seconds = _measured[-1] if _measured else time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"cells": cells, "seconds": seconds, "peak": peak}))


def main(run: Large) -> None:
    """Runs all parts, each in a process of its own."""
    run.out.mkdir(parents=True, exist_ok=True)
    print(f"{'part':<12}{'cells':>12}{'seconds':>10}{'cells/s':>12}{'peak GiB':>10}")
    for part in PARTS:
        if (part == "write" and run.counts.exists()) or (
            part == "preprocess" and run.prepared.exists()
        ):
            continue
        words = [f"--{name}={getattr(run, name)}" for name in ("effects", "out", "cells")]
        words += [f"--{name}={getattr(run, name)}" for name in ("batch", "buffer", "block")]
        command = [sys.executable, __file__, *words, f"--part={part}"]
        with tempfile.TemporaryFile("w+") as errors:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True)
            errors.seek(0)
            told = errors.read()
        if done.returncode:
            print(f"{part:<12}not measured: {told.strip().splitlines()[-1]}")
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        rate = found["cells"] / found["seconds"]
        print(
            f"{part:<12}{found['cells']:>12,}{found['seconds']:>10.1f}{rate:>12,.0f}"
            f"{found['peak']:>10.2f}",
            flush=True,
        )


if __name__ == "__main__":
    large = tyro.cli(Large, description=__doc__)
    main(large) if large.part is None else one(large)
