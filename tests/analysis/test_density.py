"""Interactions inside programs: counts, the exact null, permutations, and what is refused."""

import itertools
import math

import jax.random as jr
import numpy as np
import pytest

from scbig import analysis, programs

COLUMNS = ["program", "size", "inside", "possible", "density", "expected", "deviation"]


def both_ways(pairs):
    edges = np.array([*pairs, *((b, a) for a, b in pairs)], np.int32).reshape(-1, 2)
    return edges[:, 0], edges[:, 1]


def random_pairs(seed, genes, count):
    rng = np.random.default_rng(seed)
    possible = np.array(list(itertools.combinations(range(genes), 2)))
    return [tuple(pair) for pair in possible[rng.choice(len(possible), count, replace=False)]]


def inside(labels, pairs, clusters):
    counts = np.zeros(clusters, int)
    for a, b in pairs:
        if labels[a] == labels[b]:
            counts[labels[a]] += 1
    return counts


def test_counts_and_the_exact_null_over_all_permutations():
    """All 7! orders of seven genes: the distribution itself."""
    labels = np.array([0, 1, 0, 2, 1, 0, 1], np.int32)  # 3, 3 and 1 genes; a fourth has none
    pairs = [(0, 2), (0, 5), (2, 5), (1, 4), (1, 2), (3, 6), (2, 3), (2, 6)]
    partition = programs.GenePartition.from_labels(labels, 4)
    result = analysis.interaction_density(
        partition, *both_ways(pairs), permutations=200, key=jr.key(0)
    )
    every = np.array([inside(order, pairs, 4) for order in itertools.permutations(labels.tolist())])
    total = every.sum(axis=1)
    assert (result.interactions, result.inside) == (8, 4)
    assert result.share == 0.5
    np.testing.assert_allclose(result.expected, total.mean())
    np.testing.assert_allclose(result.deviation, total.std())
    np.testing.assert_allclose(result.z_score, (4 - total.mean()) / total.std())
    # The mean by hand: each interaction, times the chance that its ends share a program.
    np.testing.assert_allclose(result.expected, 8 * (3 * 2 + 3 * 2 + 1 * 0) / (7 * 6))
    table = result.programs
    assert table.columns.tolist() == [*COLUMNS, "z_score", "p_value"]
    assert table["program"].tolist() == [0, 1, 2, 3]
    assert table["size"].tolist() == [3, 3, 1, 0]
    assert table["inside"].tolist() == [3, 1, 0, 0]
    assert table["possible"].tolist() == [3, 3, 0, 0]
    np.testing.assert_allclose(table["density"], [1, 1 / 3, np.nan, np.nan])
    np.testing.assert_allclose(table["expected"], every.mean(axis=0))
    np.testing.assert_allclose(table["deviation"], every.std(axis=0))
    z = (np.array([3, 1]) - every.mean(axis=0)[:2]) / every.std(axis=0)[:2]
    np.testing.assert_allclose(table["z_score"][:2], z)
    assert np.isnan(table["z_score"].to_numpy()[2:]).all()
    assert table["p_value"][2:].tolist() == [1, 1]
    # The p-values estimate the share of orders that reach what there is.
    error = 4 * math.sqrt(0.25 / 200) + 1 / 200
    np.testing.assert_allclose(result.p_value, np.mean(total >= 4), atol=error)
    reached = (every >= [3, 1, 0, 0]).mean(axis=0)
    np.testing.assert_allclose(table["p_value"][:2], reached[:2], atol=error)


def test_permutations_against_a_loop_of_numpy():
    genes, clusters = 60, 4
    labels = np.random.default_rng(1).integers(0, clusters, genes).astype(np.int32)
    pairs = random_pairs(2, genes, 300)
    partition = programs.GenePartition.from_labels(labels, clusters)
    result = analysis.interaction_density(
        partition, *both_ways(pairs), permutations=2000, key=jr.key(3)
    )
    rng = np.random.default_rng(4)
    null = np.array([inside(rng.permutation(labels), pairs, clusters).sum() for _ in range(2000)])
    assert result.null.shape == (2000,)
    error = result.deviation / math.sqrt(2000)
    np.testing.assert_allclose([null.mean(), result.null.mean()], result.expected, atol=4 * error)
    np.testing.assert_allclose([null.std(), result.null.std()], result.deviation, rtol=0.08)
    np.testing.assert_allclose(result.p_value, np.mean(null >= result.inside), atol=0.05)


def test_planted_programs_stand_out_and_the_smallest_p_value_is_one_more_than_none():
    pairs = [(a, b) for a, b in itertools.combinations(range(60), 2) if a // 15 == b // 15]
    labels = (np.arange(60) // 15).astype(np.int32)
    partition = programs.GenePartition.from_labels(labels, 4)
    edges = both_ways(pairs)
    result = analysis.interaction_density(partition, *edges, permutations=99, key=jr.key(0))
    assert result.share == 1
    assert result.z_score > 20
    assert result.p_value == 0.01
    assert result.programs["p_value"].tolist() == [0.01] * 4
    again = analysis.interaction_density(partition, *edges, permutations=99, key=jr.key(0))
    other = analysis.interaction_density(partition, *edges, permutations=99, key=jr.key(1))
    np.testing.assert_array_equal(result.null, again.null)
    assert not np.array_equal(result.null, other.null)
    assert len(set(result.null.tolist())) > 10  # each permutation is another one


def test_what_cannot_vary_has_no_z_score():
    none = both_ways([])
    partition = programs.GenePartition.from_labels(np.array([0, 1, 0], np.int32), 2)
    result = analysis.interaction_density(partition, *none, permutations=5, key=jr.key(0))
    assert (result.interactions, result.inside, result.expected) == (0, 0, 0)
    assert math.isnan(result.share)
    assert math.isnan(result.z_score)
    assert result.p_value == 1
    whole = programs.GenePartition.from_labels(np.zeros(60, np.int32), 1)
    edges = both_ways(random_pairs(5, 60, 300))
    result = analysis.interaction_density(whole, *edges, permutations=5, key=jr.key(0))
    assert (result.share, result.expected, result.deviation) == (1, 300, 0)
    assert math.isnan(result.z_score)


def test_an_aligned_graph_has_each_interaction_twice_and_is_counted_once(toy):
    _, partition, _, graph = toy
    result = analysis.interaction_density(
        partition, graph.source, graph.target, permutations=5, key=jr.key(0)
    )
    assert (graph.source.size, result.interactions, result.inside) == (8, 4, 3)


def test_folds_between_programs_by_hand(toy):
    _, partition, _, graph = toy
    folds = analysis.interaction_folds(partition, graph.source, graph.target)
    # Chains a-b-c-d-e: two in the first program, one in the second, one between.
    # Expected of 4 interactions among 15 pairs of genes: 3 pairs inside each, 9 between.
    expected = [
        [2 / (4 * 3 / 15), 1 / (4 * 9 / 15), np.nan],
        [1 / (4 * 9 / 15), 1 / (4 * 3 / 15), np.nan],
        [np.nan] * 3,
    ]
    np.testing.assert_allclose(folds.to_numpy(), expected)
    assert folds.index.tolist() == folds.columns.tolist() == [0, 1, 2]
    empty = analysis.interaction_folds(partition, graph.source[:0], graph.target[:0])
    assert np.isnan(empty.to_numpy()).all()


def test_folds_average_to_one_over_permutations():
    labels = np.random.default_rng(6).integers(0, 4, 60)
    edges = both_ways(random_pairs(7, 60, 300))
    rng, total = np.random.default_rng(8), np.zeros((4, 4))
    for _ in range(200):
        shuffled = rng.permutation(labels).astype(np.int32)
        partition = programs.GenePartition.from_labels(shuffled, 4, slots=60)
        total += analysis.interaction_folds(partition, *edges).to_numpy() / 200
    np.testing.assert_allclose(total, 1, atol=0.08)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ([0, 1], [1, 6], r"1 of 2 interactions.*\[0, 6\).*\(1, 6\)"),
        ([0], [1], "both directions"),
        ([0, 0, 1, 1], [1, 1, 0, 0], "both directions"),
        ([2], [2], "self-loops"),
        ([0, 1, 2, 3], [1, 2, 3, 0], "both directions"),
    ],
)
def test_other_lists_of_interactions_are_refused(toy, source, target, message):
    _, partition, _, _ = toy
    edges = np.array(source, np.int32), np.array(target, np.int32)
    with pytest.raises(ValueError, match=message):
        analysis.interaction_density(partition, *edges, permutations=5, key=jr.key(0))
    with pytest.raises(ValueError, match=message):
        analysis.interaction_folds(partition, *edges)


def test_at_least_one_permutation(toy):
    _, partition, _, graph = toy
    with pytest.raises(ValueError, match="one permutation is needed; got 0"):
        analysis.interaction_density(
            partition, graph.source, graph.target, permutations=0, key=jr.key(0)
        )
