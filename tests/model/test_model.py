"""The pure model: an untrained one from specs, and its functions on one cell or condition."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig import nn
from scbig.flow import adaptive
from scbig.model import ConditionTokens, Networks, ScBIG, make_model, program_centroids
from scbig.nn import InducingPoints
from scbig.programs import GenePartition

GENES, PROGRAMS, FEATURES = 10, 3, 5
PARTITION = GenePartition.from_labels(np.arange(GENES) % PROGRAMS, PROGRAMS)
EMBEDDINGS = jr.normal(jr.key(1), (GENES, FEATURES))
BODY: dict[str, Any] = {
    "width": 8,
    "heads": 2,
    "layers": 1,
    "mixing": InducingPoints(2),
    "mlp_width": 8,
    "dropout": 0.5,
}
NETWORKS = Networks(
    nn.GeneClusterEncoderSpec(**BODY, latent=4),
    nn.GeneClusterDecoderSpec(**BODY),
    nn.ConditionEncoderSpec(hidden=8, width=7),
    nn.VelocityFieldSpec(frequencies=3, top_frequency=3.0, hidden=8, depth=1, dropout=0.0),
)


def make(
    networks=NETWORKS,
    *,
    embeddings: jax.Array | None = EMBEDDINGS,
    contexts=None,
    dose_features=0,
    seed=0,
) -> ScBIG:
    return make_model(
        networks,
        partition=PARTITION,
        embeddings=embeddings,
        mean=jnp.linspace(0.1, 2.0, GENES),
        tokens=jr.normal(jr.key(2), (3, 6)),
        dose_features=dose_features,
        contexts=contexts,
        key=jr.key(seed),
    )


@pytest.fixture(scope="module")
def model() -> ScBIG:
    moved = (jnp.arange(4.0), jnp.full(4, 2.0))
    return eqx.tree_at(lambda m: (m.shift, m.scale), make(), moved)


def cell(seed=0):
    return jnp.abs(jr.normal(jr.key(seed), (GENES,)))


def tokens(rows, mask=(True, True), doses=None, context=0):
    doses = np.zeros((2, 0)) if doses is None else doses
    return ConditionTokens(
        rows=jnp.asarray(rows, jnp.int32),
        mask=jnp.asarray(mask),
        doses=jnp.asarray(doses, jnp.float32),
        context=jnp.asarray(context, jnp.int32),
    )


def test_the_latents_are_standardised_by_shift_and_scale(model):
    x = cell()
    plain = eqx.tree_at(lambda m: (m.shift, m.scale), model, (jnp.zeros(4), jnp.ones(4)))
    raw, z = plain.encode(x), model.encode(x)
    np.testing.assert_allclose(z, (raw - jnp.arange(4.0)) / 2, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.decode(z), plain.decode(raw), rtol=1e-4, atol=1e-5)


def test_the_networks_see_centred_expression_by_program(model):
    x = np.asarray(cell()) - np.asarray(model.mean)
    slots = np.zeros((PROGRAMS, 4), np.float32)
    for gene in range(GENES):
        slots[gene % PROGRAMS, gene // PROGRAMS] = x[gene]
    raw = model.encoder(jnp.asarray(slots), model.facts)
    np.testing.assert_allclose(model.encode(cell()), (raw - model.shift) / 2, rtol=1e-4, atol=1e-5)
    out = np.asarray(model.decoder(raw, model.facts))
    by_gene = [out[gene % PROGRAMS, gene // PROGRAMS] for gene in range(GENES)]
    found = model.decode(model.encode(cell()))
    np.testing.assert_allclose(found, by_gene + np.asarray(model.mean), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [3, 100])
def test_many_cells_are_encoded_and_decoded_as_each_alone(model, batch):
    cells = jnp.stack([cell(seed) for seed in range(7)])
    latents = model.encode_cells(cells, batch=batch)
    back = model.decode_cells(latents, batch=batch)
    for i in range(7):
        np.testing.assert_allclose(latents[i], model.encode(cells[i]), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(back[i], model.decode(latents[i]), rtol=1e-4, atol=1e-5)


def test_prediction_is_encode_solve_decode(model):
    """Against a plain midpoint loop over single cells."""
    cells, condition = jnp.stack([cell(0), cell(1)]), model.condition(tokens([1, 2]))
    starts = jax.vmap(model.encode)(cells)
    moved = model.transport(starts[None], condition[None], adaptive(1e-4, 1e-4)).latents[0]
    velocity = eqx.filter_jit(model.velocity)
    for i in range(2):
        z, steps = starts[i], 200
        for step in range(steps):
            z = z + velocity(jnp.array((step + 0.5) / steps), z, condition) / steps
        np.testing.assert_allclose(moved[i], z, rtol=2e-2, atol=2e-2)


def test_dropout_acts_only_with_a_key(model):
    x = cell()
    assert jnp.array_equal(model.encode(x), model.encode(x))
    assert not jnp.allclose(model.encode(x, key=jr.key(0)), model.encode(x, key=jr.key(1)))
    z = model.encode(x)
    assert not jnp.allclose(model.decode(z, key=jr.key(0)), model.decode(z, key=jr.key(1)))


def test_the_condition_encoder_reads_embedding_dose_and_context():
    contexts = jr.normal(jr.key(3), (2, 2))
    full = make(contexts=contexts, dose_features=2)
    doses = [[1.0, -1.0], [1.0, 1.0]]
    vectors = np.hstack([np.asarray(full.tokens)[[0, 2]], doses]).astype(np.float32)
    expected = full.condition_encoder(jnp.asarray(vectors), jnp.ones(2, bool), contexts[1])
    found = full.condition(tokens([0, 2], doses=doses, context=1))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    apart = lambda a, b: float(jnp.max(jnp.abs(full.condition(a) - full.condition(b)))) > 1e-4
    assert apart(tokens([0, 2], doses=doses), tokens([0, 2], doses=doses, context=1))
    assert apart(tokens([0, 2], doses=doses), tokens([0, 2], doses=doses[::-1]))
    # No dose is not the dose at the mean.
    assert apart(tokens([0, 2], doses=[[0, 0], [0, 0]]), tokens([0, 2], doses=[[1, 0], [0, 0]]))


def test_without_doses_and_contexts_a_model_is_as_wide_as_its_embeddings():
    widths = lambda m: (m.condition_encoder.token.in_size, m.condition_encoder.out.in_size)
    assert widths(make()) == (6, 8)
    assert widths(make(contexts=jnp.ones((2, 3)), dose_features=2)) == (8, 16)


def test_one_of_many_conditions_is_picked_by_its_place():
    many = jax.tree.map(lambda *x: jnp.stack(x), tokens([0, 1]), tokens([2, 0], context=1))
    assert eqx.tree_equal(many[1], tokens([2, 0], context=1))
    assert eqx.tree_equal(many[jnp.array([1, 1])].rows, jnp.array([[2, 0], [2, 0]]))


def test_centroids_are_normalised_means_of_unit_embeddings():
    found = program_centroids(PARTITION, EMBEDDINGS.at[4].set(0.0))
    x = np.asarray(EMBEDDINGS.at[4].set(0.0), np.float64)
    unit = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    for k in range(PROGRAMS):
        mean = unit[np.arange(GENES) % PROGRAMS == k].mean(0)
        np.testing.assert_allclose(found[k], mean / np.linalg.norm(mean), rtol=1e-4, atol=1e-5)


BLIND = Networks(
    nn.GeneClusterEncoderSpec(
        **BODY, latent=4, semantics=None, position=nn.LearnedPosition(), pooling=nn.SumPooling()
    ),
    nn.GeneClusterDecoderSpec(**BODY, position=nn.LearnedPosition()),
    NETWORKS.condition,
    NETWORKS.velocity,
)


def test_a_model_needs_no_gene_embeddings_if_its_networks_read_none():
    blind = make(BLIND, embeddings=None)
    assert blind.facts.centroids is None
    assert jnp.all(jnp.isfinite(blind.decode(blind.encode(cell()))))


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        (NETWORKS, "GeneClusterEncoderSpec: semantics reads gene embeddings: there are none"),
        (
            Networks(BLIND.encoder, NETWORKS.decoder, BLIND.condition, BLIND.velocity),
            r"RelationalPosition reads gene embeddings.*choose LearnedPosition\(\)",
        ),
    ],
)
def test_a_network_that_reads_embeddings_says_so_if_there_are_none(networks, message):
    with pytest.raises(ValueError, match=message):
        make(networks, embeddings=None)


def test_each_network_has_a_draw_of_its_own():
    first, again, other = make(), make(), make(seed=1)
    assert eqx.tree_equal(first, again)
    for name in ("encoder", "decoder", "condition_encoder", "velocity"):
        assert not eqx.tree_equal(getattr(first, name), getattr(other, name))
    # The same draw in encoder and decoder would tie parts that are meant to be free.
    inducing = lambda network: jax.tree.leaves(network.blocks[0].inducing)[0]
    assert not jnp.array_equal(inducing(first.encoder), inducing(first.decoder))


def test_the_model_is_a_pytree_that_jit_takes_whole(model):
    run = eqx.filter_jit(
        eqx.debug.assert_max_traces(lambda m, x: m.decode(m.encode(x)), max_traces=1)
    )
    first = run(model, cell())
    moved = jax.tree.map(lambda x: 1.1 * x if eqx.is_inexact_array(x) else x, model)
    assert not jnp.allclose(first, run(moved, cell(1)))
    np.testing.assert_allclose(first, model.decode(model.encode(cell())), rtol=1e-4, atol=1e-5)
