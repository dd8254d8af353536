"""Other tables of embeddings beside the given one: of files, of GO terms, of nothing at all."""

import zlib
from dataclasses import dataclass

import numpy as np

from scbig import priors

from .benchmark import Benchmark
from .measured import named, renaming, screen_of

GIVEN, GO, RANDOM = "given", "GO terms", "random"


@dataclass(frozen=True, kw_only=True)
class WithTables(Benchmark):
    """A benchmark that reads further tables of embeddings."""

    tables: tuple[str, ...] = ()
    """`name=FILE`: embeddings of genes, read as `--embeddings` is."""


def tables(bench: WithTables) -> dict[str, priors.EmbeddingTable]:
    """Each table with a vector for all that is measured or perturbed, the given one first.

    GO terms are there with `--annotations`; random vectors, of the given width, say what a table
    is worth that tells genes apart and means nothing. What a table lacks has its mean.
    """
    given, screen = bench.measured, screen_of(bench.measured)
    if given.files.embeddings is None:
        raise SystemExit("--embeddings is needed: the table that the others are held against.")
    read = lambda path: priors.read_embeddings(path, duplicates="mean")
    found = {GIVEN: read(given.files.embeddings)}
    found |= {name: read(path) for name, path in named("tables", bench.tables)}
    if given.annotations is not None:
        known = priors.read_annotations(given.annotations)
        most = min(len(known.go), len({term for own in known.go.values() for term in own}))
        found[GO] = known.embeddings(components=min(64, most - 1))
    own = {name: renaming(given, screen, table.names, name) for name, table in found.items()}
    found = {name: table.renamed(own[name]) for name, table in found.items()}
    names = (*screen.genes, *(p for p in screen.perturbations if p not in {*screen.genes}))
    width = found[GIVEN].vectors.shape[1]
    found[RANDOM] = priors.EmbeddingTable(names, _random(names, width))
    filled = {name: table.align(names, missing="mean").vectors for name, table in found.items()}
    return {name: priors.EmbeddingTable(names, own) for name, own in filled.items()}


def _random(names: tuple[str, ...], width: int) -> np.ndarray:
    """A vector for each name, by the name alone."""
    rows = [np.random.default_rng(zlib.crc32(name.encode())).normal(size=width) for name in names]
    return np.stack(rows).astype(np.float32)
