"""Laws of the priors: the order of genes, the direction of edges, standardisation."""

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

from scbig.priors import EmbeddingTable, InteractionGraph, PathwayLibrary

POOL = [f"G{i}" for i in range(12)]
orders = st.lists(st.sampled_from(POOL), min_size=1, unique=True).flatmap(
    lambda genes: st.tuples(st.just(genes), st.permutations(range(len(genes))))
)
edges = st.lists(st.tuples(st.sampled_from(POOL), st.sampled_from(POOL)), min_size=1)
seeds = st.integers(0, 2**32 - 1)


def graph_of(pairs) -> InteractionGraph:
    return InteractionGraph(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


def whole(pairs):
    """Edges, with one that touches every gene, so that alignment is never without overlap."""
    return graph_of([*pairs, *((gene, "hub") for gene in POOL)])


def among(pairs, genes):
    """The edges between two of the genes, as sets, by a plain loop."""
    return {frozenset(p) for p in pairs if p[0] != p[1] and {*p} <= {*genes}}


def adjacency(aligned, size):
    matrix = np.zeros((size, size), int)
    np.add.at(matrix, (aligned.source, aligned.target), 1)
    return matrix


@given(orders, seeds, st.sampled_from(["zero", "mean"]))
def test_embeddings_follow_the_order_of_the_genes(order, seed, missing):
    genes, permutation = order
    names = (*POOL[::2], *genes[:1])
    vectors = np.random.default_rng(seed).normal(size=(len(set(names)), 3)).astype(np.float32)
    table = EmbeddingTable(tuple(dict.fromkeys(names)), vectors)
    straight = table.align(genes, missing=missing)
    permuted = table.align([genes[i] for i in permutation], missing=missing)
    np.testing.assert_array_equal(permuted.vectors, straight.vectors[permutation])
    np.testing.assert_array_equal(permuted.found, straight.found[permutation])
    assert set(permuted.coverage.missing) == set(straight.coverage.missing)


@given(orders, edges)
def test_graphs_follow_the_order_of_the_genes(order, pairs):
    genes, permutation = order
    assume(among(pairs, genes))
    straight = whole(pairs).align(genes)
    permuted = whole(pairs).align([genes[i] for i in permutation])
    expected = adjacency(straight, len(genes))[np.ix_(permutation, permutation)]
    np.testing.assert_array_equal(adjacency(permuted, len(genes)), expected)
    assert permuted.coverage.found == straight.coverage.found


@given(orders, edges)
def test_graphs_are_simple_and_symmetric(order, pairs):
    genes, _ = order
    wanted = among(pairs, genes)
    if not wanted:
        with pytest.raises(ValueError, match="no two of them have one between them"):
            whole(pairs).align(genes)
        return
    matrix = adjacency(whole(pairs).align(genes), len(genes))
    assert matrix.max() <= 1
    assert not matrix.diagonal().any()
    np.testing.assert_array_equal(matrix, matrix.T)
    found = {frozenset((genes[i], genes[j])) for i, j in np.argwhere(matrix)}
    assert found == wanted


@given(edges, st.data())
def test_direction_and_repetition_of_edges_do_not_matter(pairs, data):
    assume(among(pairs, POOL))
    flips = data.draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs)))
    turned = [(b, a) if flip else (a, b) for (a, b), flip in zip(pairs, flips, strict=True)]
    repeated = data.draw(st.permutations(turned + data.draw(st.permutations(pairs))))
    straight, again = whole(pairs).align(POOL), whole(repeated).align(POOL)
    np.testing.assert_array_equal(straight.source, again.source)
    np.testing.assert_array_equal(straight.target, again.target)
    assert straight.coverage == again.coverage


@given(orders, edges, st.data())
def test_weights_are_symmetric_and_the_largest_of_each_pair(order, pairs, data):
    genes, _ = order
    assume(among(pairs, genes))
    thousandths = st.lists(st.integers(1, 1000), min_size=len(pairs), max_size=len(pairs))
    scores = data.draw(thousandths)
    ends = [*pairs, *((gene, "hub") for gene in POOL)]
    score = np.array([*scores, *([1000] * len(POOL))]) / 1000
    first, second = zip(*ends, strict=True)
    graph = InteractionGraph(first, second, score.astype(np.float32))
    aligned = graph.align(genes)
    best: dict[frozenset[str], int] = {}
    for pair, value in zip(pairs, scores, strict=True):
        if len({*pair}) == 2 and {*pair} <= {*genes}:
            best[frozenset(pair)] = max(value, best.get(frozenset(pair), 0))
    found = {
        (genes[s], genes[t]): round(1000 * float(weight))
        for s, t, weight in zip(aligned.source, aligned.target, aligned.weight, strict=True)
    }
    assert found == {(a, b): best[frozenset((a, b))] for p in best for a in p for b in p - {a}}


@given(st.integers(1, 1000), st.lists(st.integers(1, 1000), min_size=1))
def test_a_threshold_means_the_same_in_thousandths_and_as_a_confidence(threshold, scores):
    names = tuple(f"G{edge}" for edge in range(len(scores)))
    graph = InteractionGraph(names, names[::-1], np.array(scores, np.float32) / np.float32(1000))
    expected = tuple(name for name, score in zip(names, scores, strict=True) if score >= threshold)
    if expected:
        assert graph.above(threshold / 1000).first == expected


def cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return a @ b / np.sqrt((a @ a) * (b @ b))


@given(seeds, st.integers(1, 4), st.integers(1, 4))
def test_the_cosine_of_joined_rows_is_the_mean_of_the_two(seed, left, right):
    draw = np.random.default_rng(seed)
    names = [tuple(draw.permutation(POOL)[:9].tolist()) for _ in range(2)]  # 6 or more in common
    first, second = (
        EmbeddingTable(n, (draw.normal(size=(9, width)) * 10).astype(np.float32))
        for n, width in zip(names, (left, right), strict=True)
    )
    joined = first.joined(second)
    assert set(joined.names) == {*names[0], *names[1]}
    common = [name for name in names[0] if name in names[1]]
    for one in common:
        for other in common:
            cosines = (
                [
                    cosine(*table.select([one]).vectors, *table.select([other]).vectors)
                    for table in (first, second)
                ]
                if one != other
                else [1.0, 1.0]
            )
            pair = joined.align([one]).vectors[0], joined.align([other]).vectors[0]
            np.testing.assert_allclose(cosine(*pair), np.mean(cosines), atol=1e-5)


@given(orders, st.integers(1, 4), st.data())
def test_pathways_follow_the_order_of_the_genes(order, min_genes, data):
    genes, permutation = order
    some = st.lists(st.sampled_from(POOL), min_size=1, max_size=6).map(tuple)
    sets = data.draw(st.dictionaries(st.sampled_from("abcd"), some))
    library = PathwayLibrary({**sets, "all": tuple(POOL)})
    least = min(min_genes, len(genes))  # "all" is then always kept
    straight = library.align(genes, min_genes=least)
    permuted = library.align([genes[i] for i in permutation], min_genes=least)
    assert permuted.names == straight.names
    np.testing.assert_array_equal(permuted.matrix, straight.matrix[:, permutation])
    assert straight.matrix.sum(axis=1).min() >= least


@given(st.integers(2, 30), seeds, st.floats(-6, 6), st.floats(-100, 100))
def test_standardised_features_have_mean_0_and_variance_1(rows, seed, log_scale, shift):
    noise = np.random.default_rng(seed).normal(size=(rows, 3))
    vectors = ((noise + shift) * 10**log_scale).astype(np.float32)
    vectors[:, 2] = np.float32(10**log_scale)  # a constant feature
    table = EmbeddingTable(tuple(map(str, range(rows))), vectors)
    result = table.standardised().vectors.astype(np.float64)
    np.testing.assert_allclose(result.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(result[:, :2].var(axis=0), 1, rtol=1e-4)
    np.testing.assert_array_equal(result[:, 2], 0)
    twice = table.standardised().standardised().vectors
    np.testing.assert_allclose(twice, result, atol=1e-4)


@given(st.integers(2, 30), seeds, st.floats(-6, 6), st.floats(1, 10))
def test_a_feature_that_only_rounding_moves_says_nothing(rows, seed, log_scale, mantissa):
    draw = np.random.default_rng(seed)
    constant = np.float32(mantissa * 10**log_scale)
    steps = draw.integers(-3, 4, rows).astype(np.float32)  # units in the last place
    rounded = constant + steps * np.spacing(constant)
    varied = constant * (1 + np.float32(1e-4) * draw.normal(size=rows).astype(np.float32))
    table = EmbeddingTable(tuple(map(str, range(rows))), np.stack([rounded, -rounded, varied], 1))
    result = table.standardised().vectors.astype(np.float64)
    np.testing.assert_array_equal(result[:, :2], 0)
    np.testing.assert_allclose(result[:, 2].std(), 1, rtol=1e-4)
