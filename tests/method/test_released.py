"""The released preset: its networks and its objective, written out in NumPy."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig import method as m, nn
from scbig._foreign import lenient_promotion
from scbig.alignment import CorrelationAlignment, PlainPathwayAlignment
from scbig.objective import Consistency
from scbig.priors import PathwayLibrary
from scbig.programs import GenePartition
from scbig.sampling import CellIndex
from scbig.train import _flow

SIZES = nn.Sizes(
    programs=32, slots=65, embedding=768, token=128, context=None, latent=50, condition=256
)


@pytest.fixture
def double():
    """Phases of up to 10,000 radians have three digits in single precision."""
    with jax.enable_x64(True):
        yield


def built(spec: Any) -> Any:
    """A network in double precision."""
    made = spec.build(SIZES, key=jr.key(0))
    with jax.enable_x64(True):
        return jax.tree.map(
            lambda leaf: leaf.astype(jnp.float64) if eqx.is_inexact_array(leaf) else leaf, made
        )


def inputs(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A latent, and a condition that is larger than its LayerNorm would be."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=50), 5 * rng.normal(size=256)


def silu(x):
    return x / (1 + np.exp(-x))


def linear(x):
    return x


def normalised(x):
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5)


def dense(layer, x):
    return np.asarray(layer.weight) @ x + np.asarray(layer.bias)


def velocity_by_hand(field, t, z, c, *, last=linear, joined=linear):
    """The released field; `last` follows its time stream, `joined` each stream that is joined."""
    # From 10,000 rad down by one ratio: a 513th would be 1 rad.
    frequencies = [10_000 ** (1 - number / 512) for number in range(512)]
    time = np.array([math.sin(w * t) for w in frequencies] + [math.cos(w * t) for w in frequencies])
    time = last(dense(field.time.layers[1], silu(dense(field.time.layers[0], time))))
    latent = silu(dense(field.latent.layers[1], silu(dense(field.latent.layers[0], z))))
    both = np.concatenate([joined(time), joined(latent), joined(c)])
    trunk = silu(dense(field.trunk.layers[1], silu(dense(field.trunk.layers[0], both))))
    return dense(field.out, trunk)


@pytest.fixture(scope="module")
def field():
    return built(m.released().velocity)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("t", [0.0, 0.3712, 1.0])
def test_the_velocity_is_that_of_geometric_frequencies_and_a_linear_end_of_time(field, t):
    z, c = inputs(1)
    found = field(jnp.asarray(t), jnp.asarray(z), jnp.asarray(c))
    np.testing.assert_allclose(found, velocity_by_hand(field, t, z, c), rtol=1e-8, atol=1e-9)
    # What it is not is far enough to be told from it.
    for other in ({"last": silu}, {"joined": normalised}):
        assert np.abs(found - velocity_by_hand(field, t, z, c, **other)).max() > 1e-3


def test_the_layers_of_the_velocity_have_the_published_widths(field):
    widths = lambda mlp: [layer.weight.shape for layer in mlp.layers]
    assert widths(field.time) == [(1024, 1024), (1024, 1024)]
    assert widths(field.latent) == [(1024, 50), (1024, 1024)]
    assert widths(field.trunk) == [(1024, 2304), (1024, 1024)]
    assert field.out.weight.shape == (50, 1024)
    assert field.dropout.p == 0.1


def test_nothing_is_normalised_before_the_streams_are_joined(field):
    def norms(network):
        is_norm = lambda part: isinstance(part, eqx.nn.LayerNorm)
        return sum(is_norm(part) for part in jax.tree.leaves(network, is_leaf=is_norm))

    assert norms(field) == 0
    assert norms(m.paper().velocity.build(SIZES, key=jr.key(0))) == 3


def condition_by_hand(encoder, tokens):
    """Eight heads of eight entries, each of which reads the tokens by the seed; one linear map."""
    queries = np.asarray(encoder.attention.query_proj.weight) @ np.asarray(encoder.seed)[0]
    keys = [np.asarray(encoder.attention.key_proj.weight) @ token for token in tokens]
    values = [np.asarray(encoder.attention.value_proj.weight) @ token for token in tokens]
    read = np.zeros(64)
    for head in range(8):
        own = range(8 * head, 8 * head + 8)
        scores = [sum(queries[i] * key[i] for i in own) / math.sqrt(8) for key in keys]
        weights = [math.exp(score) / sum(map(math.exp, scores)) for score in scores]
        for i in own:
            read[i] = sum(w * value[i] for w, value in zip(weights, values, strict=True))
    return dense(encoder.out, np.asarray(encoder.attention.output_proj.weight) @ read)


@pytest.fixture(scope="module")
def condition():
    """With a seed so large that it tells tokens apart: an untrained one reads nearly their mean."""
    made = built(m.released().condition)
    with jax.enable_x64(True):
        return eqx.tree_at(lambda own: own.seed, made, 500 * made.seed)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("there", [[0], [1], [0, 2], [0, 1, 2], []])
def test_a_condition_is_read_by_one_seed_of_64_entries(condition, there):
    tokens = np.random.default_rng(2).normal(size=(3, 128))
    mask = np.isin(np.arange(3), there)
    found = condition(jnp.asarray(tokens), jnp.asarray(mask))
    wanted = condition_by_hand(condition, tokens[there])
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)
    if len(there) > 1:
        # The mean of what each token gives is far from what the seed reads.
        flat = np.mean([condition_by_hand(condition, tokens[[i]]) for i in there], axis=0)
        assert np.abs(found - flat).max() > 1e-2


def test_the_layers_of_the_condition_encoder_have_the_published_widths(condition):
    attention = condition.attention
    assert condition.seed.shape == (1, 64)
    assert attention.num_heads == 8
    names = ("query_proj", "key_proj", "value_proj", "output_proj")
    shapes = [getattr(attention, name).weight.shape for name in names]
    assert shapes == [(64, 64), (64, 128), (64, 128), (64, 64)]
    assert all(getattr(attention, name).bias is None for name in names)
    assert condition.out.weight.shape == (256, 64)
    assert condition.dropout.p == 0.9


def losses() -> tuple[Any, Any]:
    """The two losses of the preset's only term."""
    (part,) = m.released().terms
    assert isinstance(part.term, Consistency)
    assert part.weight == 1
    first, second = part.term.losses
    return first, second


def test_the_term_has_the_released_losses_and_their_sizes():
    first, second = losses()
    assert first == m.Weighted(CorrelationAlignment(squared=False), 0.1)
    assert second == m.Weighted(PlainPathwayAlignment(epsilon=0.1, iterations=100), 0.1)
    term: Any = m.released().terms[0].term
    assert (term.period, term.groups, term.cells) == (1000, 3, 64)
    assert (term.denoised, term.relative, term.weighs_gradient) == (False, False, False)
    assert (term.transport.controller.rtol, term.transport.controller.atol) == (1e-5, 1e-5)


@pytest.fixture(scope="module")
def prepared(four_genes):
    """Two groups of predicted cells, and what both losses read of the measured ones."""
    index = CellIndex.from_screen(four_genes)
    partition = GenePartition.from_labels(np.arange(20) // 5, 4)
    library = PathwayLibrary({"a": ("g0", "g1", "g2"), "b": ("g3", "g8", "g9", "g15")})
    facts = [own.term.prepare(four_genes, index, partition, library) for own in losses()]
    groups = np.array([4, 1], np.int32)
    rows = [np.flatnonzero(four_genes.condition_index == index.condition[g]) for g in groups]
    measured = [four_genes.dense(own).astype(np.float64) for own in rows]
    rng = np.random.default_rng(5)
    predicted = np.stack([own[:9] + 0.3 * rng.normal(size=(9, 20)) for own in measured])
    return facts, jnp.asarray(groups), measured, predicted.astype(np.float32)


def test_the_correlation_loss_is_not_squared(prepared):
    facts, groups, measured, predicted = prepared
    part, _ = losses()
    found = part.term(jnp.asarray(predicted), groups, facts[0], key=jr.key(0))
    own = []
    for cells, true in zip(predicted, measured, strict=True):
        means = lambda x: [x[:, 5 * k : 5 * k + 5].mean(axis=1) for k in range(4)]
        apart = np.corrcoef(means(cells)) - np.corrcoef(means(true))
        own.append(math.sqrt(sum(x**2 for x in apart.ravel())) / 4)
    assert found == pytest.approx(np.mean(own), rel=1e-4)
    # The square of that is another number.
    assert abs(found - np.mean(np.square(own))) > 0.1 * found


def transported(x, y):
    """Scaling of the kernel itself, a hundred times, with an epsilon in units of the cost."""
    cost = np.array([[np.sum((a - b) ** 2) for b in y] for a in x])
    kernel = np.exp(-cost / 0.1)
    left, right = np.ones(len(x)), np.ones(len(y))
    for _ in range(100):
        left = 1 / len(x) / (kernel @ right + 1e-8)
        right = 1 / len(y) / (kernel.T @ left + 1e-8)
    return np.sum(left[:, None] * kernel * right[None, :] * cost)


def test_the_pathway_loss_is_transport_in_the_plain_domain(prepared):
    facts, groups, _, predicted = prepared
    _, part = losses()
    found = part.term(jnp.asarray(predicted), groups, facts[1], key=jr.key(3))
    drawn = np.asarray(facts[1].index.draw_cells(groups, 9, key=jr.key(3)))
    sets = ([0, 1, 2], [3, 8, 9, 15])
    own = []
    for cells, rows in zip(predicted, drawn, strict=True):
        activities = np.stack([cells[:, members].mean(axis=1) for members in sets], axis=1)
        own.append(transported(activities, np.asarray(facts[1].activities)[rows]))
    # Not divided by the number of pathways, and nothing of the cells with themselves taken off.
    assert found == pytest.approx(np.mean(own), rel=1e-4)
    assert found > 1e-2


class Moments:
    """Adam, as published (Kingma & Ba 2015), on one gradient after the other."""

    def __init__(self):
        self.mean, self.square, self.count = 0.0, 0.0, 0

    def change(self, gradient):
        self.count += 1
        self.mean = 0.9 * self.mean + 0.1 * gradient
        self.square = 0.999 * self.square + 0.001 * gradient**2
        mean = self.mean / (1 - 0.9**self.count)
        square = self.square / (1 - 0.999**self.count)
        return -5e-5 * mean / (np.sqrt(square) + 1e-8)


@pytest.mark.usefixtures("double")
def test_alignment_has_updates_of_its_own():
    """At once and of its own moments, where the flow's wait for 20 gradients."""
    config = m.released()
    assert [type(own.term) for own in config.objective[1:]] == [Consistency]
    settings = config.stage2
    step = _flow._Descend(
        config.objective, settings.optimiser, settings.apart, settings.accumulate, settings.ema
    )
    optimiser = step.optimisation
    rng = np.random.default_rng(0)
    flows, pulls = rng.normal(size=(60, 3)), 2 * rng.normal(size=(60, 3))
    with lenient_promotion():
        state = optimiser.init(jnp.zeros(3))
        update = jax.jit(optimiser.update)
    flow, alignment, total = Moments(), Moments(), np.zeros(3)
    found = np.zeros(3)
    for number in range(60):
        now = number in (0, 25, 26, 59)
        pull = pulls[number] if now else np.zeros(3)
        with lenient_promotion():
            change, state = update((jnp.asarray(flows[number]), jnp.asarray(pull)), state)
        found = found + np.asarray(change)
        if number % 20 == 19:
            mean = flows[number - 19 : number + 1].mean(axis=0)
            total = total + flow.change(mean / max(1.0, np.sqrt(np.sum(mean**2))))
        if now:
            total = total + alignment.change(np.clip(pull, -1, 1))
        np.testing.assert_allclose(found, total, rtol=1e-6, atol=1e-12)
