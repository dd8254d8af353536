"""In what units a table of gene embeddings is written does not change the model made with it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig import nn
from scbig.method import but
from scbig.model import Networks, make_model, program_centroids, standardised_embeddings
from scbig.nn import InducingPoints
from scbig.priors import EmbeddingTable
from scbig.programs import GenePartition

GENES, PROGRAMS, FEATURES = 40, 4, 5
PARTITION = GenePartition.from_labels(np.arange(GENES) % PROGRAMS, PROGRAMS)
KNOWN = (np.arange(GENES) % 7 != 3)[:, None]
VECTORS = np.asarray(jr.normal(jr.key(1), (GENES, FEATURES)) + 0.5)
TABLE = np.where(KNOWN, VECTORS, 0).astype(np.float32)
BODY: dict[str, Any] = {
    "width": 8,
    "heads": 2,
    "layers": 1,
    "mixing": InducingPoints(2),
    "mlp_width": 8,
    "dropout": 0.0,
}
SEMANTICS = [nn.MeanSemantics(), nn.WeightedSemantics()]
NETWORKS = Networks(
    nn.GeneClusterEncoderSpec(**BODY, latent=4),
    nn.GeneClusterDecoderSpec(**BODY),
    nn.ConditionEncoderSpec(hidden=8, width=7),
    nn.VelocityFieldSpec(frequencies=3, top_frequency=3.0, hidden=8, depth=1, dropout=0.0),
)
CELLS = jnp.abs(jr.normal(jr.key(3), (30, GENES)))
close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5)


def latents(table, semantics, **changes):
    """Of all cells, by an untrained model."""
    networks = but(NETWORKS, **{"encoder.semantics": semantics, **changes})
    model = make_model(
        networks,
        partition=PARTITION,
        embeddings=jnp.asarray(table, jnp.float32),
        mean=jnp.mean(CELLS, axis=0),
        tokens=jr.normal(jr.key(2), (3, 6)),
        key=jr.key(0),
    )
    return model, model.encode_cells(CELLS)


@pytest.mark.parametrize("semantics", SEMANTICS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("factor", [1e4, 1e-4])
def test_a_table_in_other_units_makes_the_same_model(semantics, factor):
    (usual, z), (scaled, other) = latents(TABLE, semantics), latents(factor * TABLE, semantics)
    jax.tree.map(close, *(eqx.filter(model, eqx.is_array) for model in (scaled, usual)))
    close(other, z)
    spread = lambda latents: float(jnp.mean(jnp.std(latents, axis=0)))
    # Above all, embeddings of large numbers do not hide the cell.
    assert spread(z) > 0.01
    np.testing.assert_allclose(spread(other), spread(z), rtol=1e-3)


@pytest.mark.parametrize("semantics", SEMANTICS, ids=lambda s: type(s).__name__)
def test_the_origin_and_the_unit_of_each_feature_do_not_matter_to_the_stream(semantics):
    """Centroids are of the vectors as given, so that positions here must not read them."""
    moved = np.where(
        KNOWN, VECTORS * np.logspace(-4, 4, FEATURES) + np.logspace(-3, 5, FEATURES), 0
    )
    plain = {"encoder.position": nn.LearnedPosition()}
    (usual, z), (other, y) = latents(TABLE, semantics, **plain), latents(moved, semantics, **plain)
    np.testing.assert_allclose(other.facts.own, usual.facts.own, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(y, z, rtol=2e-3, atol=2e-4)


def test_embeddings_are_standardised_over_the_genes_that_have_one():
    found = np.asarray(standardised_embeddings(jnp.asarray(TABLE)))
    rows = KNOWN[:, 0]
    wide = TABLE[rows].astype(np.float64)
    close(found[rows], (wide - wide.mean(0)) / wide.std(0))
    assert not found[~rows].any()
    by_table = EmbeddingTable(tuple(map(str, np.flatnonzero(rows))), TABLE[rows]).standardised()
    close(found[rows], by_table.vectors)


def test_every_encoder_prepares_standardised_embeddings_and_centroids_are_of_those_given():
    model, _ = latents(TABLE, nn.WeightedSemantics())
    standard = standardised_embeddings(jnp.asarray(TABLE))
    by_slot = jax.vmap(PARTITION.gather, in_axes=1, out_axes=2)(standard)
    close(model.facts.own, by_slot)
    close(model.facts.centroids, program_centroids(PARTITION, jnp.asarray(TABLE)))


@pytest.mark.parametrize("value", [0.1, 1234.567, 3e-5, 1e8])
def test_a_constant_feature_becomes_zero(value):
    table = np.where(KNOWN, TABLE, 0)
    noise = np.random.default_rng(0).choice([-6e-8, 0, 6e-8], GENES)
    table[:, 2] = np.where(KNOWN[:, 0], value * (1 + noise), 0)
    found = np.asarray(standardised_embeddings(jnp.asarray(table)))
    assert not found[:, 2].any()
    assert (np.delete(found, 2, axis=1)[KNOWN[:, 0]] != 0).all()


def test_many_genes_far_from_zero_are_standardised_to_the_rounding_of_the_table():
    """A mean in float32 alone would be off by more than that, and by a constant."""
    table = (np.random.default_rng(0).normal(size=(20_001, 3)) + 3e3).astype(np.float32)
    found = np.asarray(standardised_embeddings(jnp.asarray(table)))
    wide = table.astype(np.float64)
    np.testing.assert_allclose(found, (wide - wide.mean(0)) / wide.std(0), atol=1e-5)


@pytest.mark.parametrize("factor", [1e-30, 1e4, 1e30])
def test_any_unit_of_float32_has_finite_gradients(factor):
    """Also where a feature is constant, and a gene has no embedding."""
    table = jnp.asarray(
        factor * np.where(np.arange(FEATURES) == 1, 1.0 * KNOWN, TABLE), jnp.float32
    )
    found = standardised_embeddings(table)
    close(found[:, 0], standardised_embeddings(jnp.asarray(TABLE))[:, 0])
    weight = jr.normal(jr.key(4), found.shape)
    gradient = jax.grad(lambda x: jnp.sum(weight * standardised_embeddings(factor * x)))
    assert jnp.all(jnp.isfinite(gradient(table / factor)))
    assert jnp.any(gradient(table / factor) != 0)


def test_without_any_embedding_all_are_zero_and_a_trace_is_enough():
    blank = jnp.zeros((GENES, FEATURES))
    assert not jnp.any(standardised_embeddings(blank))
    compiled = jax.jit(standardised_embeddings)
    close(compiled(jnp.asarray(TABLE)), standardised_embeddings(jnp.asarray(TABLE)))
