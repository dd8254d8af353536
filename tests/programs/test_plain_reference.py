"""Gene-Relation Clustering and the plain NumPy and POT of its benchmark agree."""

import importlib.util
import pathlib
import subprocess
import sys
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans

from scbig import programs

BENCHMARKS = pathlib.Path(__file__).parents[2] / "experiments" / "benchmarks"
GENES, CLUSTERS, FEATURES = 300, 7, 24
SETTINGS: dict[str, Any] = {
    "clusters": CLUSTERS,
    "epsilon": 0.1,
    "iterations": 2000,
    "threshold": 1e-5,
}


@pytest.fixture(scope="module")
def plain():
    spec = importlib.util.spec_from_file_location("plain_grc", BENCHMARKS / "plain_grc.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def planted():
    """Embeddings and edges around more modules than programs, and a start of uneven sizes."""
    rng = np.random.default_rng(1)
    module = rng.integers(0, 12, GENES)
    embeddings = rng.normal(size=(12, FEATURES))[module] + rng.normal(size=(GENES, FEATURES))
    chance = np.where(module[:, None] == module[None], 0.3, 0.03)
    first, second = np.nonzero(np.triu(rng.random((GENES, GENES)) < chance, 1))
    source, target = np.r_[first, second], np.r_[second, first]
    start = rng.choice(CLUSTERS, GENES, p=rng.dirichlet(np.full(CLUSTERS, 3.0)))
    return embeddings, source.astype(np.int32), target.astype(np.int32), start.astype(np.int32)


def both(plain, planted, rounds):
    embeddings, source, target, start = planted
    weight = jnp.ones(())
    relations = programs.Relations(
        programs.unit_rows(jnp.asarray(embeddings, jnp.float32)),
        jnp.asarray(source),
        jnp.asarray(target),
        weight,
        weight,
    )
    solve = eqx.filter_jit(programs.GRC(rounds=rounds, **SETTINGS).solve)
    ours = solve(relations, jnp.asarray(start))
    graph = plain.adjacency(source, target, GENES, embeddings.dtype)
    unit = plain.unit_rows(embeddings)
    return ours, plain.alternate(unit, graph, start, rounds=rounds, **SETTINGS)


@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_every_round_is_that_of_numpy_and_pot(plain, planted, rounds):
    ours, reference = both(plain, planted, rounds)
    np.testing.assert_array_equal(ours.labels, reference.labels)
    np.testing.assert_allclose(ours.mean_cost, reference.mean_cost, rtol=1e-5)
    assert reference.rounds == ours.rounds == rounds
    assert reference.error <= SETTINGS["threshold"]
    assert np.any(np.asarray(ours.labels) != ours.start)  # these rounds have something to do


def test_both_stand_still_at_the_same_labels_after_as_many_rounds(plain, planted):
    ours, reference = both(plain, planted, 40)
    assert ours.stable
    assert reference.rounds == ours.rounds > 4
    np.testing.assert_array_equal(ours.labels, reference.labels)
    np.testing.assert_array_equal(np.bincount(reference.labels).max(), -(-GENES // CLUSTERS))


def test_the_plain_k_means_is_as_good_as_that_of_scikit_learn(plain):
    rng = np.random.default_rng(1)
    points = rng.normal(size=(30, 6))[rng.integers(0, 30, 600)] + 0.1 * rng.normal(size=(600, 6))

    def inertia(labels):
        groups = (points[labels == k] for k in np.unique(labels))
        return sum(np.sum((group - group.mean(axis=0)) ** 2) for group in groups)

    # One start each: the best of many hides a poor choice of first centres.
    one = lambda seed: KMeans(30, n_init="auto", random_state=seed).fit_predict(points)
    theirs = np.mean([inertia(one(seed)) for seed in range(20)])
    assert np.mean([inertia(plain.kmeans(points, 30, 1, rng)) for _ in range(20)]) <= 1.2 * theirs
    assert inertia(plain.kmeans(points, 30, 10, rng)) <= 1.01 * min(
        map(inertia, map(one, range(9)))
    )


@pytest.mark.slow
def test_the_benchmark_has_a_pulse(tmp_path):
    options = ["--sizes", "90", "4", "--features", "8", "--repeats", "1", "--rounds", "3"]
    script = str(BENCHMARKS / "gene_programs.py")
    shown = subprocess.run(
        [sys.executable, script, "--out", str(tmp_path / "new"), *options],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cores" in shown.stdout
    table = pd.read_csv(tmp_path / "new" / "gene_programs.csv").iloc[0]
    assert table["same labels"] == 1
    assert table["rounds"] == table["plain rounds"]
    np.testing.assert_allclose(table["mean cost"], table["plain mean cost"], rtol=1e-5)
    assert 0 < table["at rest GiB"] <= table["GiB"]
    rounding = pd.read_csv(tmp_path / "new" / "rounding.csv").iloc[0]
    np.testing.assert_allclose(rounding["exact"], rounding["scipy"], rtol=1e-5)
    assert rounding["greedy"] >= rounding["scipy"] - 1e-6
    parts = pd.read_csv(tmp_path / "new" / "parts.csv")
    assert parts["contender"].tolist() == ["scBIG", "plain"]
    assert (parts[["k-means", "cost", "plan", "rounding"]] > 0).to_numpy().all()


def test_the_benchmark_says_what_it_can_do():
    script = str(BENCHMARKS / "gene_programs.py")
    shown = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True)
    assert shown.returncode == 0
    assert "--plain-rounds" in shown.stdout
