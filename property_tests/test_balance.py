"""Laws of balanced programs: partitions, capacities, rounding, and clustering itself."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment

from scbig import programs

SIZES = [(1, 1), (7, 3), (12, 12), (23, 4)]  # few shapes: each one compiles
seeds = st.integers(0, 2**32 - 1)


@st.composite
def partitions(draw):
    """Labels of some genes, in any number of programs, some of them perhaps empty."""
    genes, clusters = draw(st.sampled_from(SIZES))
    labels = draw(hnp.arrays(np.int32, genes, elements=st.integers(0, clusters - 1)))
    return labels, programs.GenePartition.from_labels(labels, clusters, slots=genes)


@st.composite
def assignments(draw):
    """Scores and costs with many ties, and capacities that sum to the genes."""
    genes, clusters = draw(st.sampled_from(SIZES))
    few = st.sampled_from([-1.5, -0.0, 0.0, 0.25, 3.0])
    scores = draw(hnp.arrays(np.float32, (genes, clusters), elements=few))
    costs = draw(hnp.arrays(np.float32, (genes, clusters), elements=few))
    if draw(st.booleans()):  # generic data: every pair has its own score
        scores = np.random.default_rng(draw(seeds)).normal(size=scores.shape).astype(np.float32)
    owners = draw(hnp.arrays(np.int32, genes, elements=st.integers(0, clusters - 1)))
    return scores, costs, np.bincount(owners, minlength=clusters).astype(np.int32)


def greedy(scores, costs, capacities):
    pairs = itertools.product(range(scores.shape[0]), range(scores.shape[1]))
    order = sorted(pairs, key=lambda p: (-scores[p], costs[p], p[0], p[1]))
    labels, room = np.full(scores.shape[0], -1), capacities.copy()
    for gene, cluster in order:
        if labels[gene] < 0 and room[cluster] > 0:
            labels[gene] = cluster
            room[cluster] -= 1
    return labels


def rounded(scores, costs, capacities):
    return np.asarray(programs.round_to_capacities(*map(jnp.asarray, (scores, costs, capacities))))


@jax.jit
def through(partition, x):
    slots = partition.gather(x)
    back = partition.scatter(slots)
    return slots, back, partition.gather(back)


@jax.jit
def averages(partition, x):
    return partition.average(x), partition.averaging()


@given(partitions(), seeds)
def test_gather_and_scatter_invert_each_other(drawn, seed):
    labels, partition = drawn
    x = np.random.default_rng(seed).normal(size=labels.size).astype(np.float32)
    slots, back, again = through(partition, x)
    np.testing.assert_array_equal(back, x)
    assert np.all(np.asarray(slots)[~np.asarray(partition.mask)] == 0)
    np.testing.assert_array_equal(again, slots)


@st.composite
def soft_partitions(draw):
    """Shares of a few genes in some of four programs."""
    genes, clusters, overlap = 7, 4, 3
    rng = np.random.default_rng(draw(seeds))
    choice = np.stack([rng.permutation(clusters)[:overlap] for _ in range(genes)])
    shares = rng.dirichlet(np.ones(overlap), genes) * draw(st.sampled_from([0.1, 1.0, 30.0]))
    shares[rng.random(shares.shape) < 0.3] = 0
    shares[:, 0] += 0.01
    return programs.SoftPartition.from_shares(choice, shares, clusters), choice, shares


@given(soft_partitions(), seeds)
def test_soft_programs_keep_cells_and_their_norms(drawn, seed):
    partition, choice, shares = drawn
    x = np.random.default_rng(seed).normal(size=partition.num_genes).astype(np.float32)
    slots, back, _ = through(partition, x)
    np.testing.assert_allclose(back, x, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.sum(np.asarray(slots) ** 2), np.sum(x**2), rtol=1e-4)
    assert np.all(np.asarray(slots)[~np.asarray(partition.mask)] == 0)


@given(soft_partitions(), seeds)
def test_soft_averages_weigh_genes_by_their_shares(drawn, seed):
    partition, choice, shares = drawn
    x = np.random.default_rng(seed).normal(size=partition.num_genes).astype(np.float32)
    weight = np.zeros((partition.num_genes, partition.clusters))
    np.put_along_axis(weight, choice, shares / shares.sum(1, keepdims=True), axis=1)
    weight[weight < 1e-3] = 0
    weight /= weight.sum(1, keepdims=True)
    total = weight.sum(0)
    naive = np.where(total > 0, weight.T @ x / np.where(total > 0, total, 1), 0)
    average, matrix = averages(partition, x)
    np.testing.assert_allclose(average, naive, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(x @ np.asarray(matrix), naive, rtol=1e-3, atol=1e-5)


@given(partitions(), seeds)
def test_the_averaging_matrix_averages(drawn, seed):
    labels, partition = drawn
    x = np.random.default_rng(seed).normal(size=labels.size).astype(np.float32)
    average, matrix = averages(partition, x)
    np.testing.assert_allclose(x @ np.asarray(matrix), average, rtol=1e-4, atol=1e-6)


@given(partitions())
def test_every_gene_has_one_slot_of_its_program(drawn):
    labels, partition = drawn
    members, mask = np.asarray(partition.members), np.asarray(partition.mask)
    np.testing.assert_array_equal(np.sort(members[mask]), np.arange(labels.size))
    for program, (row, held) in enumerate(zip(members, mask, strict=True)):
        np.testing.assert_array_equal(row[held], np.flatnonzero(labels == program))
    np.testing.assert_array_equal(
        partition.sizes, np.bincount(labels, minlength=partition.clusters)
    )


@given(partitions(), st.floats(-100, 100, width=32, allow_subnormal=False))
def test_program_averages_keep_constants_and_totals(drawn, constant):
    labels, partition = drawn
    average = np.asarray(averages(partition, np.full(labels.size, constant, np.float32))[0])
    filled = np.asarray(partition.sizes) > 0
    np.testing.assert_allclose(average[filled], constant, rtol=1e-5)
    x = np.arange(labels.size, dtype=np.float32)
    total = np.sum(np.asarray(averages(partition, x)[0]) * np.asarray(partition.sizes))
    np.testing.assert_allclose(total, np.sum(x), rtol=1e-5)


@given(st.sampled_from([*SIZES, (61, 32), (100, 9)]), seeds)
def test_capacities_differ_by_at_most_one(size, seed):
    genes, clusters = size
    start = np.random.default_rng(seed).integers(0, clusters, genes)
    capacities = np.asarray(programs.balanced_capacities(jnp.asarray(start), clusters))
    assert capacities.sum() == genes
    assert np.ptp(capacities) <= 1
    filled = np.bincount(start, minlength=clusters)
    larger = capacities == capacities.max()
    if not larger.all():
        assert filled[larger].min() >= filled[~larger].max()


@given(assignments())
def test_rounding_is_the_sequential_greedy_loop(drawn):
    np.testing.assert_array_equal(rounded(*drawn), greedy(*drawn))


@given(assignments())
def test_no_gene_and_cluster_would_rather_have_each_other(drawn):
    scores, costs, capacities = drawn
    labels = rounded(*drawn)
    np.testing.assert_array_equal(np.bincount(labels, minlength=capacities.size), capacities)
    for gene, cluster in itertools.product(*map(range, scores.shape)):
        inside = labels == cluster
        full = inside.sum() == capacities[cluster]
        cluster_would = not full or np.any(scores[inside, cluster] < scores[gene, cluster])
        assert not (cluster_would and scores[gene, cluster] > scores[gene, labels[gene]])


@given(st.sampled_from(SIZES), seeds)
def test_rounding_keeps_a_hard_assignment(size, seed):
    genes, clusters = size
    labels = np.random.default_rng(seed).integers(0, clusters, genes)
    hard = np.eye(clusters, dtype=np.float32)[labels]
    capacities = np.bincount(labels, minlength=clusters).astype(np.int32)
    np.testing.assert_array_equal(rounded(hard, np.zeros_like(hard), capacities), labels)


@given(st.sampled_from([(7, 3), (23, 4)]), seeds, st.sampled_from([2, 5, 10_000]))
def test_no_two_genes_would_save_by_changing_places(size, seed, levels):
    genes, clusters = size
    rng = np.random.default_rng(seed)
    costs = (rng.integers(0, levels, (genes, clusters)) / levels).astype(np.float32)
    capacities = np.bincount(rng.integers(0, clusters, genes), minlength=clusters)
    labels = np.asarray(
        programs.cheapest_assignment(
            jnp.asarray(costs),
            jnp.asarray(capacities, jnp.int32),
            jnp.asarray(rng.normal(size=clusters), jnp.float32),
        )
    )
    np.testing.assert_array_equal(np.bincount(labels, minlength=clusters), capacities)
    columns = np.repeat(np.arange(clusters), capacities)
    rows, places = linear_sum_assignment(costs[:, columns])
    best = costs[rows, columns[places]].sum()
    np.testing.assert_allclose(costs[np.arange(genes), labels].sum(), best, atol=1e-5)


def clustered(embeddings, graph, start, clusters):
    # A fixed number of edges, so that it compiles once.
    source, target = map(jnp.asarray, np.nonzero(graph))
    relations = programs.Relations(
        unit=programs.unit_rows(jnp.asarray(embeddings, jnp.float32)),
        source=source,
        target=target,
        semantic_weight=jnp.ones(()),
        interaction_weight=jnp.ones(()),
    )
    grc = programs.GRC(clusters=clusters, rounds=4, threshold=1e-4)
    return solve(grc, relations, jnp.asarray(start))


@eqx.filter_jit
def solve(grc, relations, start):
    return grc.solve(relations, start)


@given(seeds)
def test_programs_do_not_depend_on_the_order_of_the_genes(seed):
    rng = np.random.default_rng(seed)
    genes, clusters = 23, 4
    embeddings, start = rng.normal(size=(genes, 3)), rng.integers(0, clusters, genes)
    pairs = np.array(list(itertools.combinations(range(genes), 2)))
    graph = np.zeros((genes, genes), bool)
    graph[tuple(rng.permutation(pairs)[:40].T)] = True
    graph |= graph.T
    order = rng.permutation(genes)
    found = clustered(embeddings, graph, start, clusters)
    moved = clustered(embeddings[order], graph[np.ix_(order, order)], start[order], clusters)
    np.testing.assert_array_equal(moved.labels, found.labels[order])
    np.testing.assert_allclose(moved.mean_cost, found.mean_cost, rtol=1e-4)
    assert np.ptp(np.bincount(found.labels, minlength=clusters)) <= 1
    assert eqx.tree_equal(found.stable, moved.stable)
