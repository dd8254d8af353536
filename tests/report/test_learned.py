"""Sections of what a model learned, of predictions that are made up."""

import dataclasses
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbig import analysis
from scbig.data import Screen
from scbig.model import Changed
from scbig.programs import GenePartition, ProgramTable
from scbig.report import Run, _learned as learned
from scbig.report._judged import Judged, Place

from ..analysis.means import EFFECTS, GENES, screen
from ..analysis.test_ranking import untrained
from .test_looks import csv, rows

PREDICTED = {"A+B": [-1, 0.5, 1, 1, 0, 0], "B+C": [0, -1, 0, 1, 1, 1], "A": [-2, 0, 1, 0, 0, 0]}
NAMES = ("g0+g1", "g2+g3", "g0+g3")


def scores(values: dict[Place, float]) -> pd.DataFrame:
    """Pearson deltas of the model, and others of a rule that do not count."""
    rows = [
        (name, *place, sign * own)
        for name, sign in (("scBIG", 1), ("additive", -1))
        for place, own in values.items()
    ]
    names = ["predictor", "context", "condition"]
    return pd.DataFrame(rows, columns=pd.Index([*names, "pearson_delta"])).set_index(names)


@pytest.fixture
def plain() -> Judged:
    found = scores({("", "A+B"): 0.2, ("", "B+C"): 0.7, ("", "A"): 0.9, ("", "C"): np.nan})
    return Judged(found, tuple(PREDICTED), screen(EFFECTS), screen(PREDICTED))


def run_of(four_genes: Screen, **changes: Any) -> Run:
    model = untrained(four_genes, 0, **changes)
    programs = ProgramTable.of(four_genes.genes, model.pure.partition)
    return Run(
        folder=pathlib.Path("none"), model=model, programs=programs, config={},
        history=pd.DataFrame(), split=None, version="0",
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(four_genes: Any) -> Run:
    return run_of(four_genes)


@pytest.fixture
def moved(four_genes: Any) -> Judged:
    """Predicted cells and their controls are not the measured ones, two conditions are mixed up."""
    rng = np.random.default_rng(0)
    own = four_genes.select(NAMES)
    noise, dense = rng.normal(0, 0.3, (own.num_cells, 20)), own.dense()
    one, other = own.rows("g0+g1"), own.rows("g2+g3")
    dense[[*one, *other]] = dense[[*other, *one]]
    cells = np.maximum(dense + noise, 0).astype(np.float32)
    predicted = dataclasses.replace(own, expression=sparse.csr_matrix(cells))
    found = scores({("", name): number / 10 for number, name in enumerate(NAMES)})
    return Judged(found, NAMES, four_genes, predicted)


def test_genes_of_the_best_and_the_worst_are_told_with_what_was_measured(plain):
    text = learned.genes(plain)
    heads = text.index("best predicted: A<"), text.index("worst predicted: A+B<")
    assert heads[0] < heads[1]
    # The largest on either side comes first: B is predicted to rise, and falls.
    best, worst = (dict((row[0], row) for row in rows(text[at:])) for at in heads)
    assert [row[0] for row in rows(text[heads[1] :])][:2] == ["A", "B"]
    assert best["A"] == ["A", *["-2.000 [-2.000,\N{NO-BREAK SPACE}-2.000]"] * 2]
    assert worst["B"][1].startswith("+0.500 [")
    assert worst["B"][2].startswith("-1.000 [")
    table = csv(text)
    assert len(table) == 3 * len(GENES)
    own = table.set_index(["condition", "gene"])
    for name, change in PREDICTED.items():
        for place, gene in enumerate(GENES):
            assert own["response predicted"][name, gene] == pytest.approx(change[place], abs=1e-3)
            assert own["response measured"][name, gene] == pytest.approx(
                EFFECTS[name][place], abs=1e-3
            )
    assert "This model does not say how sure it is. The file has all genes of all 3" in text
    assert "sd said" not in table


def test_the_file_of_genes_has_the_ends_of_many_conditions(plain, monkeypatch):
    monkeypatch.setattr(learned, "MOST_ROWS", 2 * len(GENES))
    text = learned.genes(plain)
    assert [*dict.fromkeys(csv(text)["condition"])] == ["A", "A+B"]
    assert "all genes of the 2 best and worst of 3 conditions" in text


def test_what_a_prediction_says_of_its_sureness_stands_beside(plain):
    sure = np.full(len(GENES), 0.1)
    # Off by 1 in its first gene, by 1.5 in its second.
    known = {
        ("", "A+B"): np.array([0.6, 0.7, 0.1, 0.1, 0.1, 0.1]),
        ("", "B+C"): sure,
        ("", "A"): sure,
    }
    text = learned.genes(dataclasses.replace(plain, said=known))
    own = csv(text).set_index(["condition", "gene"])["sd said"]
    assert own["A+B", "B"] == pytest.approx(0.7)
    assert own["B+C", "B"] == pytest.approx(0.1)
    # Beyond two of them: B of A+B, and w of B+C, which is predicted at 1 in place of 2.5.
    assert "Of the measured changes in the file 89 % are within two of them" in text
    (first,) = [row for row in rows(text[text.index("worst predicted:") :]) if row[0] == "A"]
    assert first[3] == "0.600"


def test_without_a_score_no_condition_is_best(plain):
    none = dataclasses.replace(plain, scores=plain.scores * np.nan)
    assert learned.genes(none) == "<p>Without a Pearson delta none is best or worst.</p>"


def by_hand(own: Screen, name: str, one: int, other: int) -> float:
    """The correlation of two programs, the genes of which are every fourth."""
    cells = own.dense(own.rows(name)).astype(np.float64)
    means = [cells[:, program::4].mean(axis=1) for program in (one, other)]
    return np.corrcoef(*means)[0, 1]


def test_pairs_of_programs_are_told_beside_controls_and_measured(run, moved):
    text = learned.pairs(run, moved)
    table = csv(text)
    assert len(table) == 3 * 6
    own = table.set_index(["condition", "one", "other"])
    found: Any = own.iterrows()
    for (name, one, other), row in found:
        pair = int(one[1:]), int(other[1:])
        for side in ("predicted", "measured"):
            cells = getattr(moved, side)
            at = lambda what, row=row, side=side: row[f"{what} {side}"]
            assert at("coactivation") == pytest.approx(by_hand(cells, name, *pair), abs=1e-3)
            assert at("control") == pytest.approx(by_hand(cells, "control", *pair), abs=1e-3)
    far = (own["coactivation predicted"] - own["control predicted"]).abs()
    (name, one, other) = far.idxmax()
    assert rows(text)[0][:2] == [name, f"{one}, {other}"]
    change = {side: own[f"coactivation {side}"] - own[f"control {side}"] for side in learned.SIDES}
    wanted = np.mean(
        [pd.DataFrame(change).loc[name].corr(method="spearman").iloc[0, 1] for name in NAMES]
    )
    assert f"have a rank correlation of {wanted:.2f}, the mean over 3 conditions" in text
    assert "Cells out of a decoder lack" in text
    one_program = GenePartition.from_labels(np.zeros(20, np.int32), 1)
    pure = dataclasses.replace(run.model.pure, partition=one_program)
    alone = dataclasses.replace(run, model=dataclasses.replace(run.model, pure=pure))
    assert (
        learned.pairs(alone, moved) == "<p>There is one program alone, and so no pair of them.</p>"
    )


def test_attention_is_told_of_predicted_and_measured_cells(run, moved):
    text = learned.attention(run, moved)
    own = csv(text).set_index(["condition", "program"])
    assert len(own) == 3 * 4
    for side in ("predicted", "measured"):
        cells = getattr(moved, side)
        shares = analysis.program_attention(run.model, cells)
        still = shares[cells.rows("control")].mean(axis=0)
        for name in NAMES:
            wanted = shares[cells.rows(name)].mean(axis=0) / still - 1
            found = [own[f"shift {side}"][name, f"P{n}"] for n in range(4)]
            np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=1e-6)
    shown = {row[0]: row for row in rows(text)}
    assert {*shown} == {*NAMES}
    for name, row in shown.items():
        shifts: Any = own["shift measured"].loc[name]
        assert row[1] == shifts.abs().idxmax()
        assert row[3].startswith(f"{100 * shifts[row[1]]:+.1f} [")
    assert text.count("<img") == 2


def test_an_encoder_without_attention_is_told_in_a_sentence(four_genes, moved):
    none = run_of(four_genes, **{"encoder.layers": 0})
    assert learned.attention(none, moved) == (
        "<p>The encoder has no layer that attends to programs: GeneClusterEncoder.</p>"
    )


def test_few_cells_of_few_conditions_are_looked_at(run, moved, monkeypatch):
    monkeypatch.setattr(learned, "MOST_CELLS", 7)
    monkeypatch.setattr(learned, "MOST", 2)
    table = csv(learned.attention(run, moved))
    sizes = table[[f"{what} {side}" for what in ("cells", "controls") for side in learned.SIDES]]
    assert {*sizes.to_numpy().ravel()} == {7}
    assert "at most 1000 cells" in learned.LOOKED
    # Genes are told of all cells.
    sizes = analysis.gene_response(moved.measured, ["g0+g1"], draws=2)
    own = csv(learned.genes(moved)).set_index(["condition", "gene"])["response measured"]
    np.testing.assert_allclose(own["g0+g1"], sizes["response"], atol=1e-3)
    # Those of largest measured change.
    found = moved.measured.responses()
    names = [found.conditions[place].name for place in found.condition_index]
    size = dict(zip(names, found.norms(), strict=True))
    assert [*dict.fromkeys(table["condition"])] == sorted(NAMES, key=lambda n: -size[n])[:2]


def test_each_context_has_its_own_controls(run, moved):
    def lines(own: Screen) -> Screen:
        index = (np.arange(own.num_cells) % 2).astype(np.int32)
        cells = own.dense()
        cells[index == 1] *= 1.5
        changes = {"expression": sparse.csr_matrix(cells), "contexts": ("x", "y")}
        return dataclasses.replace(own, **changes, context_index=index)

    found = scores({("x", "g0+g1"): 0.1, ("y", "g0+g3"): 0.4, ("y", "g0+g1"): 0.3})
    scored = Judged(found, NAMES, lines(moved.measured), lines(moved.predicted))
    text = learned.genes(scored)
    assert "best predicted: g0+g3 in y<" in text
    assert "worst predicted: g0+g1 in x<" in text
    table = csv(text)
    own = table.set_index(["context", "condition", "gene"])["response measured"]
    assert len(own) == 3 * 20
    for context, name in (("x", "g0+g1"), ("y", "g0+g1")):
        mean = lambda label, at=context: scored.measured.dense(scored.measured.rows(label, at))[
            :, 3
        ].mean()
        assert own[context, name, "g3"] == pytest.approx(mean(name) - mean("control"), abs=2e-3)
    assert {*csv(learned.pairs(run, scored))["context"]} == {"x", "y"}


def test_the_controls_of_changes_are_named(run, four_genes):
    assert "from the controls as the autoencoder gives them back" in learned.origin(run)
    other = run_of(four_genes, emission=Changed())
    assert learned.origin(other).endswith("all changes are from the measured controls.")
