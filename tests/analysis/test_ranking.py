"""Pairs ranked by what they do to some genes, against predicted cells averaged by hand."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
import pytest

from scbig import analysis
from scbig.data import Columns, Condition, Screen
from scbig.method import but
from scbig.model import Changed, make_model
from scbig.programs import GenePartition
from scbig.service import Names, TrainedModel

from ..experiments.small import bare

NAMES = ("g0", "g1", "g2", "g3")
GENES = ["g2", "g7", "g11"]


def untrained(screen: Screen, seed: int, **changes: Any) -> TrainedModel:
    config = but(bare(), **changes)
    pure = make_model(
        config.networks,
        partition=GenePartition.from_labels(np.arange(20) % 4, 4),
        embeddings=jr.normal(jr.key(1), (20, 3)),
        mean=jnp.asarray(screen.mean()),
        tokens=jr.normal(jr.key(2), (4, 3)),
        key=jr.key(seed),
    )
    names = Names(genes=screen.genes, perturbations=NAMES)
    return TrainedModel(pure=pure, names=names, config=config)


@pytest.fixture(scope="module")
def models(four_genes: Any) -> list[TrainedModel]:
    return [untrained(four_genes, seed) for seed in (0, 1, 2)]


def test_all_pairs_come_in_order_and_none_twice():
    assert [*analysis.pairs_of(["b", "a", "c", "a"])] == ["a+b", "a+c", "b+c"]
    assert [*analysis.pairs_of(["b", "a"], singles=True)] == ["a", "b", "a+b"]


def test_the_effect_is_the_mean_change_of_the_genes_over_models(models, four_genes):
    pairs = [*analysis.pairs_of(NAMES)]
    options: Any = {"cells": 1000, "key": jr.key(3)}
    found = [*analysis.predicted_effects(models, four_genes, pairs, GENES, chunk=4, **options)]
    assert [len(part) for part in found] == [4, 2]
    table = analysis.ranked(found).set_index("condition")
    controls = four_genes.select(["control"])
    columns = [four_genes.genes.index(gene) for gene in GENES]
    for name in pairs:
        effects, changes = [], []
        for model in models:
            after = np.asarray(model.predict(controls, [name], key=jr.key(9)).X).mean(axis=0)
            before = model.round_trip(controls.dense()).mean(axis=0)
            changes.append(after - before)
            effects.append(changes[-1][columns].mean())
        row = table.loc[name]
        np.testing.assert_allclose(row["effect"], np.mean(effects), atol=2e-5)
        np.testing.assert_allclose(row["spread"], np.std(effects, ddof=1), atol=2e-5)
        size = np.sqrt(np.mean(np.mean(changes, axis=0) ** 2))
        np.testing.assert_allclose(row["size"], size, atol=2e-5)
        assert row["agree"] == np.mean(np.sign(effects) == np.sign(np.mean(effects)))
    assert [*table["rank"]] == [1, 2, 3, 4, 5, 6]
    assert (np.diff(table["effect"]) <= 0).all()
    down = analysis.ranked(found, up=False)
    assert [*down["condition"]] == [*table.index[::-1]]
    # However many come at once.
    whole = analysis.predicted_effects(models, four_genes, pairs, GENES, **options)
    again = analysis.ranked(whole).set_index("condition").loc[table.index]
    pd.testing.assert_frame_equal(again, table, rtol=1e-3, atol=1e-5)


def test_one_model_has_no_spread_and_a_flow_that_changes_cells_starts_from_cells(four_genes):
    model = untrained(four_genes, 0, emission=Changed())
    (part,) = analysis.predicted_effects(
        [model], four_genes, ["g0+g1"], ["g3"], cells=24, key=jr.key(0)
    )
    assert np.isnan(part["spread"].iloc[0])
    controls = four_genes.select(["control"])
    after = np.asarray(model.predict(controls, ["g0+g1"], key=jr.key(1)).X).mean(axis=0)
    before = controls.dense().mean(axis=0)
    np.testing.assert_allclose(part["effect"].iloc[0], (after - before)[3], atol=2e-5)


def test_every_context_has_controls_and_ranks_of_its_own(models, four_genes):
    half = np.asarray(four_genes.condition_index) % 2
    control = four_genes.conditions.index(Condition())
    rows = np.asarray(four_genes.condition_index) == control
    half[rows] = np.arange(rows.sum()) % 2
    cells = four_genes.to_anndata()
    cells.obs["line"] = np.array(["x", "y"])[half]
    screen = Screen.from_anndata(cells, Columns(context="line"))
    given: Any = {"key": jr.key(0), "cells": 50}
    found = analysis.ranked(
        analysis.predicted_effects(models, screen, ["g0+g1", "g1+g2", "g1+g0"], GENES, **given)
    )
    assert [*found["context"]] == ["x", "x", "y", "y"]
    assert [*found["rank"]] == [1, 2, 1, 2]
    only = Screen.from_anndata(cells[rows & (half == 0)].copy(), Columns(context="line"))
    alone = analysis.ranked(analysis.predicted_effects(models, only, ["g0+g1"], GENES, **given))
    mine = found[(found["context"] == "x") & (found["condition"] == "g0+g1")]
    np.testing.assert_allclose(alone["effect"], mine["effect"], atol=2e-5)


def test_what_cannot_be_ranked_is_named(models, four_genes):
    options: Any = {"key": jr.key(0)}
    ask = lambda *given: [*analysis.predicted_effects(*given, **options)]
    with pytest.raises(ValueError, match="no model"):
        ask([], four_genes, ["g0"], GENES)
    with pytest.raises(ValueError, match="no gene 'other'"):
        ask(models, four_genes, ["g0"], ["g1", "other"])
    with pytest.raises(ValueError, match="no gene whose expression"):
        ask(models, four_genes, ["g0"], [])
    with pytest.raises(ValueError, match="'unknown'"):
        ask(models, four_genes, ["g0+unknown"], GENES)
    names = dataclasses.replace(models[0].names, genes=models[0].names.genes[::-1])
    with pytest.raises(ValueError, match="same genes in the same order"):
        ask([models[0], dataclasses.replace(models[1], names=names)], four_genes, ["g0"], GENES)
