"""Laws of condition encoding, alignment, transport and files."""

import pathlib
import tempfile

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from hypothesis import given, strategies as st

from scbig import alignment, flow, nn
from scbig._files import read_tree, write_tree
from scbig.programs import GenePartition
from scbig.sampling import CellIndex

SEEDS = st.integers(0, 2**31 - 1)
GENES, CELLS, PROGRAMS, TOKENS, FEATURES = 9, 8, 3, 4, 5
PARTITION = GenePartition.from_labels(np.arange(GENES) % PROGRAMS, PROGRAMS)

SIZES = nn.Sizes(
    programs=PROGRAMS, slots=3, embedding=None, token=FEATURES, context=None, latent=3, condition=6
)
POOLINGS = [nn.AttentionPooling(), nn.MeanPooling(), nn.SumPooling(), nn.SeedPooling(heads=2)]
ENCODERS = [
    nn.ConditionEncoderSpec(hidden=8, width=6, pooling=pooling).build(SIZES, key=jr.key(0))
    for pooling in POOLINGS
]
encode = eqx.filter_jit(lambda encoder, tokens, mask: encoder(tokens, mask))


@given(SEEDS, st.sampled_from(ENCODERS), st.permutations(range(TOKENS)))
def test_a_condition_does_not_depend_on_the_order_of_its_tokens(seed, encoder, order):
    tokens = jr.normal(jr.key(seed), (TOKENS, FEATURES))
    mask = jnp.array([True, True, True, False])
    place = jnp.array(order)
    first = encode(encoder, tokens, mask)
    second = encode(encoder, tokens[place], mask[place])
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


@given(SEEDS, st.sampled_from(ENCODERS), st.integers(0, TOKENS))
def test_a_condition_does_not_depend_on_its_padding(seed, encoder, count):
    first, second = jr.normal(jr.key(seed), (2, TOKENS, FEATURES))
    mask = jnp.arange(TOKENS) < count
    padded = jnp.where(mask[:, None], first, 100 * second)
    np.testing.assert_allclose(
        encode(encoder, first, mask),
        encode(encoder, padded, mask),
        rtol=1e-4,
        atol=1e-5,
    )


correlate = jax.jit(lambda x: alignment.cluster_correlation(x, PARTITION))


@given(SEEDS, st.floats(0.1, 10), st.floats(-5, 5))
def test_correlations_lie_in_range_and_ignore_affine_changes(seed, scale, shift):
    x = jr.normal(jr.key(seed), (CELLS, GENES))
    found = correlate(x)
    assert float(jnp.max(jnp.abs(found))) <= 1 + 1e-5
    np.testing.assert_allclose(jnp.diag(found), 1.0, atol=1e-4)
    np.testing.assert_allclose(found, correlate(scale * x + shift), atol=5e-3)


@given(SEEDS, st.lists(st.integers(0, GENES - 1), max_size=GENES), st.floats(0, 8))
def test_the_correlation_loss_is_zero_at_equality_with_finite_gradients(seed, constant, value):
    """Also where whole columns, and with them whole programs, are constant."""
    x = jr.normal(jr.key(seed), (CELLS, GENES))
    x = jnp.where(jnp.isin(jnp.arange(GENES), jnp.array(constant, int))[None, :], value, x)
    target = correlate(x)
    loss = lambda y: jnp.mean((correlate(y) - target) ** 2)
    assert float(loss(x)) < 1e-10
    assert bool(jnp.all(jnp.isfinite(jax.grad(loss)(x))))
    assert bool(jnp.all(jnp.isfinite(jax.grad(loss)(2 * x + 1))))


WEIGHTS = alignment.pathway_weights(jr.bernoulli(jr.key(0), 0.5, (4, GENES)))
PATHWAYS, GROUP = alignment.PathwayAlignment(), jnp.zeros(1, jnp.int32)
ALL = jnp.full(1, CELLS, jnp.int32)
INDEX = CellIndex(
    order=jnp.arange(CELLS, dtype=jnp.int32), start=GROUP, size=ALL,
    control_order=jnp.arange(CELLS, dtype=jnp.int32), control_start=GROUP, control_size=ALL,
    condition=GROUP, context=GROUP,
)  # fmt: skip
DRAWN = INDEX.draw_cells(GROUP, CELLS, key=jr.key(0))[0]


@jax.jit
def pathway_loss(x, y):
    """Of `x` and the cells of `y` that the loss draws."""
    facts = alignment.PathwayFacts(WEIGHTS, INDEX, y @ WEIGHTS.T)
    return PATHWAYS(x[None], GROUP, facts, key=jr.key(0))


@given(SEEDS, st.floats(0.5, 3.0))
def test_the_pathway_loss_is_zero_at_equality_and_positive_otherwise(seed, shift):
    x = jr.normal(jr.key(seed), (CELLS, GENES))
    assert abs(float(pathway_loss(x[DRAWN], x))) < 1e-4
    assert float(pathway_loss(x + shift, x)) > 1e-3
    assert bool(jnp.all(jnp.isfinite(jax.grad(pathway_loss)(x + shift, x))))


@given(SEEDS, st.sampled_from([0.0, 0.5, 3.0]))
def test_the_pathway_loss_of_populations_that_do_not_vary_has_finite_gradients(seed, shift):
    x = jnp.broadcast_to(jr.normal(jr.key(seed), (1, GENES)), (CELLS, GENES))
    assert bool(jnp.isfinite(pathway_loss(x + shift, x)))
    assert bool(jnp.all(jnp.isfinite(jax.grad(pathway_loss)(x + shift, x))))


VELOCITY = nn.VelocityFieldSpec(
    frequencies=2, top_frequency=3.0, hidden=8, depth=1, dropout=0.0
).build(SIZES, key=jr.key(0))


class Reversed(nn.AbstractVelocity):
    """The same flow run from the end to the beginning."""

    inner: nn.AbstractVelocity

    def __call__(self, t, z, c, *, key=None):
        return -self.inner(1 - t, z, c)


TRANSPORT = flow.adaptive(1e-6, 1e-6)
there = eqx.filter_jit(lambda z, c: TRANSPORT(VELOCITY, z, c).latents)
back = eqx.filter_jit(lambda z, c: TRANSPORT(Reversed(VELOCITY), z, c).latents)


@given(SEEDS)
def test_a_flow_there_and_back_is_the_identity(seed):
    z_key, c_key = jr.split(jr.key(seed))
    z, c = jr.normal(z_key, (2, CELLS, 3)), jr.normal(c_key, (2, 6))
    np.testing.assert_allclose(back(there(z, c), c), z, atol=1e-3)


@given(SEEDS, st.permutations(range(CELLS)))
def test_transport_moves_cells_one_by_one(seed, order):
    """The order of the cells of a batch changes nothing but their order."""
    z, c = jr.normal(jr.key(seed), (2, CELLS, 3)), jnp.ones((2, 6))
    place = jnp.array(order)
    np.testing.assert_allclose(there(z, c)[:, place], there(z[:, place], c), atol=1e-4)


@given(SEEDS, st.lists(st.text(min_size=1), max_size=5))
def test_a_tree_on_disk_comes_back_exactly(seed, names):
    tree = {"a": jr.normal(jr.key(seed), (3,)), "b": [jnp.arange(4), jnp.array(True)]}
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "tree"
        write_tree(path, "test", {"names": names}, tree)
        header, found = read_tree(path, "test", lambda _: tree)
    assert header["names"] == names
    assert eqx.tree_equal(found, tree)
