"""The encoder and the decoder against Eq. 2 to 4 written out in NumPy."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig import nn
from scbig.nn._facts import PositionEncoding

K, C, D, W, L = 3, 4, 5, 8, 6
BODY: dict[str, Any] = {
    "width": W, "heads": 2, "layers": 2, "mlp_width": 16, "dropout": 0.5,
    "mixing": nn.InducingPoints(2),
}  # fmt: skip
SIZES = nn.Sizes(programs=K, slots=C, embedding=D, token=1, context=None, latent=L, condition=1)


VECTORS = jr.normal(jr.key(2), (K, C, D))
STREAMS = {"mean": nn.MeanSemantics(), "weighted": nn.WeightedSemantics(), "none": None}


CENTROIDS = jr.normal(jr.key(1), (K, D))


def facts(kind="mean"):
    kept = {"mean": VECTORS[:, 0], "weighted": VECTORS, "none": None}
    return nn.ProgramFacts(CENTROIDS, kept[kind])


def encoder(semantics="mean", **options):
    spec = nn.GeneClusterEncoderSpec(**BODY | options, latent=L, semantics=STREAMS[semantics])
    made = spec.build(SIZES, key=jr.key(0))
    assert isinstance(made, nn.GeneClusterEncoder)
    return made


def layer_norm(x, norm):
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt(x.var(-1, keepdims=True) + norm.eps)
    return scaled * np.asarray(norm.weight) + np.asarray(norm.bias)


def attend(module, q, kv):
    """Multi-head attention, one head and one query at a time."""
    heads = module.num_heads
    project = lambda linear, x: x @ np.asarray(linear.weight).T
    query, keys, values = (
        project(module.query_proj, q),
        project(module.key_proj, kv),
        project(module.value_proj, kv),
    )
    size = query.shape[1] // heads
    out = np.zeros_like(query)
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        for i in range(len(q)):
            scores = keys[:, part] @ query[i, part] / np.sqrt(size)
            weights = np.exp(scores - scores.max())
            out[i, part] = (weights / weights.sum()) @ values[:, part]
    return project(module.output_proj, out)


def gelu_mlp(mlp, x):
    for linear in mlp.layers[:-1]:
        x = np.asarray(jax.nn.gelu(x @ np.asarray(linear.weight).T + np.asarray(linear.bias)))
    return x @ np.asarray(mlp.layers[-1].weight).T + np.asarray(mlp.layers[-1].bias)


def block_by_hand(block, h):
    i, norms = np.asarray(block.inducing), block.norms
    z = layer_norm(i + attend(block.compress, i, h), norms[0])
    z = layer_norm(z + attend(block.process, z, z), norms[1])
    h = layer_norm(h + attend(block.broadcast, h, z), norms[2])
    return layer_norm(h + gelu_mlp(block.mlp, h), norms[3])


def test_the_encoder_is_equations_2_to_4():
    module, known = encoder(), facts()
    x = np.asarray(jr.normal(jr.key(3), (K, C)))
    h = x @ np.asarray(module.expression.weight).T + np.asarray(module.expression.bias)
    assert module.semantic is not None
    assert isinstance(module.position, PositionEncoding)
    h = h + np.asarray(VECTORS[:, 0]) @ np.asarray(module.semantic.weight).T
    position = np.asarray(known.centroids) @ np.asarray(module.position.linear.weight).T
    h = h + layer_norm(position, module.position.norm)
    for block in module.blocks:
        h = block_by_hand(block, h)
    z = np.asarray(module.latent.weight) @ h.mean(0) + np.asarray(module.latent.bias)
    np.testing.assert_allclose(module(jnp.asarray(x), known), z, rtol=2e-4, atol=2e-5)


def transformer_by_hand(block, h):
    h = layer_norm(h + attend(block.attends, h, h), block.norms[0])
    return layer_norm(h + gelu_mlp(block.mlp, h), block.norms[1])


def test_the_normal_encoder_is_a_transformer_over_the_same_tokens():
    module, known = encoder(mixing=nn.SelfAttention()), facts()
    scales = lambda m: [norm.weight for block in m.blocks for norm in block.norms]
    drawn = [jr.uniform(jr.key(i), (W,)) + 0.5 for i in range(len(scales(module)))]
    module = eqx.tree_at(scales, module, drawn)
    x = np.asarray(jr.normal(jr.key(3), (K, C)))
    h = x @ np.asarray(module.expression.weight).T + np.asarray(module.expression.bias)
    assert module.semantic is not None
    assert isinstance(module.position, PositionEncoding)
    h = h + np.asarray(VECTORS[:, 0]) @ np.asarray(module.semantic.weight).T
    h = h + np.asarray(module.position(known.centroids))
    for block in module.blocks:
        assert not hasattr(block, "inducing")
        h = transformer_by_hand(block, h)
    z = np.asarray(module.latent.weight) @ h.mean(0) + np.asarray(module.latent.bias)
    np.testing.assert_allclose(module(jnp.asarray(x), known), z, rtol=2e-4, atol=2e-5)


def test_the_position_encoding_has_no_bias():
    position = encoder().position
    assert isinstance(position, PositionEncoding)
    assert position.linear.bias is None


def test_the_weighted_stream_depends_on_the_cell():
    slots = jr.normal(jr.key(4), (K, C))
    by_hand = np.zeros((K, D))
    for k in range(K):
        for c in range(C):
            by_hand[k] += float(slots[k, c]) * np.asarray(VECTORS)[k, c] / C
    found = nn.WeightedSemantics()(slots, VECTORS)
    np.testing.assert_allclose(found, by_hand, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("semantics", "norm", "pooling", "mixing"),
    [
        ("mean", nn.PostNorm(), nn.MeanPooling(), nn.SelfAttention()),
        ("weighted", nn.PreNorm(), nn.AttentionPooling(), nn.InducingPoints(2)),
        ("none", nn.PostNorm(), nn.SeedPooling(heads=2), nn.InducingPoints(2)),
        ("weighted", nn.PreNorm(), nn.MeanPooling(), nn.SelfAttention()),
    ],
)
def test_every_variant_encodes_with_finite_gradients(semantics, norm, pooling, mixing):
    module = encoder(semantics, norm=norm, pooling=pooling, mixing=mixing)
    known = facts(semantics)
    loss = lambda m, x: jnp.sum(m(x, known) ** 2)
    gradient = eqx.filter_grad(loss)(module, jnp.zeros((K, C)))
    leaves = jax.tree.leaves(eqx.filter(gradient, eqx.is_array))
    assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in leaves)


def test_the_encoder_does_not_depend_on_the_order_of_programs():
    module, known, order = encoder(), facts(), jnp.array([2, 0, 1])
    x = jr.normal(jr.key(5), (K, C))
    moved = nn.ProgramFacts(CENTROIDS[order], VECTORS[order, 0])
    np.testing.assert_allclose(module(x, known), module(x[order], moved), rtol=1e-4, atol=1e-5)


def test_dropout_acts_only_with_a_key():
    module, known = encoder(), facts()
    x = jr.normal(jr.key(6), (K, C))
    assert jnp.array_equal(module(x, known), module(x, known))
    first, second = (module(x, known, key=jr.key(k)) for k in (0, 1))
    assert not jnp.allclose(first, second)


def test_the_decoder_tells_programs_apart_by_their_position():
    decoder = nn.GeneClusterDecoderSpec(**BODY).build(SIZES, key=jr.key(0))
    known, order = facts(), jnp.array([2, 0, 1])
    z = jr.normal(jr.key(7), (L,))
    out = decoder(z, known)
    assert out.shape == (K, C)
    assert not jnp.allclose(out[0], out[1])
    moved = nn.ProgramFacts(CENTROIDS[order], None)
    np.testing.assert_allclose(decoder(z, moved), out[order], rtol=1e-4, atol=1e-5)


SOME = CENTROIDS.at[jnp.array([0, 2])].set(0.0).at[1, 3].set(0.0)
"""As where no gene of the first and the last program has an embedding; one entry is 0 by chance."""


def positions_of(network) -> PositionEncoding:
    assert isinstance(network.position, PositionEncoding)
    return network.position


def test_programs_without_embeddings_have_a_learnt_position_and_only_they():
    # As after training: an untrained LayerNorm maps a zero to zero.
    encoding = eqx.tree_at(lambda p: p.norm.bias, positions_of(encoder()), jnp.arange(1.0, W + 1))
    found = encoding(SOME)
    np.testing.assert_array_equal(found[jnp.array([0, 2])], encoding.vectors[jnp.array([0, 2])])
    by_hand = layer_norm(np.asarray(SOME) @ np.asarray(encoding.linear.weight).T, encoding.norm)
    np.testing.assert_allclose(found[1], by_hand[1], rtol=2e-4, atol=2e-5)
    many = nn.PositionEncoding(300, D, W, key=jr.key(0)).vectors
    np.testing.assert_allclose(np.std(many), 0.02, rtol=0.1)


def test_the_decoder_tells_programs_without_embeddings_apart():
    decoder = nn.GeneClusterDecoderSpec(**BODY).build(SIZES, key=jr.key(0))
    out = decoder(jr.normal(jr.key(7), (L,)), nn.ProgramFacts(SOME, None))
    assert float(jnp.max(jnp.abs(out[0] - out[2]))) > 1e-3


def test_the_encoder_tells_programs_without_embeddings_apart():
    module, known = encoder(), nn.ProgramFacts(SOME, VECTORS[:, 0].at[jnp.array([0, 2])].set(0.0))
    x = jr.normal(jr.key(5), (K, C))
    swapped = module(x[jnp.array([2, 1, 0])], known)
    assert float(jnp.max(jnp.abs(module(x, known) - swapped))) > 1e-4


def test_only_programs_without_embeddings_train_their_vectors():
    decoder = nn.GeneClusterDecoderSpec(**BODY).build(SIZES, key=jr.key(0))
    loss = lambda d: jnp.sum(d(jr.normal(jr.key(7), (L,)), nn.ProgramFacts(SOME, None)) ** 2)
    gradient = eqx.filter_grad(loss)(decoder)
    assert all(bool(jnp.all(jnp.isfinite(x))) for x in jax.tree.leaves(gradient))
    moved = positions_of(gradient).vectors
    np.testing.assert_array_equal(jnp.any(moved != 0, axis=1), [True, False, True])
    # The map of the centroids learns from the program that has one.
    assert jnp.any(positions_of(gradient).linear.weight != 0)


@pytest.mark.parametrize("norm", [nn.PostNorm(), nn.PreNorm()])
@pytest.mark.parametrize("mixing", [nn.InducingPoints(2), nn.SelfAttention()])
def test_attention_is_read_without_changing_what_is_made(mixing, norm):
    module, known = encoder(mixing=mixing, norm=norm), facts()
    slots = jr.normal(jr.key(3), (K, C))
    found = module.attention(slots, known)
    readers = 2 if isinstance(mixing, nn.InducingPoints) else K
    assert found.shape == (2, 2, readers, K)
    np.testing.assert_allclose(found.sum(-1), 1.0, rtol=1e-5)
    tokens = module._tokens(slots, known)
    for number, block in enumerate(module.blocks):
        made, weights = block.attention(tokens)
        np.testing.assert_array_equal(weights, found[number])
        tokens = block(tokens)
        np.testing.assert_array_equal(made, tokens)


def test_attention_weighs_the_values_that_the_points_read():
    module, known = encoder(), facts()
    tokens = module._tokens(jr.normal(jr.key(3), (K, C)), known)
    block: Any = module.blocks[0]
    _, weights = block.attention(tokens)
    values = jax.vmap(block.compress.value_proj)(tokens).reshape(K, 2, W // 2)
    heads = np.einsum("hrc,chd->rhd", weights, values).reshape(2, W)
    by_hand = jax.vmap(block.compress.output_proj)(jnp.asarray(heads))
    found = block.compress(block.inducing, tokens, tokens)
    np.testing.assert_allclose(found, by_hand, rtol=1e-5, atol=1e-6)
