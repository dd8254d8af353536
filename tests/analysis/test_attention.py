"""Attention to programs, against a loop over cells, and its shift where the answer is known."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import scbig
from scbig import analysis, nn
from scbig.method import but
from scbig.model import make_model
from scbig.programs import GenePartition
from scbig.service import Names, TrainedModel

from ..experiments.small import bare

PROGRAMS = 4


@pytest.fixture(scope="module")
def model(four_genes: Any) -> TrainedModel:
    """Untrained, with two layers."""
    config = but(bare(), **{"encoder.layers": 2, "encoder.width": 16})
    pure = make_model(
        config.networks,
        partition=GenePartition.from_labels(np.arange(20) % PROGRAMS, PROGRAMS),
        embeddings=jr.normal(jr.key(1), (20, 3)),
        mean=jnp.asarray(four_genes.mean()),
        tokens=jr.normal(jr.key(2), (4, 3)),
        key=jr.key(0),
    )
    names = Names(genes=four_genes.genes, perturbations=("g0", "g1", "g2", "g3"))
    return TrainedModel(pure=pure, names=names, config=config)


def test_the_attention_of_a_cell_is_a_mean_over_layers_heads_and_readers(model, four_genes):
    found = analysis.program_attention(model, four_genes)
    assert found.shape == (four_genes.num_cells, PROGRAMS)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-5)
    pure, encoder = model.pure, model.pure.encoder
    assert isinstance(encoder, nn.GeneClusterEncoder)
    for cell in (0, 7, four_genes.num_cells - 1):
        slots = pure.partition.gather(
            jnp.asarray(four_genes.dense(np.array([cell]))[0]) - pure.mean
        )
        weights = np.asarray(encoder.attention(slots, pure.facts))
        wanted = np.zeros(PROGRAMS)
        for layer in weights:
            for head in layer:
                for reader in head:
                    wanted += reader / (weights.size / PROGRAMS)
        np.testing.assert_allclose(found[cell], wanted, rtol=1e-4)
    first = analysis.program_attention(model, four_genes, layer=0)
    second = analysis.program_attention(model, four_genes, layer=1)
    np.testing.assert_allclose((first + second) / 2, found, rtol=1e-4)


def test_a_shift_is_against_the_controls_and_its_interval_holds_it(model, four_genes):
    table = analysis.attention_shift(model, four_genes, ["g0", "g1+g3"], draws=400)
    assert len(table) == 2 * PROGRAMS
    shares = analysis.program_attention(model, four_genes)
    still = shares[four_genes.rows("control")].mean(axis=0)
    own = table[table.condition == "g1+g3"]
    wanted = shares[four_genes.rows("g1+g3")].mean(axis=0) / still - 1
    np.testing.assert_allclose(own["shift"], wanted, rtol=1e-5)
    assert ((table.low <= table["shift"]) & (table["shift"] <= table.high)).all()
    assert (table.cells == 24).all()
    assert (table.controls == 24).all()
    # The standard error of a ratio of means, by the delta method.
    rows, controls = four_genes.rows("g0"), four_genes.rows("control")
    error = np.hypot(
        shares[rows].std(axis=0) / shares[rows].mean(axis=0) / len(rows) ** 0.5,
        shares[controls].std(axis=0) / still / len(controls) ** 0.5,
    )
    width = (table.high - table.low)[table.condition == "g0"] / 2
    np.testing.assert_allclose(width, 1.96 * error, rtol=0.3)


def test_what_reads_no_expression_does_not_shift(model, four_genes):
    silent: Any = model.pure.encoder
    weight = lambda m: (m.encoder.expression.weight, m.encoder.expression.bias)
    blind = eqx.tree_at(weight, model.pure, tuple(0 * x for x in weight(model.pure)))
    assert silent.semantics == nn.MeanSemantics()
    table = analysis.attention_shift(dataclasses.replace(model, pure=blind), four_genes, draws=20)
    np.testing.assert_allclose(table["shift"], 0, atol=1e-5)
    assert set(table.condition) == {c.name for c in four_genes.conditions} - {"control"}


def test_what_has_no_attention_or_other_genes_is_refused(model, four_genes):
    with pytest.raises(ValueError, match="no condition 'nobody'"):
        analysis.attention_shift(model, four_genes, ["nobody"])
    with pytest.raises(ValueError, match="layers 0 to 1; got 2"):
        analysis.program_attention(model, four_genes, layer=2)
    names = dataclasses.replace(model.names, genes=four_genes.genes[::-1])
    with pytest.raises(ValueError, match="model's genes"):
        analysis.program_attention(dataclasses.replace(model, names=names), four_genes)
    flat = scbig.but(model.config, **{"encoder.layers": 0})
    made = flat.encoder.build(
        nn.Sizes(
            programs=PROGRAMS, slots=5, embedding=3, token=3, context=None, latent=4, condition=8
        ),
        key=jr.key(0),
    )
    pure = eqx.tree_at(lambda m: m.encoder, model.pure, made)
    with pytest.raises(ValueError, match="has no layer that attends"):
        analysis.program_attention(dataclasses.replace(model, pure=pure), four_genes)
