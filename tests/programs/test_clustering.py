import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import ot as pot
import pytest
from sklearn.metrics import adjusted_rand_score

from scbig import programs

sinkhorn: Any = pot.sinkhorn  # POT annotates too many kinds of results
GENES, FEATURES, CLUSTERS = 98, 8, 6
EPSILON = 0.1
SETTINGS: dict[str, Any] = dict(
    clusters=CLUSTERS, rounds=20, epsilon=EPSILON, iterations=2000, threshold=1e-4
)


def planted(seed=0, *, noise=0.6, within=0.35, between=0.03):
    """Embeddings and edges around known programs, each of them an uncertain witness."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(GENES) % CLUSTERS)
    centres = rng.normal(size=(CLUSTERS, FEATURES))
    embeddings = centres[truth] + noise * rng.normal(size=(GENES, FEATURES))
    chance = np.where(truth[:, None] == truth[None], within, between)
    upper = np.triu(rng.random((GENES, GENES)) < chance, 1)
    # One number of edges for all seeds: one compilation.
    first, second = np.nonzero(upper)
    keep = np.sort(rng.permutation(first.size)[:250])
    first, second = first[keep], second[keep]
    assert first.size == 250
    source, target = np.r_[first, second], np.r_[second, first]
    return (
        embeddings.astype(np.float32),
        source.astype(np.int32),
        target.astype(np.int32),
        truth,
    )


def cluster(embeddings, source, target, *, key=None, **changes):
    """`own`, the labels to go on from; `sure`, of the interactions; the rest is of the GRC."""
    beside = {"throw": "throw", "sure": "confidence", "errors": "errors", "own": "start"}
    given = {beside[name]: changes.pop(name) for name in beside if name in changes}
    settings: dict[str, Any] = SETTINGS | {"start": programs.KMeansStart(tries=5)} | changes
    grc = programs.GRC(**settings)
    return made(grc, embeddings, source, target, **given, key=key)


def made(clustering, embeddings, source, target, *, key=None, **given):
    key = jr.key(0) if key is None else key
    return programs.cluster_genes(embeddings, source, target, clustering, **given, key=key)


def relations(embeddings, source, target, semantic=1.0, interaction=1.0):
    return programs.Relations(
        unit=programs.unit_rows(jnp.asarray(embeddings)),
        source=jnp.asarray(source),
        target=jnp.asarray(target),
        semantic_weight=jnp.asarray(semantic, jnp.float32),
        interaction_weight=jnp.asarray(interaction, jnp.float32),
    )


@eqx.filter_jit
def solve(grc, known, start):
    return grc.solve(known, start)


def alternate(embeddings, source, target, start, **settings):
    known = relations(embeddings, source, target)
    return solve(programs.GRC(**SETTINGS | settings), known, jnp.asarray(start))


def reference_round(embeddings, source, target, labels, capacities):
    """One round of section 1 of the method, by loops in float64 and POT's plan."""
    normal = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    centres = np.stack([normal[labels == k].mean(0) for k in range(CLUSTERS)])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    semantic = 1 - normal @ centres.T
    graph = np.zeros((GENES, GENES))
    graph[source, target] = 1
    interaction = np.stack([1 - graph[:, labels == k].mean(1) for k in range(CLUSTERS)], 1)
    cost = semantic / semantic.max() + interaction
    gene_mass, cluster_mass = np.full(GENES, 1 / GENES), capacities / GENES
    plan = sinkhorn(gene_mass, cluster_mass, cost, EPSILON, stopThr=1e-10, numItermax=10_000)
    order = sorted(itertools.product(range(GENES), range(CLUSTERS)), key=lambda p: -plan[p])
    new, room = np.full(GENES, -1), capacities.copy()
    for gene, program in order:
        if new[gene] < 0 and room[program]:
            new[gene], room[program] = program, room[program] - 1
    return new, cost[np.arange(GENES), labels].mean()


@pytest.mark.parametrize("seed", [0, 1])
def test_clustering_is_the_method_written_as_loops(seed):
    embeddings, source, target, _ = planted(seed, noise=1.0, within=0.3, between=0.02)
    found = cluster(embeddings, source, target)
    labels = previous = np.asarray(found.run.start)
    filled = np.bincount(labels, minlength=CLUSTERS)
    capacities = np.full(CLUSTERS, GENES // CLUSTERS)
    capacities[sorted(range(CLUSTERS), key=lambda k: -filled[k])[: GENES % CLUSTERS]] += 1
    mean_cost = []
    for _ in range(int(found.run.rounds)):
        previous = labels
        labels, own_cost = reference_round(
            embeddings.astype(np.float64), source, target, labels, capacities
        )
        mean_cost.append(own_cost)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_allclose(found.run.mean_cost[: found.run.rounds], mean_cost, rtol=1e-4)
    assert bool(found.run.stable) == np.array_equal(previous, labels)
    np.testing.assert_array_equal(found.partition.sizes, capacities)
    assert found.run.converged
    assert found.run.error <= SETTINGS["threshold"]


def test_of_two_partitions_that_follow_each_other_the_cheaper_is_taken():
    embeddings, source, target, _ = planted(4, noise=1.5, within=0.2, between=0.05)
    found = cluster(embeddings, source, target)
    filled = np.bincount(found.run.start, minlength=CLUSTERS)
    capacities = np.full(CLUSTERS, GENES // CLUSTERS)
    capacities[np.argsort(-filled, kind="stable")[: GENES % CLUSTERS]] += 1
    course, costs = [np.asarray(found.run.start)], []
    for _ in range(int(found.run.rounds) + 2):
        labels, own_cost = reference_round(
            embeddings.astype(np.float64), source, target, course[-1], capacities
        )
        course.append(labels)
        costs.append(own_cost)
    ends = course[-3:-1]
    np.testing.assert_array_equal(course[-1], course[-3])
    assert np.any(ends[0] != ends[1])  # they do not stand still
    cheaper = ends[int(np.argmin(costs[-2:]))]
    assert found.run.stable
    assert found.run.rounds < 20
    np.testing.assert_array_equal(found.labels, cheaper)
    np.testing.assert_allclose(found.mean_cost, min(costs[-2:]), rtol=1e-4)


def test_both_priors_together_find_the_programs_better_than_either():
    scores = {"both": [], "embeddings": [], "interactions": []}
    for seed in range(4):
        embeddings, source, target, truth = planted(seed, noise=1.0, within=0.3, between=0.02)
        rng = np.random.default_rng(seed)
        other = rng.normal(size=embeddings.shape).astype(np.float32)
        mixed = rng.permutation(GENES).astype(np.int32)
        for name, priors in {
            "both": (embeddings, source, target),
            "embeddings": (embeddings, mixed[source], mixed[target]),
            "interactions": (other, source, target),
        }.items():
            found = cluster(*priors)
            scores[name].append(adjusted_rand_score(truth, found.partition.labels))
    mean = {name: np.mean(score) for name, score in scores.items()}
    assert mean["both"] > mean["embeddings"] + 0.1
    assert mean["both"] > mean["interactions"] + 0.1


def test_clear_programs_are_found_exactly():
    embeddings, source, target, truth = planted(noise=0.2)
    found = cluster(embeddings, source, target)
    assert found.run.stable
    assert adjusted_rand_score(truth, found.partition.labels) > 0.95


def test_stable_programs_stay_when_clustering_goes_on_from_them():
    embeddings, source, target, _ = planted(noise=0.2)
    first = cluster(embeddings, source, target)
    again = cluster(embeddings, source, target, own=first.partition.labels).run
    assert first.run.stable
    assert again.rounds == 1
    np.testing.assert_array_equal(again.labels, first.partition.labels)


def test_rounds_are_counted_and_the_cost_ends_with_that_of_the_result():
    embeddings, source, target, _ = planted(1, noise=1.0, within=0.3, between=0.02)
    found = cluster(embeddings, source, target)
    run = found.run
    assert 1 < run.rounds < SETTINGS["rounds"]
    assert jnp.all(run.mean_cost[run.rounds :] == run.mean_cost[-1])
    assert run.mean_cost[-1] < run.mean_cost[0]
    np.testing.assert_allclose(run.mean_cost[-1], found.mean_cost)
    once = alternate(embeddings, source, target, run.start, rounds=1)
    assert once.rounds == 1
    assert not once.stable
    np.testing.assert_allclose(once.mean_cost, run.mean_cost[:2], rtol=1e-6)


def test_weights_choose_between_the_priors():
    embeddings, source, target, truth = planted(noise=0.2)
    noise = np.random.default_rng(5).normal(size=embeddings.shape).astype(np.float32)
    blind = cluster(noise, source, target, interaction_weight=0.0)
    assert adjusted_rand_score(truth, blind.partition.labels) < 0.2
    seeing = cluster(embeddings, target, source, interaction_weight=0.0)
    assert adjusted_rand_score(truth, seeing.partition.labels) > 0.9


TRACES = []


class Counted(programs.AbstractStart):
    """Counts how often the routine around it is compiled."""

    def __call__(self, relations, clusters, count, *, key):
        TRACES.append(1)
        return programs.RandomStart()(relations, clusters, count, key=key)


def test_new_numbers_do_not_compile_again():
    embeddings, source, target, _ = planted()
    start = Counted()
    cluster(embeddings, source, target, start=start)
    assert len(TRACES) == 1
    changed = {"semantic_weight": 0.3, "interaction_weight": 2.0, "epsilon": 0.2, "threshold": 1e-3}
    cluster(2 * embeddings, source, target, start=start, **changed, key=jr.key(9))
    cluster(embeddings, source, target, start=start, soft=programs.Soft(0.2))
    assert len(TRACES) == 1


def test_clustering_has_one_answer_for_a_key():
    embeddings, source, target, _ = planted(noise=1.5)
    first, again = (cluster(embeddings, source, target, key=jr.key(1)) for _ in range(2))
    other = cluster(embeddings, source, target, key=jr.key(2))
    np.testing.assert_array_equal(first.partition.labels, again.partition.labels)
    assert jnp.any(first.run.start != other.run.start)


def test_a_plan_that_missed_its_marginals_is_an_error_or_a_flag():
    embeddings, source, target, _ = planted()
    with pytest.raises(RuntimeError, match="Raise `iterations` or epsilon=0.1"):
        cluster(embeddings, source, target, threshold=1e-9)
    flagged = cluster(embeddings, source, target, threshold=1e-9, throw=False)
    assert not flagged.run.converged
    assert flagged.run.error > 1e-9


def test_a_round_that_failed_is_not_forgotten():
    embeddings, source, target, _ = planted(1, noise=1.0, within=0.3, between=0.02)
    start = cluster(embeddings, source, target).run.start

    def clustered(threshold):
        return alternate(embeddings, source, target, start, iterations=10, threshold=threshold)

    # The worst round is not the last one.
    worst = float(clustered(1e-30).error)
    assert not clustered(0.9 * worst).converged
    assert clustered(1.1 * worst).converged


def test_a_gene_without_an_embedding_follows_its_neighbours():
    embeddings, source, target, truth = planted(noise=0.2, within=0.6, between=0.0)
    gene = int(np.bincount(source).argmax())
    embeddings[gene] = 0
    found = np.asarray(cluster(embeddings, source, target).partition.labels)
    own = np.bincount(found[truth == truth[gene]]).argmax()
    assert found[gene] == own


@pytest.mark.parametrize("embeddings", [np.zeros((12, 3)), np.ones((12, 3))])
@pytest.mark.parametrize("clusters", [5, 12])
def test_priors_that_say_nothing_still_give_balanced_programs(embeddings, clusters):
    nothing = np.zeros(0, np.int32)
    found = cluster(embeddings.astype(np.float32), nothing, nothing, clusters=clusters)
    sizes = np.asarray(found.partition.sizes)
    assert found.run.stable
    assert sizes.sum() == 12
    assert np.ptp(sizes) <= 1


def test_bad_input_is_named():
    embeddings, source, target, _ = planted()
    with pytest.raises(ValueError, match="got 99 clusters for 98 genes"):
        cluster(embeddings, source, target, clusters=99)
    with pytest.raises(ValueError, match="GRC: rounds must be a whole number >= 1; got 0"):
        cluster(embeddings, source, target, rounds=0)
    broken = embeddings.copy()
    broken[[7, 11], 0] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"2 of 98 genes .* rows: \[7, 11\]"):
        cluster(broken, source, target)
    outside = target.copy()
    outside[4] = 98
    with pytest.raises(ValueError, match=rf"1 of 500 .* \({source[4]}, 98\)"):
        cluster(embeddings, source, outside)


def test_a_graph_that_is_not_simple_is_an_error():
    embeddings, source, target, _ = planted()
    first, second = source[:250], target[:250]
    loop = np.array([3], np.int32)
    for bad in [
        (first, second),
        (np.r_[source, source], np.r_[target, target]),
        (np.r_[source, loop], np.r_[target, loop]),
    ]:
        with pytest.raises(ValueError, match="once in both directions.*Here are"):
            cluster(embeddings, *bad)


def test_several_starts_are_clustered_in_one_program():
    embeddings, source, target, truth = planted()
    starts = jnp.stack([jnp.asarray(truth), jnp.arange(GENES) % CLUSTERS])
    known = relations(embeddings, source, target)
    grc = programs.GRC(**SETTINGS)
    batch = jax.vmap(lambda start: grc.solve(known, start))(starts)
    for i, start in enumerate(starts):
        alone = solve(grc, known, start)
        np.testing.assert_array_equal(batch.labels[i], alone.labels)
        assert batch.rounds[i] == alone.rounds


def test_rounds_can_be_replayed_one_by_one_from_a_script():
    embeddings, source, target, _ = planted(1, noise=1.0, within=0.3, between=0.02)
    known, grc = relations(embeddings, source, target), programs.GRC(**SETTINGS)
    whole = solve(grc, known, jnp.arange(GENES) % CLUSTERS)
    assert whole.rounds > 2
    state, step = grc.init(known, jnp.arange(GENES) % CLUSTERS), eqx.filter_jit(programs.GRC.step)
    courses = []
    while not grc.terminate(known, state):
        state = step(grc, known, state)
        courses.append(np.asarray(state.labels))
        assert int(state.count) == len(courses)
    done = len(courses)
    assert done == whole.rounds
    np.testing.assert_array_equal(courses[-1], whole.labels)
    np.testing.assert_allclose(state.mean_cost[:done], whole.mean_cost[:done], rtol=1e-6)
    assert state.stable == whole.stable
