"""Nothing of a test perturbation reaches training: changing its cells changes nothing there."""

from typing import Any

import anndata as ad
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import sparse

from scbig import baselines, train
from scbig.data import Columns, Screen
from scbig.method import but, cpu
from scbig.model import make_model
from scbig.nn import (
    ConditionEncoderSpec,
    GeneClusterDecoderSpec,
    GeneClusterEncoderSpec,
    InducingPoints,
    VelocityFieldSpec,
)
from scbig.preprocess import PreprocessConfig, preprocess
from scbig.priors import EmbeddingTable, InteractionGraph, PathwayLibrary
from scbig.programs import GRC, Coexpression, GenePartition
from scbig.splits import Split

GENES = tuple(f"G{i}" for i in range(12))
CONDITIONS = ("G0", "G1", "G2", "G3", "G4+G5", "G0+G1", "G6+G2", "G7", "G1+G8", "G9+G0")
CELLS = 6
TEST, VALIDATION = 3, 2

BODY: dict[str, Any] = {
    "width": 4,
    "heads": 1,
    "layers": 1,
    "mixing": InducingPoints(2),
    "mlp_width": 4,
}
CONFIG = but(
    cpu(),
    programs=GRC(clusters=3),
    encoder=GeneClusterEncoderSpec(**BODY, latent=3),
    decoder=GeneClusterDecoderSpec(**BODY),
    condition=ConditionEncoderSpec(hidden=4, width=4),
    velocity=VelocityFieldSpec(frequencies=2, top_frequency=3.0, hidden=4, depth=1),
    **{"stage2.criterion.cells": 4},
)


def reversed_label(name: str) -> str:
    return "+".join(reversed(name.split("+")))


def make_counts(labels: list[str], noise: int) -> Any:
    """Two contexts with controls; the labels of doubles in both gene orders."""
    rng = np.random.default_rng(0)
    conditions = np.repeat(["control", *labels], CELLS)
    turned = np.arange(len(conditions)) % 2 == 1
    spelled = [reversed_label(c) if t else c for c, t in zip(conditions, turned, strict=True)]
    counts = rng.poisson(np.arange(1, 13), (len(conditions), 12)) + 1
    unseen = np.isin(conditions, labels[:TEST])
    counts[unseen] += np.random.default_rng(noise).poisson(9, (unseen.sum(), 12)) * (noise > 0)
    obs = pd.DataFrame(
        {"condition": spelled, "line": np.resize(["x", "y"], len(conditions))},
        index=pd.Index([f"cell{i}" for i in range(len(conditions))]),
    )
    matrix = sparse.csr_matrix(counts.astype(np.float32))
    return ad.AnnData(matrix, obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))


def split_of(labels: list[str], *, turn: bool) -> Split:
    """The first labels are the test set, in the other gene order if asked."""
    spell = reversed_label if turn else str
    return Split.of(
        name="drawn",
        test=[spell(name) for name in labels[:TEST]],
        validation=labels[TEST : TEST + VALIDATION],
        train=labels[TEST + VALIDATION :],
    )


def read(counts: Any, split: Split) -> Screen:
    adata = preprocess(
        counts, PreprocessConfig(min_genes=1, min_cells=1, variable_genes=8), held_out=split.test
    )
    screen = Screen.from_anndata(adata, Columns(context="line"))
    assert screen.num_genes < len(GENES)
    return screen


@pytest.fixture(scope="module")
def priors() -> train.Priors:
    rng = np.random.default_rng(1)
    return train.Priors(
        genes=EmbeddingTable(GENES, rng.normal(size=(12, 4)).astype(np.float32)),
        interactions=InteractionGraph(GENES[:-1], GENES[1:]),
        pathways=PathwayLibrary({"first": GENES[:6], "second": GENES[3:], "all": GENES}),
    )


def what_training_reads(screen: Screen, split: Split, priors: train.Priors) -> Any:
    """Every array of it: cells of both stages, means, targets, what selects and stops."""
    kept = split.cells(screen, "train", "validation")
    materials = train.Materials.of(kept, priors, CONFIG, split.validation, key=jr.key(0))
    vectors = materials.embeddings
    assert vectors is not None
    model = make_model(
        CONFIG.networks,
        partition=GenePartition.from_labels(np.arange(kept.num_genes) % 3, 3),
        embeddings=jnp.asarray(vectors),
        mean=jnp.asarray(materials.kept.mean()),
        tokens=jnp.asarray(materials.perturbations.vectors),
        key=jr.key(1),
    )
    setting = lambda cells: train.make_setting(
        model, materials.names, cells, CONFIG, materials.priors.pathways
    )
    learn, judge = setting(materials.learn), setting(materials.judge)
    prepared = train.Prepared.of(learn, judge, CONFIG, key=jr.key(2))
    screens = materials.kept, materials.held_out, materials.learn, materials.judge
    cells = [np.asarray(one.dense()) for one in screens]
    mean = baselines.PerturbedMean.fit(split.cells(screen, "train")).delta
    programs = GRC(clusters=3, features=Coexpression(2))
    grouping = train.ClusteringInput.of(materials.kept, materials.priors, programs)
    profiles = train.control_profiles(kept, components=1)
    arrays = jax.tree.leaves(eqx.filter((model, prepared), eqx.is_array))
    return screens, [*cells, *map(np.asarray, arrays), mean, grouping.features, profiles.vectors]


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(
    order=st.permutations(CONDITIONS),
    turn=st.booleans(),
    noise=st.integers(1, 10_000),
)
def test_no_test_cell_reaches_what_training_reads(priors, order, turn, noise):
    split = split_of(order, turn=turn)
    quiet, loud = (read(make_counts(order, seed), split) for seed in (0, noise))
    assert quiet.genes == loud.genes
    unseen = quiet.rows(split.test[0])
    assert not np.array_equal(quiet.dense(unseen), loud.dense(loud.rows(split.test[0])))
    screens, first = what_training_reads(quiet, split, priors)
    _, second = what_training_reads(loud, split, priors)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    tested = {frozenset(name.split("+")) for name in split.test}
    for screen in screens:
        assert not tested & {frozenset(c.perturbations) for c in screen.conditions}
    learned, judged = ({c.name for c in screen.conditions} for screen in screens[2:])
    assert learned == set(split.train)
    assert judged == {*split.validation, "control"}
