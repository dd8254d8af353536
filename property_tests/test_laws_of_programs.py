"""What every clustering, start, rounding, selection and kind of features does."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from hypothesis import given, strategies as st

from scbig import ot, programs
from scbig.programs import size_bounds, unmoved

from .small_world import EMBEDDINGS, GENES, PROGRAMS, relations, screen
from .subclasses import TABLE, compiled, of

SEEDS = st.integers(0, 2**31 - 1)
MANY = 24
CLUSTERINGS = [x for x in TABLE[programs.AbstractClustering] if not isinstance(x, programs.Given)]


def bounds(clustering):
    """The sizes that a clustering claims for its programs."""
    even = (programs.GRC, programs.FileOrder, programs.RandomPrograms)
    if not (isinstance(clustering, even) or getattr(clustering, "balanced", False)):
        return 0, MANY
    return size_bounds(MANY, PROGRAMS, getattr(clustering, "tolerance", 0.0))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("clustering", CLUSTERINGS, ids=lambda c: type(c).__name__)
def test_every_gene_is_in_a_program_of_a_size_that_is_claimed(clustering, seed):
    known = relations(seed)
    found = clustering.cluster(known, key=jr.key(seed))
    labels, partition = np.asarray(found.labels), found.partition
    assert labels.shape == (MANY,)
    assert labels.min() >= 0
    assert labels.max() < PROGRAMS
    least, most = bounds(clustering)
    hard = np.bincount(np.asarray(found.run.labels), minlength=PROGRAMS)
    assert least <= hard.min() <= hard.max() <= most
    x = jr.normal(jr.key(seed), (MANY,))
    np.testing.assert_allclose(partition.scatter(partition.gather(x)), x, rtol=1e-4, atol=1e-6)
    if isinstance(partition, programs.GenePartition):
        members = np.asarray(partition.members)[np.asarray(partition.mask)]
        np.testing.assert_array_equal(np.sort(members), np.arange(MANY))
    # The objective is Eq. 1 of the hard programs, at equal weights: by loops.
    unit = np.asarray(known.unit, np.float64)
    graph = np.zeros((MANY, MANY))
    graph[known.source, known.target] = 1
    semantic, own = np.ones((MANY, PROGRAMS)), np.arange(MANY)
    inside = np.zeros((MANY, PROGRAMS))
    for k in np.unique(labels):
        centre = unit[labels == k].mean(0)
        semantic[:, k] = 1 - unit @ centre / np.linalg.norm(centre)
        inside[:, k] = graph[:, labels == k].mean(1)
    cost = semantic / semantic.max() + 1 - inside
    np.testing.assert_allclose(found.mean_cost, cost[own, labels].mean(), rtol=1e-4)
    again = clustering.cluster(known, key=jr.key(seed))
    np.testing.assert_array_equal(again.labels, labels)
    np.testing.assert_array_equal(again.runs.start, found.runs.start)


@pytest.mark.parametrize("clustering", CLUSTERINGS, ids=lambda c: type(c).__name__)
def test_what_a_clustering_does_not_read_does_not_matter(clustering):
    needed = {prior for value in [clustering] for prior in getattr(value, "reads", ())}
    known = relations(0)
    labels = lambda r: np.asarray(clustering.cluster(r, key=jr.key(0)).labels)
    base = labels(known)
    if "interactions" not in needed:
        other = relations(5)
        np.testing.assert_array_equal(
            base, labels(programs.Relations(known.unit, other.source, other.target, *weights()))
        )
    if "genes" not in needed:
        unit = relations(5).unit
        np.testing.assert_array_equal(
            base, labels(programs.Relations(unit, known.source, known.target, *weights()))
        )


def weights():
    return jnp.ones(()), jnp.ones(())


@compiled
def begin(start, known, key):
    return start(known, PROGRAMS, 3, key=key)


@given(st.sampled_from(TABLE[programs.AbstractStart]), st.integers(0, 3), SEEDS)
def test_starts_are_labels_that_a_key_decides(start, which, seed):
    found = np.asarray(begin(start, relations(which), jr.key(seed)))
    assert found.shape == (3, MANY)
    assert found.min() >= 0
    assert found.max() < PROGRAMS
    np.testing.assert_array_equal(found, begin(start, relations(which), jr.key(seed)))
    alike = [np.array_equal(found[0], other) for other in found[1:]]
    if isinstance(start, programs.RandomStart):
        assert not any(alike)
        assert all(np.ptp(np.bincount(one, minlength=PROGRAMS)) <= 1 for one in found)


@compiled
def rounded(rounding, cost, capacities):
    genes, clusters = cost.shape
    mass, share = jnp.full((genes,), 1 / genes), capacities.astype(cost.dtype) / genes
    plan = ot.balanced_plan(cost, mass, share, epsilon=0.05, iterations=2000, threshold=1e-3)
    return rounding(plan, cost, capacities)


@given(st.sampled_from(TABLE[programs.AbstractRounding]), SEEDS)
def test_a_rounding_fills_programs_and_is_cheaper_than_chance(rounding, seed):
    rng = np.random.default_rng(seed)
    cost = rng.random((MANY, PROGRAMS)).astype(np.float32)
    capacities = 1 + rng.multinomial(MANY - PROGRAMS, np.full(PROGRAMS, 1 / PROGRAMS))
    labels = np.asarray(rounded(rounding, jnp.asarray(cost), jnp.asarray(capacities, jnp.int32)))
    np.testing.assert_array_equal(np.bincount(labels, minlength=PROGRAMS), capacities)
    any_labels = np.repeat(np.arange(PROGRAMS), capacities)
    by_chance = [cost[np.arange(MANY), rng.permutation(any_labels)].mean() for _ in range(20)]
    assert cost[np.arange(MANY), labels].mean() < min(by_chance)


@given(st.sampled_from(TABLE[programs.AbstractRounding]), SEEDS)
def test_a_rounding_keeps_genes_where_they_cost_nothing(rounding, seed):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.r_[np.arange(PROGRAMS), rng.integers(0, PROGRAMS, MANY - PROGRAMS)])
    cost = jnp.asarray(1 - np.eye(PROGRAMS)[labels], jnp.float32)
    capacities = jnp.asarray(np.bincount(labels, minlength=PROGRAMS), jnp.int32)
    np.testing.assert_array_equal(rounded(rounding, cost, capacities), labels)


@given(st.sampled_from(TABLE[programs.AbstractSelection]), SEEDS, st.permutations(range(4)))
def test_a_selection_keeps_the_cheapest_runs_sizes_whatever_the_order_of_runs(
    selection, seed, order
):
    known, rng = relations(0), np.random.default_rng(seed)
    labels = np.stack([rng.permutation(np.arange(MANY) % PROGRAMS) for _ in range(4)])
    runs = jax.tree.map(
        lambda *leaves: jnp.stack(leaves),
        *[unmoved(known, jnp.asarray(one, jnp.int32), PROGRAMS) for one in labels],
    )
    found, chosen = selection(runs, known, PROGRAMS)
    moved, other = selection(
        jax.tree.map(lambda leaf: leaf[jnp.array(order)], runs), known, PROGRAMS
    )
    np.testing.assert_array_equal(found, moved)
    np.testing.assert_array_equal(np.bincount(found, minlength=PROGRAMS), [8, 8, 8])
    assert chosen in range(-1, 4)
    if chosen >= 0:
        assert order[other] == chosen
        np.testing.assert_array_equal(found, labels[chosen])
    alone = jax.tree.map(lambda leaf: leaf[:1], runs)
    np.testing.assert_array_equal(selection(alone, known, PROGRAMS)[0], labels[0])
    same = jax.tree.map(lambda leaf: leaf[jnp.zeros(4, int)], runs)
    np.testing.assert_array_equal(selection(same, known, PROGRAMS)[0], labels[0])


@pytest.mark.parametrize("features", **of(programs.AbstractFeatures))
def test_features_are_a_finite_row_for_each_gene(features):
    given_vectors = np.asarray(EMBEDDINGS)
    found = features(screen(), given_vectors)
    assert found.shape[0] == GENES
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, features(screen(), given_vectors))
    if not isinstance(features, programs.SideBySide):
        assert len(features(screen(), None)) == GENES
    else:
        with pytest.raises(ValueError, match="no embeddings"):
            features(screen(), None)


def test_given_programs_are_not_made():
    with pytest.raises(ValueError, match="pass them to `fit`"):
        programs.Given().cluster(relations(), key=jr.key(0))
