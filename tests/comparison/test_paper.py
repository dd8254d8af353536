"""The paper's baselines in the page: a row, or what it lacks."""

import dataclasses
import pathlib
from typing import Any

import jax.random as jr
import numpy as np
import pandas as pd
import pytest

import scbig
from scbig import baselines, comparison
from scbig.baselines import AbstractRecipe
from scbig.data import Condition
from scbig.priors import EmbeddingTable

GENES = tuple(f"g{n}" for n in range(20))
TABLE = EmbeddingTable(GENES, np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32))
PRIORS = scbig.Priors(genes=EmbeddingTable(("g0",), np.ones((1, 2), np.float32)), missing="mean")

PEARSON = {"control": 0.0, "perturbed mean": 0.2, "additive": 0.6, "GEARS": 0.5, "split-half": 0.8}


def scores(names, conditions=8):
    rng = np.random.default_rng(0)
    index = pd.Index([f"g{n}" for n in range(conditions)], name="condition")
    parts = {}
    for name in names:
        own = PEARSON[name] + 0.05 * rng.normal(size=conditions)
        values = {"pearson_delta": own, "pds": own, "mse": 0.004 * (1 - own)}
        parts["one", name, 0] = pd.DataFrame(values, index=index)
    return pd.concat(parts, names=["evaluation", "predictor", "seed"])


def page(names, **options):
    table = scores(names)
    index = table.xs(names[0], level="predictor").index.get_level_values("condition")
    support = pd.DataFrame({"cells": 20, "controls": 300, "effect": 1.0}, index=index)
    return comparison.page(table, pd.DataFrame(), support, **options)


def row_of(text, name):
    return [line for line in text.splitlines() if line.startswith(f"| {name} |")]


def test_the_paper_has_thirteen_baselines():
    assert len(comparison.PAPER) == 13
    own = {*comparison.native()}
    for name in ("Control", "Linear", "GEARS", "samsVAE", "STATE", "CellFlow"):
        assert comparison.PAPER[name][0][0] in own


def test_each_baseline_has_a_row_or_what_it_lacks():
    text = page([*PEARSON])
    for name in comparison.PAPER:
        ran = name in ("Control", "GEARS")
        lines = [line for line in row_of(text, name) if "needs" in line]
        assert len(lines) == (0 if ran else 1), name
    assert "`--tables CellFM=FILE`" in row_of(text, "CellFM")[0]
    assert "`experiments/peers/run.py run graphvci`" in row_of(text, "GraphVCI")[0]


def test_the_peers_that_are_named_are_there():
    folder = pathlib.Path(__file__).parents[2] / "experiments" / "peers"
    for name in ("celloracle", "graphvci"):
        assert (folder / name).is_dir()


def test_a_table_makes_the_rows_of_the_paper():
    made = {
        row
        for name in ("scGPT", "scFoundation", "GeneCompass", "CellFM")
        for row in comparison.with_table(name, TABLE)
    }
    found = comparison.lacking(made, {})
    assert {"Linear-scGPT", "scFoundation", "GeneCompass", "CellFM"}.isdisjoint(found)
    assert len(found) == 9


def test_rows_of_a_table_rest_on_its_vectors():
    other = EmbeddingTable(TABLE.names, 2 * TABLE.vectors)
    for row, recipe in comparison.with_table("X", TABLE).items():
        assert recipe.told() != comparison.with_table("X", other)[row].told()


def test_the_linear_row_of_a_table_is_the_published_model_on_it(four_genes):
    split = scbig.Split.of(
        name="s", train=["g0", "g1", "g2", "g3", "g0+g1", "g1+g3", "g2+g3"], test=["g0+g2", "g0+g3"]
    )
    recipe = comparison.with_table("X", TABLE)["Linear + X"]
    model: Any = recipe.fit(four_genes, split, PRIORS, progress=False, key=jr.key(0))
    training = four_genes.without(["g0+g2", "g0+g3"])
    other = baselines.LinearEmbedding.published(training, TABLE)
    asked = [Condition(("g0", "g2"))]
    np.testing.assert_allclose(model.effects(asked), other.effects(asked), rtol=1e-6)
    assert not recipe.draws


def test_gears_on_a_table_reads_that_table(four_genes):
    given = []

    class Reads(AbstractRecipe):
        def fit(self, screen, split, priors, *, progress=True, key) -> Any:
            given.append(priors)
            return baselines.Control.fit(screen)

    split = scbig.Split.of(name="s", train=["g0"], test=["g1"])
    row: Any = comparison.with_table("X", TABLE)["GEARS + X"]
    other = dataclasses.replace(row, recipe=Reads())
    other.fit(four_genes, split, PRIORS, progress=False, key=jr.key(0))
    assert given[0].genes is TABLE
    assert given[0].missing == PRIORS.missing
    assert row.recipe.gene_embedding == "X"


def test_a_baseline_that_failed_says_why():
    failed = {"one/samsVAE/fold0-seed0": "no counts", "one/STATE-like/fold0-seed0": "no cells"}
    found = comparison.lacking({"control"}, failed)
    assert found["samsVAE"] == "could not be made: no counts"
    assert found["STATE"] == "could not be made: no cells"
    assert "Control" not in found
    assert "needs" in found["CellFM"]


def test_published_figures_stand_beside_the_rows_and_what_has_none():
    published = {"GEARS": 0.4567, "CellFM": 0.3, "another": 0.1}
    text = page([*PEARSON], published=published, published_split="theirs")
    assert row_of(text, "GEARS")[1].endswith("| 0.457 |")
    assert row_of(text, "CellFM")[0].endswith("| 0.300 |")
    assert row_of(text, "another")[0].endswith("| no row here | 0.100 |")


def test_a_column_has_one_number_of_decimals():
    text = page([*PEARSON], metrics=("mse",))
    shown = [row_of(text, name)[0].split("|")[5].strip() for name in PEARSON]
    assert {len(value.split(" ")[0]) for value in shown} == {7}


@pytest.mark.parametrize("names", [["GEARS"], ["GEARS", "split-half"], ["GEARS", "additive"]])
def test_a_page_without_anchors(names):
    assert "| GEARS | 8 | 160 | 300 |" in page(names)


def test_a_comparison_over_some_conditions_says_so():
    table = scores([*PEARSON])
    table.loc[("one", "GEARS", 0, "g0"), "pearson_delta"] = np.nan
    index = table.xs("GEARS", level="predictor").index.get_level_values("condition")
    support = pd.DataFrame({"cells": 20, "controls": 300, "effect": 1.0}, index=index)
    text = comparison.page(table, pd.DataFrame(), support)
    assert "(additive; 7 of 8 conditions)" in row_of(text, "GEARS")[1]


def test_a_metric_that_no_row_has_in_a_condition_is_of_the_others():
    table = scores([*PEARSON])
    table["des"] = np.linspace(0.1, 0.9, len(table))
    for name in PEARSON:
        table.loc[("one", name, 0, "g0"), "des"] = np.nan
    index = table.xs("GEARS", level="predictor").index.get_level_values("condition")
    support = pd.DataFrame({"cells": 20, "controls": 300, "effect": 1.0}, index=index)
    text = comparison.page(table, pd.DataFrame(), support, metrics=("mse", "des"))
    assert "Where no row has a metric, none is counted: `des` is of 7 of 8." in text
    mean = table.xs("GEARS", level="predictor")["des"].mean()
    assert f"{mean:.3f} [" in row_of(text, "GEARS")[0]
    assert row_of(text, "GEARS")[0].endswith("] (7) |")  # of the eight of the row
    table.loc[("one", "GEARS", 0, "g1"), "des"] = np.nan
    text = comparison.page(table, pd.DataFrame(), support, metrics=("mse", "des"))
    assert row_of(text, "GEARS")[0].endswith("|  |")


def test_a_row_of_fewer_splits_is_named():
    one = scores([*PEARSON])
    other = pd.concat({"two": one.droplevel("evaluation")}, names=["evaluation"])
    index = one.xs("GEARS", level="predictor").index.get_level_values("condition")
    support = pd.DataFrame({"cells": 20, "controls": 300, "effect": 1.0}, index=index)
    both = pd.concat([one, other])
    assert "Not in all splits" not in comparison.page(both, pd.DataFrame(), support)
    own = both.index.to_frame()
    lacking = both.loc[(own["evaluation"] == "one") | (own["predictor"] != "GEARS")]
    text = comparison.page(lacking, pd.DataFrame(), support)
    assert " Not in all splits: GEARS (1 of 2)." in text
