"""Neighbours, targets and interactions, where the answer is known."""

import dataclasses

import numpy as np
import pytest

from scbig import analysis

from .means import EFFECTS, GENES, screen

SINGLES = ("A", "B", "C")


def test_the_nearest_measured_perturbation_is_the_one_with_that_response():
    predicted = screen({"D": [-2, 0, 1.2, 0, 0.1, 0], "A+B": [-1.9, -1, 1, 1, 0, 0]})
    table = analysis.nearest_measured(predicted, screen(EFFECTS), most=2)
    first = table[table["rank"] == 1].set_index("condition")
    assert first.neighbour.to_dict() == {"D": "A", "A+B": "A+B"}
    assert first.same.to_dict() == {"D": False, "A+B": True}
    second = table[table["rank"] == 2].set_index("condition")
    assert second.neighbour["A+B"] == "A"
    assert second.shared["A+B"]
    one, other = np.array([-2, 0, 1.2, 0, 0.1, 0]), np.array(EFFECTS["A"])
    wanted = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert first.cosine["D"] == pytest.approx(wanted, abs=1e-5)


def test_a_perturbation_is_held_against_its_own_gene():
    table = analysis.on_target(screen(EFFECTS)).set_index(["condition", "gene"])
    assert set(table.index) == {
        ("A", "A"), ("B", "B"), ("A+B", "A"), ("A+B", "B"), ("B+C", "B"),
    }  # fmt: skip
    assert table.change["A", "A"] == pytest.approx(-2)
    assert table["rank"]["A", "A"] == 1
    # Others may change as much: the rank counts those that change more.
    assert table["rank"]["B+C", "B"] == 2
    np.testing.assert_allclose(table.level, 3, rtol=1e-5)
    with pytest.raises(ValueError, match="No perturbation is named after a measured gene: 'A'"):
        analysis.on_target(screen({"A": [1, 0, 0, 0, 0, 0]}, genes=tuple("uvwxyz")))


def test_interactions_are_what_is_beyond_the_sum():
    table = analysis.genetic_interactions(screen(EFFECTS)).set_index("condition")
    assert set(table.index) == {"A+B", "B+C"}
    assert table.beyond["A+B"] == pytest.approx(0, abs=1e-5)
    assert table.magnitude["A+B"] == pytest.approx(2**0.5, abs=1e-5)
    response = np.array(EFFECTS["B+C"])
    rest = response - np.array(EFFECTS["B"]) - np.array(EFFECTS["C"])
    wanted = np.linalg.norm(rest) / np.linalg.norm(response)
    assert table.beyond["B+C"] == pytest.approx(wanted, abs=1e-5)
    # Predicted doubles beside measured singles.
    predicted = screen({"A+B": EFFECTS["A+B"]})
    alone = screen({name: EFFECTS[name] for name in SINGLES})
    beside = analysis.genetic_interactions(predicted, alone)
    assert beside.beyond.item() == pytest.approx(0, abs=1e-5)
    with pytest.raises(ValueError, match="No double has both of its singles"):
        analysis.genetic_interactions(predicted)


def test_screens_of_other_genes_and_contexts_are_refused():
    one, other = screen(EFFECTS), screen(EFFECTS, genes=GENES[::-1])
    for ask in (analysis.nearest_measured, analysis.genetic_interactions):
        with pytest.raises(ValueError, match="same genes in the same order"):
            ask(one, other)
    elsewhere = dataclasses.replace(one, contexts=("there",))
    with pytest.raises(ValueError, match="No context of the predicted cells"):
        analysis.nearest_measured(one, elsewhere)
