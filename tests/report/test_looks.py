"""Sections of what predictions are like, of predictions that are made up."""

import base64
import html
import io
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scbig import plotting
from scbig.data import Screen
from scbig.report._judged import Judged
from scbig.report._looks import FEW, interactions, neighbours, targets

from ..analysis.means import EFFECTS, screen

PREDICTED = {"A+B": [-1, 0.5, 1, 1, 0, 0], "B+C": [0, -1, 0, 1, 1, 1]}


def scored(predicted: Screen, measured: Screen) -> Judged:
    names = tuple(c.name for c in predicted.conditions if not c.is_control)
    return Judged(pd.DataFrame(), names, measured, predicted)


@pytest.fixture(scope="module")
def plain() -> Judged:
    return scored(screen(PREDICTED), screen(EFFECTS))


def csv(text: str) -> pd.DataFrame:
    (link,) = re.findall(r'href="data:text/csv;base64,([^"]*)"', text)
    return pd.read_csv(io.BytesIO(base64.b64decode(link)), keep_default_na=False)


def rows(text: str) -> list[list[str]]:
    """The first table."""
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in body.split("</tr>") if "<td" in row]
    return [[html.unescape(cell) for cell in row] for row in cells]


def test_neighbours_are_told_with_their_cosine_and_itself_as_itself(plain):
    text = neighbours(plain)
    cosine = lambda a, b: np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
    first, second = rows(text)
    assert first[0] == "A+B"
    own = cosine(PREDICTED["A+B"], EFFECTS["A"])
    assert f"A ({own:.2f})" in first
    assert f"itself ({cosine(PREDICTED['A+B'], EFFECTS['A+B']):.2f})" in first
    assert second[1] == f"itself ({cosine(PREDICTED['B+C'], EFFECTS['B+C']):.2f})"
    assert not first[1].startswith("itself")
    assert "is the nearest to 1 of 2 predictions, and one of the 5 nearest to 2." in text
    assert len(csv(text)) == 10


def test_the_target_is_told_on_both_sides_or_that_there_is_none(plain):
    text = targets(plain)
    table = csv(text).set_index(["condition", "gene"])
    assert len(table) == 3
    assert table["change predicted"]["A+B", "B"] == pytest.approx(0.5, abs=1e-5)
    assert table["change measured"]["A+B", "B"] == pytest.approx(-1, abs=1e-5)
    assert table["rank predicted"]["A+B", "B"] == 4
    assert "the same sign in 2 of 3." in text
    # Those that were measured to change most come first.
    assert [row[1] for row in rows(text)] == ["A", "B", "B"]
    # Where controls come out of a decoder too, the level is that of the measured ones.
    assert {*csv(targets(scored(screen(PREDICTED, level=5), plain.measured)))["level"]} == {3}
    genes = tuple("uvwxyz")
    text = targets(scored(screen(PREDICTED, genes), screen(EFFECTS, genes)))
    assert text == "<p>No tested perturbation is named after a gene that was measured.</p>"


def test_pairs_are_told_beside_what_was_measured(plain):
    text = interactions(plain)
    table = csv(text).set_index("condition")
    assert table["magnitude measured"]["A+B"] == pytest.approx(2**0.5, abs=1e-5)
    # Both sides are held against the measured singles.
    for side, own in (("predicted", PREDICTED), ("measured", EFFECTS)):
        beyond = np.array(own["B+C"]) - EFFECTS["B"] - EFFECTS["C"]
        wanted = np.linalg.norm(beyond) / np.linalg.norm(own["B+C"])
        assert table[f"beyond {side}"]["B+C"] == pytest.approx(wanted, abs=1e-5)
    # The farthest from the sum comes first; two make no correlation.
    assert rows(text)[0][0] == "B+C"
    assert "correlate by" not in text
    assert text.count("<img") == 2


def test_without_a_pair_or_its_singles_a_sentence_says_so():
    single = {"A": PREDICTED["A+B"]}
    assert interactions(scored(screen(single), screen(EFFECTS))) == (
        "<p>No tested condition is of two perturbations.</p>"
    )
    lacking = screen({name: EFFECTS[name] for name in ("B", "A+B", "B+C")})
    assert interactions(scored(screen(PREDICTED), lacking)) == (
        "<p>No tested double has both of its single perturbations among the cells.</p>"
    )
    # One that has them is told, beside one that has not.
    some = screen({name: EFFECTS[name] for name in ("A", "B", "A+B", "B+C")})
    assert {*csv(interactions(scored(screen(PREDICTED), some)))["condition"]} == {"A+B"}


def test_both_maps_have_one_scale_and_of_many_pairs_the_file_has_all(monkeypatch):
    rng = np.random.default_rng(0)
    names = [f"P{n}" for n in range(6)]
    pairs = [f"{a}+{b}" for n, a in enumerate(names) for b in names[n + 1 :]]
    effects = {name: rng.normal(size=6).tolist() for name in names}
    measured = effects | {pair: rng.normal(size=6).tolist() for pair in pairs}
    predicted = {pair: rng.normal(size=6).tolist() for pair in pairs}
    bounds, draw = [], plotting.interaction_map

    def drawn(table: Any, **options: Any) -> Any:
        bounds.append((len(table), options["bound"], options["title"]))
        return draw(table, **options)

    monkeypatch.setattr(plotting, "interaction_map", drawn)
    text = interactions(scored(screen(predicted, level=9), screen(measured, level=9)))
    assert len(csv(text)) == 15
    assert len(rows(text)) == FEW
    assert f"The first {FEW} of 15; all are in the file." in text
    (number, one, title), (same, other, beside) = bounds
    assert (number, same) == (FEW, FEW)
    assert one == other
    assert (title, beside) == ("predicted", "measured")
    table = csv(text)
    wanted = np.corrcoef(table["magnitude predicted"], table["magnitude measured"])[0, 1]
    assert f"Over 15 doubles the two magnitudes correlate by {wanted:.2f}." in text
