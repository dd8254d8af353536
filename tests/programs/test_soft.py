import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scbig import programs

from .test_clustering import CLUSTERS, GENES, cluster, planted


@pytest.fixture(scope="module")
def priors():
    return planted(1, noise=1.0, within=0.3, between=0.02)[:3]


def shared(partition):
    """Shares by gene and program, read off the slots one by one."""
    matrix = np.zeros((partition.num_genes, partition.clusters))
    for program in range(partition.clusters):
        for slot in range(partition.slots):
            if partition.mask[program, slot]:
                matrix[partition.members[program, slot], program] += partition.held[program, slot]
    return matrix


def test_shares_are_the_plan_of_the_hard_programs_at_the_temperature(priors):
    embeddings, source, target = priors
    hard = cluster(embeddings, source, target)
    soft = cluster(embeddings, source, target, soft=programs.Soft(0.2, CLUSTERS))
    known = programs.Relations(
        unit=programs.unit_rows(jnp.asarray(embeddings)),
        source=jnp.asarray(source),
        target=jnp.asarray(target),
        semantic_weight=jnp.ones(()),
        interaction_weight=jnp.ones(()),
    )
    cost = np.asarray(known.cost(hard.labels, CLUSTERS), np.float64)
    kernel = np.exp(-cost / 0.2)
    rows, columns = np.ones(GENES), np.ones(CLUSTERS)
    sizes = np.asarray(hard.partition.sizes)
    for _ in range(2000):  # Sinkhorn in the plain domain
        rows = 1 / (kernel @ columns)
        columns = sizes / (kernel.T @ rows)
    plan = rows[:, None] * kernel * columns
    # A last, small share may find no room.
    np.testing.assert_allclose(shared(soft.partition), plan, atol=0.015)
    np.testing.assert_allclose(np.median(np.abs(shared(soft.partition) - plan)), 0, atol=1e-4)
    np.testing.assert_allclose(shared(soft.partition).sum(0), sizes, rtol=1e-2)


def test_a_lower_temperature_shares_less(priors):
    cold, warm = (cluster(*priors, soft=programs.Soft(t)).partition for t in (0.02, 0.5))
    assert isinstance(cold, programs.SoftPartition)
    assert isinstance(warm, programs.SoftPartition)
    largest = lambda partition: float(jnp.mean(jnp.max(partition.shares, axis=1)))
    assert largest(cold) > largest(warm) + 0.2
    assert cold.slots < warm.slots
    np.testing.assert_allclose(jnp.sum(cold.shares, axis=1), 1, rtol=1e-5)


def test_labels_are_the_largest_shares(priors):
    soft = cluster(*priors, soft=programs.Soft(0.1))
    np.testing.assert_array_equal(soft.labels, shared(soft.partition).argmax(1))


def test_hand_made_shares():
    partition = programs.SoftPartition.from_shares(
        np.array([[1, 0], [0, 1], [2, 0]]), np.array([[3.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), 3
    )
    x = jnp.asarray([4.0, 2.0, 6.0])
    # Program 0 holds a quarter of gene 0, gene 1 and half of gene 2.
    np.testing.assert_allclose(partition.average(x)[0], (1 + 2 + 3) / 1.75)
    np.testing.assert_allclose(partition.gather(x)[0], [2, 2, 6 * 0.5**0.5], rtol=1e-6)
    np.testing.assert_array_equal(partition.sizes, [3, 1, 1])
    np.testing.assert_array_equal(partition.labels, [1, 0, 2])


def test_shares_that_make_no_sense_are_named():
    make = programs.SoftPartition.from_shares
    with pytest.raises(ValueError, match="1 genes have the same program twice"):
        make(np.array([[0, 1], [1, 1]]), np.ones((2, 2)), 2)
    with pytest.raises(ValueError, match="1 no share or a negative one; the first: .1."):
        make(np.array([[0, 1], [0, 1]]), np.array([[1.0, 0.0], [0.0, 0.0]]), 2)
    with pytest.raises(ValueError, match="1 no share or a negative one"):
        make(np.array([[0, 1], [0, 1]]), np.array([[1.0, 0.0], [2.0, -1.0]]), 2)


def test_it_works_inside_jit_and_has_gradients(priors):
    partition = cluster(*priors, soft=programs.Soft(0.2)).partition
    x = jnp.asarray(np.random.default_rng(0).normal(size=GENES), jnp.float32)
    loss = jax.jit(lambda x: jnp.sum(partition.scatter(jnp.tanh(partition.gather(x))) ** 2))
    assert jnp.all(jnp.isfinite(jax.grad(loss)(x)))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_genes_of_which_nothing_is_known_do_not_crowd_into_some_programs(value):
    nothing = np.zeros(0, np.int32)
    embeddings = np.full((GENES, 4), value, np.float32)
    found = cluster(embeddings, nothing, nothing, soft=programs.Soft(0.1, 2))
    sizes = np.asarray(found.partition.sizes)
    assert sizes.max() <= 2 * 17
    assert sizes.min() >= 2 * 16 - 3


def test_a_gene_keeps_its_hard_program(priors):
    hard = np.asarray(cluster(*priors).labels)
    soft = cluster(*priors, soft=programs.Soft(0.5, 2)).partition
    assert isinstance(soft, programs.SoftPartition)
    assert np.all(np.any(np.asarray(soft.programs) == hard[:, None], axis=1))


def test_at_the_lowest_temperatures_every_gene_still_has_its_whole_share(priors):
    found = cluster(*priors, soft=programs.Soft(1e-4, 2), throw=False)
    np.testing.assert_allclose(shared(found.partition).sum(1), 1, rtol=1e-5)
