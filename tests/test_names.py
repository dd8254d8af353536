"""One spelling for what looks the same, at every border that names cross."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbig._names import tidied, tidy
from scbig.data import Columns, Condition, Screen
from scbig.priors import EmbeddingTable, InteractionGraph, PathwayLibrary

UNTIDY = {
    " TP53": "TP53",
    "TP53\u00a0": "TP53",
    "\ufeffTP53": "TP53",
    "TP\u200b53": "TP53",
    "HLA\u2013A": "HLA-A",
    "HLA\u2212A": "HLA-A",
    "e\u0301": "\u00e9",
    "drug\u00a0A": "drug A",
    "TP53": "TP53",
}


@pytest.mark.parametrize(("given", "expected"), UNTIDY.items())
def test_a_name_has_one_spelling(given, expected):
    assert tidy(given) == expected
    assert tidy(expected) == expected


def test_names_that_are_tidy_are_not_copied():
    names = ("A", "B-1", "\u00e9")
    assert tidied(names) is names
    assert tidied(("A ", "B")) == ("A", "B")


@pytest.mark.parametrize("given", UNTIDY)
def test_tables_and_screens_meet_whatever_their_spelling(given):
    name = UNTIDY[given]
    labels = ["control", f"{given}+B", given, "B"] * 2
    cells = ad.AnnData(
        np.log1p(np.random.default_rng(0).gamma(2.0, size=(8, 3))).astype(np.float32),
        obs=pd.DataFrame({"condition": labels}, index=pd.Index([f"c{n}" for n in range(8)])),
        var=pd.DataFrame(index=pd.Index([given, "B", "C"])),
    )
    screen = Screen.from_anndata(cells)
    assert screen.genes[0] == name
    assert {c.name for c in screen.conditions} == {
        Condition.parse(label).name for label in ("control", f"{name}+B", name, "B")
    }
    table = EmbeddingTable((given, "B", "C"), np.eye(3, dtype=np.float32))
    assert table.align(screen.genes).coverage.fraction == 1
    graph = InteractionGraph((given, "B"), ("B", "C"))
    assert len(graph.align(screen.genes).source) == 4
    sets = PathwayLibrary({" one": (given, "B", f"{given} ", "C")})
    assert sets.sets == {"one": (name, "B", "C")}


def test_a_separator_may_be_what_looks_like_it():
    for separator, label in (("\u2013", "A-B"), ("-", "A\u2013B")):
        assert Columns(separator=separator).parse(label).name == "A+B"


def test_contexts_that_differ_in_text_are_one():
    cells = ad.AnnData(
        np.log1p(np.random.default_rng(0).gamma(2.0, size=(4, 2))).astype(np.float32),
        obs=pd.DataFrame(
            {
                "condition": ["control", "A", "control", "A"],
                "line": [" A549", "A549", "K562", "K562\u00a0"],
                "batch": [1.0, 1.0, 2.0, 2.0],
            },
            index=pd.Index(["c0", "c1", "c2", "c3"]),
        ),
        var=pd.DataFrame(index=pd.Index(["g", "h"])),
    )
    assert Screen.from_anndata(cells, Columns(context="line")).contexts == ("A549", "K562")
    assert Screen.from_anndata(cells, Columns(context="batch")).contexts == ("1", "2")
