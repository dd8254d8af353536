"""Maps of pairs: every name is whole, however many and long they are."""

import itertools

import pandas as pd
import pytest

from scbig.plotting import interaction_map

from .keys import said


def pairs(names: list[str]) -> pd.DataFrame:
    joined = ["+".join(pair) for pair in itertools.combinations(names, 2)]
    return pd.DataFrame({"context": "", "condition": joined, "magnitude": 1.0, "beyond": 0.5})


@pytest.mark.parametrize(
    "names", [[f"GENE{n}" for n in range(40)], ["KLF1", "Trametinib (GSK1120212)@10"]],
    ids=["many", "long"],
)  # fmt: skip
def test_every_name_is_within_the_picture(names):
    figure = interaction_map(pairs(names))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]:
        box = label.get_window_extent()
        assert box.x0 >= figure.bbox.x0 - 1
        assert box.y0 >= figure.bbox.y0 - 1
    assert axes.get_window_extent().width > 100


def test_a_column_without_ends_says_what_it_is_and_names_no_colour():
    words = said(interaction_map(pairs(["a", "b"]), value="beyond", neutral=0.0))
    assert words.startswith("beyond: length of what is beyond the sum")
    assert "synergy" not in words
