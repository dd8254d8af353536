"""Responses and coactivation of programs, against loops and where the answer is known."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from scbig import analysis
from scbig.data import Screen
from scbig.programs import GenePartition

PARTITION = GenePartition.from_labels(np.arange(20) // 5, 4)


def test_a_response_is_the_change_of_a_programs_mean(four_genes):
    table = analysis.program_response(four_genes, PARTITION, ["g1", "g0+g1"], draws=300)
    assert len(table) == 2 * 4
    cells = four_genes.dense()
    rows: Any = table.itertuples()
    for row in rows:
        genes = np.arange(20) // 5 == row.program
        mean = lambda name, genes=genes: cells[four_genes.rows(name)][:, genes].mean()
        assert row.response == pytest.approx(mean(row.condition) - mean("control"), abs=1e-5)
        assert row.low <= row.response <= row.high
    # Each of g0 to g3 raises the program of its number.
    own = table[table.condition == "g1"].set_index("program")
    assert own.response.idxmax() == 1
    assert own.low[1] > 0


def together(screen: Screen, name: str) -> Screen:
    """Programs 0 and 1 rise and fall together in the cells of a condition, 2 against them."""
    rng, cells = np.random.default_rng(0), screen.dense()
    rows = screen.rows(name)
    level = rng.normal(0, 1, (len(rows), 1))
    cells[rows, :] = 3 + 0.1 * rng.normal(size=(len(rows), 20))
    for program, sign in ((0, 1), (1, 1), (2, -1)):
        cells[np.ix_(rows, np.flatnonzero(np.arange(20) // 5 == program))] += sign * 0.5 * level
    return dataclasses.replace(
        screen, expression=sparse.csr_matrix(np.maximum(cells, 0).astype(np.float32))
    )


def test_programs_that_move_together_are_found(four_genes):
    screen = together(four_genes, "g2")
    table = analysis.coactivation(screen, PARTITION, ["g2"], draws=100)
    assert len(table) == 6
    pairs = table.set_index(["one", "other"])
    assert pairs.coactivation[0, 1] > 0.9
    assert pairs.positive[0, 1] == 1
    assert pairs.above[0, 1] > 0.95
    assert pairs.coactivation[0, 2] < -0.9
    assert pairs.positive[1, 2] == 0
    assert 0.02 < pairs.positive[0, 3] < 0.98
    means = np.stack(
        [screen.dense(screen.rows("g2"))[:, np.arange(20) // 5 == k].mean(axis=1) for k in range(4)]
    )
    wanted = np.corrcoef(means)
    for (one, other), value in pairs.coactivation.items():
        assert value == pytest.approx(wanted[one, other], abs=1e-4)


def test_a_constant_program_goes_with_nothing(four_genes):
    cells = four_genes.dense()
    cells[:, :5] = 0
    still = dataclasses.replace(four_genes, expression=sparse.csr_matrix(cells))
    table = analysis.coactivation(still, PARTITION, ["g1"], draws=5).set_index(["one", "other"])
    assert (table.coactivation[0] == 0).all()
    assert np.isfinite(table.to_numpy()[:, 2:].astype(float)).all()


def test_contexts_have_their_own_controls(four_genes):
    place = (np.arange(four_genes.num_cells) % 2).astype(np.int32)
    screen = dataclasses.replace(four_genes, contexts=("a", "b"), context_index=place)
    table = analysis.program_response(screen, PARTITION, ["g1"], draws=20)
    assert table.groupby("context").cells.first().to_dict() == {"a": 12, "b": 12}
    cells, rows = screen.dense(), screen.rows("g1", "b")
    own = table[(table.context == "b") & (table.program == 1)].response.item()
    wanted = cells[rows][:, 5:10].mean() - cells[screen.rows("control", "b")][:, 5:10].mean()
    assert own == pytest.approx(wanted, abs=1e-5)


def test_programs_of_other_genes_are_refused(four_genes):
    other = GenePartition.from_labels(np.arange(12) % 3, 3)
    with pytest.raises(ValueError, match="programs are of 12 genes, the cells of 20"):
        analysis.program_response(four_genes, other)
