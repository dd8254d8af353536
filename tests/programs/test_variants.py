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
from scbig.config import ProgramsConfig

from .test_clustering import CLUSTERS, GENES, cluster, planted
from .test_rounding import greedy

MEAN = GENES / CLUSTERS


@pytest.fixture(scope="module")
def priors():
    return planted(1, noise=1.0, within=0.3, between=0.02)


def other_embeddings(embeddings):
    return np.random.default_rng(9).normal(size=embeddings.shape).astype(np.float32)


def other_edges(source, target):
    mixed = np.random.default_rng(9).permutation(GENES).astype(np.int32)
    return mixed[source], mixed[target]


def test_file_order_is_balanced_blocks_of_neighbours(priors):
    found = cluster(*priors[:3], method="order")
    blocks = np.array_split(np.arange(GENES), CLUSTERS)
    for program, block in enumerate(blocks):
        np.testing.assert_array_equal(np.flatnonzero(found.labels == program), block)
    assert found.run.rounds == 0


def test_kmeans_is_kmeans_as_it_falls(priors):
    embeddings, source, target, _ = priors
    found = cluster(embeddings, source, target, method="kmeans", key=jr.key(3))
    unit = programs.unit_rows(jnp.asarray(embeddings))
    plain = ot.kmeans_labels(unit, CLUSTERS, starts=5, key=jr.key(3))
    np.testing.assert_array_equal(found.labels, plain)
    assert np.ptp(np.asarray(found.partition.sizes)) > 1


def test_balanced_kmeans_fills_programs_by_distance_to_the_centroids(priors):
    embeddings, source, target, _ = priors
    found = cluster(embeddings, source, target, method="balanced_kmeans")
    start = np.asarray(cluster(embeddings, source, target, method="kmeans").labels)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    centres = np.stack([unit[start == k].mean(0) for k in range(CLUSTERS)])
    distance = cdist(embeddings, centres, "cosine")
    filled = np.bincount(start, minlength=CLUSTERS)
    room = np.full(CLUSTERS, GENES // CLUSTERS)
    room[np.argsort(-filled, kind="stable")[: GENES % CLUSTERS]] += 1
    np.testing.assert_array_equal(found.labels, greedy(-distance, distance, room))


@pytest.mark.parametrize(
    ("method", "what", "reads_embeddings", "reads_edges"),
    [
        ("grc", "both", True, True),
        ("grc", "embeddings", True, False),
        ("grc", "interactions", False, True),
        ("grc", "none", False, False),
        ("kmeans", "both", True, False),
        ("balanced_kmeans", "both", True, False),
        ("order", "both", False, False),
    ],
)
def test_a_variant_reads_what_it_names_and_nothing_else(
    priors, method, what, reads_embeddings, reads_edges
):
    embeddings, source, target, _ = priors
    labels = lambda *given: np.asarray(cluster(*given, method=method, priors=what).labels)
    base = labels(embeddings, source, target)
    moved = labels(other_embeddings(embeddings), source, target)
    rewired = labels(embeddings, *other_edges(source, target))
    assert np.array_equal(base, moved) != reads_embeddings
    assert np.array_equal(base, rewired) != reads_edges


def test_without_any_prior_programs_are_random_and_balanced(priors):
    first, other = (cluster(*priors[:3], priors="none", key=jr.key(seed)) for seed in (0, 1))
    assert abs(adjusted_rand_score(first.labels, other.labels)) < 0.1
    assert abs(adjusted_rand_score(first.labels, np.arange(GENES) * CLUSTERS // GENES)) < 0.1
    assert np.ptp(np.asarray(first.partition.sizes)) <= 1


def test_the_objective_is_the_whole_cost_whatever_was_read(priors):
    embeddings, source, target, _ = priors
    random = cluster(embeddings, source, target, priors="none")
    labels = np.asarray(random.labels)
    normal = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    centres = np.stack([normal[labels == k].mean(0) for k in range(CLUSTERS)])
    semantic = cdist(embeddings, centres, "cosine")
    graph = np.zeros((GENES, GENES))
    graph[source, target] = 1
    inside = np.stack([graph[:, labels == k].mean(1) for k in range(CLUSTERS)], axis=1)
    own = np.arange(GENES), labels
    naive = np.mean((semantic / semantic.max())[own] + (1 - inside)[own])
    np.testing.assert_allclose(random.objective, naive, rtol=1e-4)
    assert cluster(embeddings, source, target).objective < naive - 0.05


@pytest.mark.parametrize("rounding", ["greedy", "exact"])
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


def test_exact_rounding_reaches_a_cheaper_assignment_in_each_round(priors):
    embeddings, source, target, _ = priors
    one = dict(rounds=1)
    base, better = (
        cluster(embeddings, source, target, rounding=kind, **one) for kind in ("greedy", "exact")
    )
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


def test_many_starts_and_the_one_of_least_cost(priors):
    embeddings, source, target, _ = priors
    found = cluster(embeddings, source, target, select="objective", starts=4)
    assert found.runs.labels.shape == (4, GENES)
    ends = np.asarray(found.runs.objective[:, -1])
    assert len(set(ends.tolist())) > 1
    assert found.chosen == ends.argmin()
    np.testing.assert_array_equal(found.labels, found.runs.labels[ends.argmin()])
    np.testing.assert_allclose(found.objective, ends.min(), rtol=1e-6)
    agreement = found.agreement()
    for i in range(4):
        for j in range(4):
            naive = adjusted_rand_score(found.runs.labels[i], found.runs.labels[j])
            np.testing.assert_allclose(agreement[i, j], naive)
    again = cluster(embeddings, source, target, select="objective", starts=4)
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
    found = cluster(embeddings, source, target, select="consensus", starts=4)
    assert found.chosen == -1
    assert np.ptp(np.asarray(found.partition.sizes)) <= 1
    with_starts = np.mean([adjusted_rand_score(found.labels, one) for one in found.runs.labels])
    agreement = found.agreement()
    assert with_starts > agreement[~np.eye(4, dtype=bool)].mean()


def test_confidence_counts_only_where_it_is_asked_for(priors):
    embeddings, source, target, truth = priors
    inside = truth[source] == truth[target]
    sure = np.where(inside, 1.0, 0.05).astype(np.float32)
    given = dict(confidence=sure, priors="interactions", select="objective")
    binary = cluster(embeddings, source, target, **given)
    weighted = cluster(embeddings, source, target, edges="confidence", **given)
    plain = cluster(embeddings, source, target, priors="interactions", select="objective")
    np.testing.assert_array_equal(binary.labels, plain.labels)
    score = lambda found: adjusted_rand_score(truth, found.labels)
    assert score(weighted) > score(binary) + 0.05


def test_errors_that_go_together_pull_genes_together():
    embeddings, source, target, truth = planted(1, noise=2.5)
    before = cluster(embeddings, source, target)
    profiles = np.random.default_rng(0).normal(size=(CLUSTERS, 7))[truth].astype(np.float32)
    options = dict(errors=profiles, start=before.labels)
    after = cluster(embeddings, source, target, **options)
    score = lambda found: adjusted_rand_score(truth, found.labels)
    assert score(after) > score(before) + 0.05
    np.testing.assert_array_equal(after.run.start, before.labels)
    ignored = cluster(embeddings, source, target, feedback_weight=0.0, **options)
    unchanged = cluster(embeddings, source, target, start=before.labels)
    np.testing.assert_array_equal(ignored.labels, unchanged.labels)


def test_bad_input_to_variants_is_named(priors):
    embeddings, source, target, _ = priors
    edges = source, target
    with pytest.raises(ValueError, match="does not have"):
        cluster(embeddings, *edges, edges="confidence")
    doubtful = np.ones(source.size, np.float32)
    for value, shown in ((np.nan, "nan"), (0.0, "0.0"), (1.5, "1.5")):
        doubtful[3] = value
        with pytest.raises(ValueError, match=rf"1 of 500 .* outside \(0, 1\].*{shown}"):
            cluster(embeddings, *edges, edges="confidence", confidence=doubtful)
    doubtful[3] = 0.5
    with pytest.raises(ValueError, match="same confidence in both directions"):
        cluster(embeddings, *edges, edges="confidence", confidence=doubtful)
    with pytest.raises(ValueError, match="shared by 9 of 6 programs"):
        cluster(embeddings, *edges, temperature=0.1, overlap=9)
    broken = np.ones((GENES, 2), np.float32)
    broken[5] = np.nan
    with pytest.raises(ValueError, match=r"1 of 98 genes .* rows: \[5\]"):
        cluster(embeddings, *edges, errors=broken)
    with pytest.raises(ValueError, match=r"1 of 98 genes .* rows: \[0\]"):
        cluster(embeddings.astype(np.float64) * np.r_[1e300, np.ones(GENES - 1)][:, None], *edges)
    with pytest.raises(ValueError, match="for the method 'grc', not 'kmeans'"):
        cluster(embeddings, *edges, method="kmeans", start=np.zeros(GENES, np.int32))
    with pytest.raises(ValueError, match="nothing would move"):
        cluster(embeddings, *edges, priors="none", start=np.zeros(GENES, np.int32))
    with pytest.raises(ValueError, match="label 6"):
        cluster(embeddings, *edges, start=np.full(GENES, 6, np.int32))
    with pytest.raises(ValueError, match="belong to the method 'grc'"):
        ProgramsConfig(method="kmeans", temperature=0.1)
    with pytest.raises(ValueError, match="tolerance must lie"):
        ProgramsConfig(tolerance=1.0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("E, s, t[1:], c", "{'source': 4, 'target': 3}"),
        ("E, s, t, c, confidence=E[:2, 0]", "'confidence': 2}"),
        ("E, s, t, c, start=s[:3]", "'start': 3}"),
        ("E, s, t, c, errors=E[:5]", "'errors': 5}"),
    ],
)
def test_lengths_that_do_not_fit_are_named_without_the_type_checker(given, message):
    code = f"""
import jax, numpy as np
from scbig.config import ProgramsConfig
from scbig.programs import cluster_genes
E, c = np.ones((6, 2), np.float32), ProgramsConfig(clusters=2)
s, t = np.array([0, 1, 2, 3]), np.array([1, 0, 3, 2])
cluster_genes({given}, key=jax.random.key(0))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "ValueError: Lengths do not fit: 6 genes" in run.stderr
    assert message in run.stderr
