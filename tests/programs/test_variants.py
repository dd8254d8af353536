"""Each variant that a configuration can name (Tables 6a and 6b), and what it reads."""

import subprocess
import sys

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score

from scbig import ot, programs
from scbig._value import but, walk

from .test_clustering import CLUSTERS, GENES, cluster, made, planted
from .test_rounding import greedy

MEAN = GENES / CLUSTERS
BY_CHANCE = {"semantic_weight": 0.0, "start": programs.RandomStart()}
KMEANS = programs.KMeans(CLUSTERS, tries=5)


@pytest.fixture(scope="module")
def priors():
    return planted(1, noise=1.0, within=0.3, between=0.02)


def other_embeddings(embeddings):
    return np.random.default_rng(9).normal(size=embeddings.shape).astype(np.float32)


def other_edges(source, target):
    mixed = np.random.default_rng(9).permutation(GENES).astype(np.int32)
    return mixed[source], mixed[target]


def test_file_order_is_balanced_blocks_of_neighbours(priors):
    found = made(programs.FileOrder(CLUSTERS), *priors[:3])
    blocks = np.array_split(np.arange(GENES), CLUSTERS)
    for program, block in enumerate(blocks):
        np.testing.assert_array_equal(np.flatnonzero(found.labels == program), block)
    assert found.run.rounds == 0


def test_kmeans_is_kmeans_as_it_falls(priors):
    embeddings, source, target, _ = priors
    found = made(KMEANS, embeddings, source, target, key=jr.key(3))
    unit = programs.unit_rows(jnp.asarray(embeddings))
    plain = ot.kmeans_labels(unit, CLUSTERS, starts=5, key=jr.key(3))
    np.testing.assert_array_equal(found.labels, plain)
    assert np.ptp(np.asarray(found.partition.sizes)) > 1


def test_balanced_kmeans_fills_programs_by_distance_to_the_centroids(priors):
    embeddings, source, target, _ = priors
    found = made(programs.KMeans(CLUSTERS, balanced=True, tries=5), embeddings, source, target)
    start = np.asarray(made(KMEANS, embeddings, source, target).labels)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    centres = np.stack([unit[start == k].mean(0) for k in range(CLUSTERS)])
    distance = cdist(embeddings, centres, "cosine")
    filled = np.bincount(start, minlength=CLUSTERS)
    room = np.full(CLUSTERS, GENES // CLUSTERS)
    room[np.argsort(-filled, kind="stable")[: GENES % CLUSTERS]] += 1
    np.testing.assert_array_equal(found.labels, greedy(-distance, distance, room))


@pytest.mark.parametrize(
    ("clustering", "reads_embeddings", "reads_edges"),
    [
        (programs.GRC(CLUSTERS, rounds=10), True, True),
        (programs.GRC(CLUSTERS, interaction_weight=0, rounds=10), True, False),
        (programs.GRC(CLUSTERS, **BY_CHANCE, rounds=10), False, True),
        (programs.RandomPrograms(CLUSTERS), False, False),
        (KMEANS, True, False),
        (programs.KMeans(CLUSTERS, balanced=True), True, False),
        (programs.FileOrder(CLUSTERS), False, False),
    ],
    ids=["both", "embeddings", "interactions", "random", "kmeans", "balanced", "order"],
)
def test_a_variant_reads_what_it_names_and_nothing_else(
    priors, clustering, reads_embeddings, reads_edges
):
    embeddings, source, target, _ = priors
    needed = [prior for value in walk(clustering) for prior in getattr(value, "reads", ())]
    assert ("genes" in needed) == reads_embeddings
    assert ("interactions" in needed) == reads_edges
    labels = lambda *given: np.asarray(made(clustering, *given).labels)
    base = labels(embeddings, source, target)
    moved = labels(other_embeddings(embeddings), source, target)
    rewired = labels(embeddings, *other_edges(source, target))
    assert np.array_equal(base, moved) != reads_embeddings
    assert np.array_equal(base, rewired) != reads_edges


def test_without_any_prior_programs_are_random_and_balanced(priors):
    first, other = (
        made(programs.RandomPrograms(CLUSTERS), *priors[:3], key=jr.key(seed)) for seed in (0, 1)
    )
    assert abs(adjusted_rand_score(first.labels, other.labels)) < 0.1
    assert abs(adjusted_rand_score(first.labels, np.arange(GENES) * CLUSTERS // GENES)) < 0.1
    assert np.ptp(np.asarray(first.partition.sizes)) <= 1


def test_the_mean_cost_is_the_whole_cost_whatever_was_read(priors):
    embeddings, source, target, _ = priors
    random = made(programs.RandomPrograms(CLUSTERS), embeddings, source, target)
    labels = np.asarray(random.labels)
    normal = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    centres = np.stack([normal[labels == k].mean(0) for k in range(CLUSTERS)])
    semantic = cdist(embeddings, centres, "cosine")
    graph = np.zeros((GENES, GENES))
    graph[source, target] = 1
    inside = np.stack([graph[:, labels == k].mean(1) for k in range(CLUSTERS)], axis=1)
    own = np.arange(GENES), labels
    naive = np.mean((semantic / semantic.max())[own] + (1 - inside)[own])
    np.testing.assert_allclose(random.mean_cost, naive, rtol=1e-4)
    assert cluster(embeddings, source, target).mean_cost < naive - 0.05


ROUNDINGS = programs.GreedyRounding(), programs.ExactRounding()


@pytest.mark.parametrize("rounding", ROUNDINGS, ids=["greedy", "exact"])
def test_sizes_stay_within_the_tolerance_and_use_it(rounding):
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(CLUSTERS), [21, 20, 18, 13, 13, 13])
    embeddings = rng.normal(size=(CLUSTERS, 8))[truth] + 0.2 * rng.normal(size=(GENES, 8))
    nothing = np.zeros(0, np.int32)
    single = embeddings.astype(np.float32)
    loose = cluster(single, nothing, nothing, tolerance=0.3, rounding=rounding)
    sizes = np.asarray(loose.partition.sizes)
    assert np.all(np.abs(sizes - MEAN) <= 0.3 * MEAN)
    assert sizes.sum() == GENES
    assert loose.partition.slots == sizes.max()
    strict = cluster(single, nothing, nothing, rounding=rounding)
    score = lambda found: adjusted_rand_score(truth, found.labels)
    assert np.ptp(np.asarray(strict.partition.sizes)) == 1
    assert score(loose) > score(strict) + 0.05


@pytest.mark.slow
def test_exact_rounding_reaches_a_cheaper_assignment_in_each_round(priors):
    embeddings, source, target, _ = priors
    one = dict(rounds=1)
    base, better = (cluster(embeddings, source, target, rounding=kind, **one) for kind in ROUNDINGS)
    # After one round from the same start both are rated by the same costs.
    known = programs.Relations(
        unit=programs.unit_rows(jnp.asarray(embeddings)),
        source=jnp.asarray(source),
        target=jnp.asarray(target),
        semantic_weight=jnp.ones(()),
        interaction_weight=jnp.ones(()),
    )
    cost = known.cost(base.run.start, CLUSTERS)
    rated = lambda found: float(jnp.mean(cost[jnp.arange(GENES), found.labels]))
    np.testing.assert_array_equal(base.run.start, better.run.start)
    assert rated(better) <= rated(base) + 1e-6
    assert np.ptp(np.asarray(better.partition.sizes)) <= 1


def many(runs):
    return {"runs": runs, "start": programs.KMeansStart(tries=1)}


def test_many_starts_and_the_one_of_least_cost(priors):
    embeddings, source, target, _ = priors
    found = cluster(embeddings, source, target, **many(4))
    assert found.runs.labels.shape == (4, GENES)
    ends = np.asarray(found.runs.mean_cost[:, -1])
    assert len(set(ends.tolist())) > 1
    assert found.chosen == ends.argmin()
    np.testing.assert_array_equal(found.labels, found.runs.labels[ends.argmin()])
    np.testing.assert_allclose(found.mean_cost, ends.min(), rtol=1e-6)
    agreement = found.agreement()
    for i in range(4):
        for j in range(4):
            naive = adjusted_rand_score(found.runs.labels[i], found.runs.labels[j])
            np.testing.assert_allclose(agreement[i, j], naive)
    again = cluster(embeddings, source, target, **many(4))
    np.testing.assert_array_equal(again.runs.labels, found.runs.labels)


def test_a_consensus_is_what_most_starts_say_under_any_names():
    truth = np.arange(12) // 4
    renamed = np.array([2, 0, 1])[truth]
    stray = truth.copy()
    stray[[0, 4]] = stray[[4, 0]]
    labels = jnp.asarray(np.stack([stray, truth, renamed, truth]), jnp.int32)
    found = programs.consensus(labels, jnp.zeros((12, 3)), 0)
    np.testing.assert_array_equal(found, truth)  # the names of start 0, the genes of the others


def test_a_consensus_keeps_sizes_and_agrees_with_the_starts_more_than_they_do(priors):
    embeddings, source, target, _ = priors
    found = cluster(embeddings, source, target, **many(4), select=programs.Consensus())
    assert found.chosen == -1
    assert np.ptp(np.asarray(found.partition.sizes)) <= 1
    with_starts = np.mean([adjusted_rand_score(found.labels, one) for one in found.runs.labels])
    agreement = found.agreement()
    assert with_starts > agreement[~np.eye(4, dtype=bool)].mean()


def test_confidence_counts_only_where_it_is_asked_for(priors):
    embeddings, source, target, truth = priors
    inside = truth[source] == truth[target]
    sure = np.where(inside, 1.0, 0.05).astype(np.float32)
    given = BY_CHANCE | {"runs": 5}
    binary = cluster(embeddings, source, target, sure=sure, **given)
    weighted = cluster(embeddings, source, target, sure=sure, confidence=True, **given)
    plain = cluster(embeddings, source, target, **given)
    np.testing.assert_array_equal(binary.labels, plain.labels)
    score = lambda found: adjusted_rand_score(truth, found.labels)
    assert score(weighted) > score(binary) + 0.05


def test_errors_that_go_together_pull_genes_together():
    embeddings, source, target, truth = planted(1, noise=2.5)
    before = cluster(embeddings, source, target)
    profiles = np.random.default_rng(0).normal(size=(CLUSTERS, 7))[truth].astype(np.float32)
    options = dict(errors=profiles, own=before.labels)
    after = cluster(embeddings, source, target, **options)
    score = lambda found: adjusted_rand_score(truth, found.labels)
    assert score(after) > score(before) + 0.05
    np.testing.assert_array_equal(after.run.start, before.labels)
    ignored = cluster(embeddings, source, target, feedback=programs.Feedback(weight=0.0), **options)
    unchanged = cluster(embeddings, source, target, own=before.labels)
    np.testing.assert_array_equal(ignored.labels, unchanged.labels)


def test_bad_input_to_variants_is_named(priors):
    embeddings, source, target, _ = priors
    edges = source, target
    with pytest.raises(ValueError, match="does not have"):
        cluster(embeddings, *edges, confidence=True)
    doubtful = np.ones(source.size, np.float32)
    for value, shown in ((np.nan, "nan"), (0.0, "0.0"), (1.5, "1.5")):
        doubtful[3] = value
        with pytest.raises(ValueError, match=rf"1 of 500 .* outside \(0, 1\].*{shown}"):
            cluster(embeddings, *edges, confidence=True, sure=doubtful)
    doubtful[3] = 0.5
    with pytest.raises(ValueError, match="same confidence in both directions"):
        cluster(embeddings, *edges, confidence=True, sure=doubtful)
    with pytest.raises(ValueError, match="shared by 9 of 6 programs"):
        cluster(embeddings, *edges, soft=programs.Soft(0.1, 9))
    broken = np.ones((GENES, 2), np.float32)
    broken[5] = np.nan
    with pytest.raises(ValueError, match=r"1 of 98 genes .* rows: \[5\]"):
        cluster(embeddings, *edges, errors=broken)
    with pytest.raises(ValueError, match=r"1 of 98 genes .* rows: \[0\]"):
        cluster(embeddings.astype(np.float64) * np.r_[1e300, np.ones(GENES - 1)][:, None], *edges)
    for plain in (KMEANS, programs.RandomPrograms(CLUSTERS), programs.FileOrder(CLUSTERS)):
        with pytest.raises(ValueError, match=f"are for GRC, not for {type(plain).__name__}"):
            made(plain, embeddings, *edges, start=np.zeros(GENES, np.int32))
        with pytest.raises(ValueError, match="99 clusters for 98 genes"):
            made(but(plain, clusters=99), embeddings, *edges)
    with pytest.raises(ValueError, match="pass them to `fit` as programs="):
        made(programs.Given(), embeddings, *edges)
    with pytest.raises(ValueError, match="label 6"):
        cluster(embeddings, *edges, own=np.full(GENES, 6, np.int32))
    with pytest.raises(ValueError, match="tolerance must be a finite number and >= 0 and < 1"):
        programs.GRC(tolerance=1.0)


UNFIT = {
    "E, s, t[1:], c": "{'source': 4, 'target': 3}",
    "E, s, t, c, confidence=E[:2, 0]": "'confidence': 2}",
    "E, s, t, c, start=s[:3]": "'start': 3}",
    "E, s, t, c, errors=E[:5]": "'errors': 5}",
}


def test_lengths_that_do_not_fit_are_named_without_the_type_checker():
    tries = "".join(
        f"try: cluster_genes({given}, key=jax.random.key(0))\nexcept ValueError as e: print(e)\n"
        for given in UNFIT
    )
    code = f"""
import jax, numpy as np
from scbig.programs import GRC, cluster_genes
E, c = np.ones((6, 2), np.float32), GRC(clusters=2)
s, t = np.array([0, 1, 2, 3]), np.array([1, 0, 3, 2])
{tries}"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = run.stdout.splitlines()
    assert len(said) == len(UNFIT)
    for line, message in zip(said, UNFIT.values(), strict=True):
        assert line.startswith("Lengths do not fit: 6 genes")
        assert message in line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"semantic_weight": 0.0, "interaction_weight": 0.0}, "a weight of Eq. 1 must be positive"),
        ({"select": programs.Consensus()}, r"Consensus\(\) needs runs > 1"),
    ],
)
def test_parts_that_mean_nothing_together_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        programs.GRC(CLUSTERS, **change)
