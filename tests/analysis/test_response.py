"""Responses of genes: means and intervals against loops, and what stays in memory."""

import dataclasses
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbig import analysis
from scbig.analysis import _response
from scbig.data import Columns, Condition, Screen
from scbig.programs import GenePartition


@pytest.fixture(scope="module")
def screen(four_genes):
    """In two contexts of unequal sizes, of which the second lacks a condition."""
    place = (np.arange(four_genes.num_cells) % 3 == 0).astype(np.int32)
    place[four_genes.rows("g2")] = 0
    return dataclasses.replace(four_genes, contexts=("a", "b"), context_index=place)


def quantile(numbers, share):
    """The linear interpolation between the two nearest of the sorted numbers."""
    ordered = sorted(numbers)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def test_means_and_intervals_are_those_of_a_loop_over_the_drawn_cells(screen, monkeypatch):
    drawn, times = _response.drawn, []
    monkeypatch.setattr(_response, "drawn", lambda *given: times.append(drawn(*given)) or times[-1])
    monkeypatch.setattr(_response, "BLOCK", 7)
    table = analysis.gene_response(screen, ["g1", "g2"], draws=40)
    wanted = [("a", "g1"), ("a", "g2"), ("b", "g1")]
    assert [*table[["context", "condition"]].drop_duplicates().itertuples(index=False)] == wanted
    assert [*table.gene] == [*screen.genes] * 3
    # The controls of a context are drawn before its conditions.
    drawn_controls, drawn_cells = {"a": times[0], "b": times[3]}, [times[1], times[2], times[4]]
    cells = screen.dense().astype(np.float64)
    for number, (context, name) in enumerate(wanted):
        rows, controls = screen.rows(name, context), screen.rows("control", context)
        own: Any = table.iloc[20 * number : 20 * number + 20]
        assert {*own.cells} == {len(rows)}
        assert {*own.controls} == {len(controls)}
        for gene, row in enumerate(own.itertuples()):
            mean = lambda cells_of, often, gene=gene: (
                sum(n * cells[i, gene] for i, n in zip(cells_of, often, strict=True)) / sum(often)
            )
            once = lambda cells_of: np.ones(len(cells_of), int)
            change = mean(rows, once(rows)) - mean(controls, once(controls))
            assert row.response == pytest.approx(change, abs=1e-6)
            pairs = zip(drawn_cells[number], drawn_controls[context], strict=True)
            again = [mean(rows, n) - mean(controls, m) for n, m in pairs]
            assert row.low == pytest.approx(quantile(again, 0.025), abs=1e-6)
            assert row.high == pytest.approx(quantile(again, 0.975), abs=1e-6)


def test_the_intervals_are_as_wide_as_the_standard_error_says(four_genes):
    """Of means over some dozens of cells: 1.96 standard errors to either side, nearly."""
    table = analysis.gene_response(four_genes, ["g1", "g0+g1"], draws=4000, seed=3)
    cells = four_genes.dense().astype(np.float64)
    for name, own in table.groupby("condition"):
        parts = [cells[four_genes.rows(label)] for label in (str(name), "control")]
        error = np.sqrt(sum(part.var(axis=0) / len(part) for part in parts))
        assert error.min() > 0
        for side, sign in (("low", -1), ("high", 1)):
            distance = sign * (own[side] - own.response) / error
            np.testing.assert_allclose(distance, 1.96, rtol=0.12)


def test_they_are_the_responses_of_the_screen_and_of_its_programs(screen):
    table = analysis.gene_response(screen, draws=5)
    found = screen.responses()
    assert len(table) == found.changes.size
    names = zip(found.context_index, found.condition_index, found.changes, strict=True)
    for context, condition, change in names:
        own = (screen.contexts[context], screen.conditions[condition].name)
        rows = table[(table.context == own[0]) & (table.condition == own[1])]
        np.testing.assert_allclose(rows.response, change, atol=1e-6)
    partition = GenePartition.from_labels(np.arange(20) // 5, 4)
    programs = analysis.program_response(screen, partition, draws=5)
    assert [*table.columns] == ["gene" if c == "program" else c for c in programs.columns]
    means = table.response.to_numpy().reshape(-1, 4, 5).mean(axis=2)
    np.testing.assert_allclose(means.ravel(), programs.response, atol=1e-6)


def test_a_condition_has_its_intervals_whatever_else_is_asked_for(screen, monkeypatch):
    table = analysis.gene_response(screen, draws=30)
    own: Any = table[(table.condition == "g2+g3")].reset_index(drop=True)
    alone = analysis.gene_response(screen, ["g2+g3"], draws=30)
    pd.testing.assert_frame_equal(alone, own)
    some = analysis.gene_response(screen, ["g2+g3"], genes=["g7", "g3", "g7"], draws=30)
    wanted = pd.concat(
        [own[(own.context == c) & (own.gene == g)] for c in "ab" for g in ("g7", "g3")]
    )
    pd.testing.assert_frame_equal(some, wanted.reset_index(drop=True))
    monkeypatch.setattr(_response, "BLOCK", 3)
    pd.testing.assert_frame_equal(analysis.gene_response(screen, draws=30), table)
    assert (analysis.gene_response(screen, ["g2+g3"], draws=30, seed=1).low != own.low).any()


def test_no_two_populations_have_the_same_draws(four_genes, monkeypatch):
    drawn, times = _response.drawn, []
    monkeypatch.setattr(_response, "drawn", lambda *given: times.append(drawn(*given)) or times[-1])
    place = (np.arange(four_genes.num_cells) % 2).astype(np.int32)
    screen = dataclasses.replace(four_genes, contexts=("a", "b"), context_index=place)
    analysis.gene_response(screen, draws=10)
    # Nine conditions and the controls of each context, all of 12 cells.
    assert [own.shape for own in times] == [(10, 12)] * 20
    assert len({own.tobytes() for own in times}) == 20


def test_cells_on_disk_are_the_same_cells(screen, tmp_path):
    screen.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    stored = Screen.open(tmp_path / "cells.h5ad", Columns(context="context"))
    assert stored.stored
    found = analysis.gene_response(stored, ["g0", "g1+g3"], draws=20)
    pd.testing.assert_frame_equal(
        found, analysis.gene_response(screen, ["g0", "g1+g3"], draws=20), rtol=1e-6
    )


def large(conditions: int, genes: int = 600) -> Screen:
    """Some cells of so many conditions."""
    rng = np.random.default_rng(0)
    names = sorted([(), *((f"p{number:02}",) for number in range(conditions))])
    group = np.repeat(np.arange(len(names)), 6)
    return Screen(
        expression=sparse.csr_matrix(rng.gamma(1, 1, (len(group), genes)).astype(np.float32)),
        genes=tuple(f"g{number}" for number in range(genes)),
        cells=tuple(map(str, range(len(group)))),
        conditions=tuple(Condition(name) for name in names),
        condition_index=group.astype(np.int32),
        context_index=np.zeros(len(group), np.int32),
    )


def test_more_conditions_need_memory_for_their_rows_alone():
    def peak(conditions: int) -> float:
        """Megabytes at most at once, beside the table."""
        screen = large(conditions)
        tracemalloc.start()
        table = analysis.gene_response(screen, draws=400)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(table) == 600 * conditions
        return most / 2**20

    # All draws of 20 conditions more would be 37 MB in double precision.
    assert peak(24) - peak(4) < 6


def test_what_cannot_be_asked_is_said(four_genes):
    with pytest.raises(ValueError, match="no gene 'none', 'other'"):
        analysis.gene_response(four_genes, genes=["g1", "none", "other"])
    with pytest.raises(ValueError, match="no condition 'g7'"):
        analysis.gene_response(four_genes, ["g7"])
    with pytest.raises(ValueError, match="All cells are controls"):
        analysis.gene_response(four_genes.select([]))
