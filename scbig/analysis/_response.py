"""What genes do under a perturbation, one by one, and how sure that is."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Float32, Int
from scipy import sparse

from scbig._names import examples
from scbig.data import Screen

from ._resample import averaged, bounds, drawn, generator, populations, response_rows

BLOCK = 512
"""Genes whose draws are made at once."""


def gene_response(
    screen: Screen,
    conditions: Sequence[str] = (),
    *,
    genes: Sequence[str] = (),
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """The change of each gene's mean expression from the controls of the context.

    Besides the table there are in memory the cells of one condition and the controls of one
    context, both sparse, how often each draw has each cell, and of the controls the mean of each
    draw and gene (80 MB for 20,000 genes). An interval is of its gene alone: among thousands some
    miss by chance. All conditions of a context have the draws of its controls in common.

    **Arguments:** `screen`, cells with their controls, measured or predicted, in memory or on disk;
    `conditions` and `genes`, all by default; `draws` of cells and of controls with replacement, and
    their `seed`: those of a condition do not depend on what else is asked for.

    **Returns:** a row for each context, condition and gene: the `response` in units of log
    expression, its 95 % bootstrap interval from `low` to `high`, `cells` and `controls`.

    **Raises:** `ValueError` for unknown genes, and a condition without cells.
    """
    names, columns = _columns(screen, genes)
    tables = []
    # They come context by context.
    found = itertools.groupby(populations(screen, tuple(conditions)), key=lambda own: own[0])
    for context, group in found:
        own = list(group)
        controls = own[0][-1]
        origin = _cells(screen, controls, columns)
        mean, still = _drawn_means(origin, draws, generator(seed, context, "control"))
        for _, name, rows, _ in own:
            times = drawn(len(rows), draws, generator(seed, context, name))
            change, low, high = (np.empty(len(names)) for _ in range(3))
            for block, values in _dense(_cells(screen, rows, columns)):
                change[block] = values.mean(axis=0) - mean[block]
                low[block], high[block] = bounds(averaged(values, times) - still[:, block])
            key = {"context": context, "condition": name, "gene": names}
            tables.append(response_rows(key, change, (low, high), len(rows), len(controls)))
    return pd.concat(tables, ignore_index=True)


def _columns(screen: Screen, genes: Sequence[str]) -> tuple[list[str], Int[np.ndarray, " chosen"]]:
    """The genes that are asked for, each once, and their columns."""
    known = {gene: column for column, gene in enumerate(screen.genes)}
    names = list(dict.fromkeys(genes)) or list(known)
    unknown = [gene for gene in names if gene not in known]
    if unknown:
        raise ValueError(f"The cells have no gene {examples(unknown)}.")
    return names, np.array([known[gene] for gene in names])


def _cells(
    screen: Screen, rows: Int[np.ndarray, " cells"], columns: Int[np.ndarray, " chosen"]
) -> sparse.csc_matrix:
    """Some genes of some cells, by genes."""
    return sparse.csc_matrix(screen.expression[rows][:, columns])


def _dense(cells: sparse.csc_matrix) -> Iterator[tuple[slice, Float[np.ndarray, "cells some"]]]:
    """`BLOCK` genes at a time: where they stand, and their expression."""
    _, count = cells.shape or (0, 0)
    for start in range(0, count, BLOCK):
        block = slice(start, min(start + BLOCK, count))
        yield block, cells[:, block].toarray().astype(np.float64)


def _drawn_means(
    cells: sparse.csc_matrix, draws: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " genes"], Float32[np.ndarray, "draws genes"]]:
    """The mean of each gene over the cells, and over each draw of them."""
    count, genes = cells.shape or (0, 0)
    mean, again = np.empty(genes), np.empty((draws, genes), np.float32)
    times = drawn(count, draws, rng)
    for block, values in _dense(cells):
        mean[block], again[:, block] = values.mean(axis=0), averaged(values, times)
    return mean, again
