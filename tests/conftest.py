"""The real data, where it is at hand."""

import functools
import os
import pathlib

import numpy as np
import pytest
from scipy import sparse

from scbig.data import Condition, Screen

SHARED = pathlib.Path(os.environ.get("SCBIG_SHARED", pathlib.Path(__file__).parents[2] / "shared"))


@pytest.fixture
def shared_file():
    """Finds a file of the shared data folder, or skips the test, visibly."""

    def find(relative: str) -> pathlib.Path:
        path = SHARED / relative
        if not path.exists():
            pytest.skip(f"{relative} is not in {SHARED}; set SCBIG_SHARED to its folder")
        return path

    return find


SINGLES = ("g0", "g1", "g2", "g3")
DOUBLES = ("g0+g1", "g0+g2", "g0+g3", "g1+g3", "g2+g3")


@functools.cache
def four_genes_screen() -> Screen:
    """See `four_genes`."""
    rng = np.random.default_rng(0)
    names = sorted([(), *(tuple(label.split("+")) for label in (*SINGLES, *DOUBLES))])
    group = np.repeat(np.arange(len(names)), 24)
    rates = np.full((len(names), 20), 1.5)
    for row, perturbed in enumerate(names):
        for place in (int(name[1:]) for name in perturbed):
            rates[row, [place, *range(5 * place, 5 * place + 5)]] *= 4.0
    counts = rng.poisson(rates[group]).astype(np.float64)
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1.0)
    return Screen(
        expression=sparse.csr_matrix(np.log1p(counts / total * 50.0).astype(np.float32)),
        genes=tuple(f"g{n}" for n in range(20)),
        cells=tuple(map(str, range(len(group)))),
        conditions=tuple(Condition(name) for name in names),
        condition_index=group.astype(np.int32),
        context_index=np.zeros(len(group), np.int32),
    )


@pytest.fixture(scope="session")
def four_genes() -> Screen:
    """Sparse log expression of 20 genes: each of four raises itself and five others, fourfold.

    24 cells of each of four singles, five doubles and the controls.
    """
    return four_genes_screen()
