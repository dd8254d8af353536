"""Gene-Relation Clustering as one would write it with NumPy, SciPy and POT, without JAX or scBIG.

The other contender of `gene_programs.py`, and an independent reference for the tests. All numbers
are of the embeddings' dtype.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import ot as pot
from scipy import sparse


@dataclass(frozen=True, kw_only=True)
class Alternation:
    """Where the rounds led, and the seconds that each part of them took in all."""

    labels: np.ndarray
    rounds: int
    mean_cost: list[float]
    """Mean cost of a gene in its own program: at the start, then after each round."""
    error: float
    """The largest L1 error of a plan's program masses."""
    iterations: float
    """Mean Sinkhorn iterations of a round."""
    seconds: dict[str, float]


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Rows of length one; zeros stay zeros."""
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(norm > 0, norm, 1)


def leading_components(points: np.ndarray, components: int) -> np.ndarray:
    """Coordinates along the directions in which the points are longest."""
    if points.shape[1] <= components:
        return points
    _, directions = np.linalg.eigh(points.T @ points)  # by increasing length
    return points @ directions[:, -components:]


def kmeans(
    points: np.ndarray, clusters: int, starts: int, generator: np.random.Generator
) -> np.ndarray:
    """Labels of the best of some k-means++ starts, by Lloyd's rounds.

    As in ott-jax: 2 + log(clusters) trials for each new centre, at most 300 rounds, and an end
    where no label changes or the centres move by less than 1e-4, squared.
    """
    runs = (_lloyd(points, clusters, generator) for _ in range(starts))
    return min(runs, key=lambda run: run[1])[0]


def _lloyd(points: np.ndarray, clusters: int, generator: np.random.Generator):
    centres, before = _plus_plus(points, clusters, generator), np.full(len(points), -1)
    for _ in range(300):
        distance = _squared_distances(points, centres)
        labels = distance.argmin(axis=1)
        nearest = distance[np.arange(len(points)), labels]
        count = np.bincount(labels, minlength=clusters)
        sums = _one_hot(labels, clusters, points.dtype).T @ points
        moved = (sums / np.maximum(count, 1)[:, None]).astype(points.dtype)
        # An empty cluster goes on from the point that is farthest from its centre.
        moved[count == 0] = points[np.argsort(-nearest)[: np.sum(count == 0)]]
        shift, centres = np.sum((moved - centres) ** 2), moved
        if shift <= 1e-4 or np.array_equal(labels, before):
            break
        before = labels
    distance = _squared_distances(points, centres)
    return distance.argmin(axis=1), float(distance.min(axis=1).sum())


def _plus_plus(points: np.ndarray, clusters: int, generator: np.random.Generator) -> np.ndarray:
    centres = np.empty((clusters, points.shape[1]), points.dtype)
    centres[0] = points[generator.integers(len(points))]
    nearest = _squared_distances(points, centres[:1])[:, 0]
    for k in range(1, clusters):
        total = np.cumsum(nearest, dtype=np.float64)
        drawn = generator.random(2 + int(math.log(clusters))) * total[-1]
        trials = points[np.minimum(np.searchsorted(total, drawn), len(points) - 1)]
        distance = np.minimum(_squared_distances(points, trials), nearest[:, None])
        best = distance.sum(axis=0).argmin()
        centres[k], nearest = trials[best], distance[:, best]
    return centres


def _squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    squares = np.sum(x**2, axis=1)[:, None] + np.sum(y**2, axis=1)[None, :]
    return np.maximum(squares - 2 * (x @ y.T), 0)


def _one_hot(labels: np.ndarray, clusters: int, dtype: np.dtype) -> sparse.csr_array:
    entries = np.ones(len(labels), dtype), (np.arange(len(labels)), labels)
    return sparse.csr_array(entries, shape=(len(labels), clusters))


def adjacency(
    source: np.ndarray, target: np.ndarray, genes: int, dtype: np.dtype
) -> sparse.csr_array:
    """The sparse matrix of the interactions, which are given in both directions."""
    return sparse.csr_array((np.ones(len(source), dtype), (source, target)), shape=(genes, genes))


def cost(
    unit: np.ndarray, graph: sparse.csr_array, labels: np.ndarray, clusters: int
) -> np.ndarray:
    """Eq. 1 with both weights 1: of every gene in every program."""
    members = _one_hot(labels, clusters, unit.dtype)
    semantic = np.maximum(1 - unit @ unit_rows(members.T @ unit).T, 0)
    sizes = np.maximum(np.bincount(labels, minlength=clusters), 1).astype(unit.dtype)
    neighbours: Any = graph @ members  # sparse, which its annotation does not know
    return semantic / semantic.max() + 1 - neighbours.toarray() / sizes


def balanced_capacities(start: np.ndarray, clusters: int) -> np.ndarray:
    """Sizes that differ by at most one, the larger for the programs that the start filled most."""
    base, extra = divmod(len(start), clusters)
    filled = np.bincount(start, minlength=clusters)
    capacities = np.full(clusters, base)
    capacities[np.argsort(-filled, kind="stable")[:extra]] += 1
    return capacities


def round_greedily(plan: np.ndarray, cost: np.ndarray, capacities: np.ndarray) -> np.ndarray:
    """The sequential loop over all pairs, by decreasing mass, then cost, gene and program."""
    labels, room, left = [-1] * len(plan), capacities.tolist(), len(plan)
    # The sort is stable, and pairs lie in the order of genes, then programs.
    order: Any = np.lexsort((cost.ravel(), -plan.ravel()))
    for pair in memoryview(order):  # as plain integers, one at a time
        gene, program = divmod(pair, plan.shape[1])
        if labels[gene] < 0 and room[program] > 0:
            labels[gene] = program
            room[program] -= 1
            left -= 1
            if left == 0:
                break
    return np.array(labels)


def alternate(
    unit: np.ndarray,
    graph: sparse.csr_array,
    start: np.ndarray,
    *,
    clusters: int,
    rounds: int,
    epsilon: float,
    iterations: int,
    threshold: float,
) -> Alternation:
    """Cost, plan and rounding in turns until the labels stand still or two partitions alternate.

    Each plan starts from the last.
    """
    seconds: dict[str, float] = {"cost": 0.0, "plan": 0.0, "rounding": 0.0}

    def timed(part, function, *arguments, **options):
        begun = time.perf_counter()
        result = function(*arguments, **options)
        seconds[part] += time.perf_counter() - begun
        return result

    genes, labels, before, duals, count = len(unit), start, None, None, 0
    capacities = balanced_capacities(start, clusters)
    masses = np.full(genes, 1 / genes, unit.dtype), (capacities / genes).astype(unit.dtype)
    mean_cost, error, steps, stable = [], 0.0, 0, False
    # POT measures the programs' masses in the L2 norm: the L1 norm is at most so much larger.
    # Half the threshold, because that is where scBIG's own solver stops.
    stop = threshold / 2 / math.sqrt(clusters)
    options = dict(numItermax=iterations, stopThr=stop, log=True)
    while not stable and count < rounds:
        costs = timed("cost", cost, unit, graph, labels, clusters)
        plan, log = timed(
            "plan", pot.bregman.sinkhorn_log, *masses, costs, epsilon, warmstart=duals, **options
        )
        duals, steps = (log["log_u"], log["log_v"]), steps + log["niter"] + 1
        new = timed("rounding", round_greedily, plan, costs, capacities)
        mean_cost.append(float(costs[np.arange(genes), labels].mean()))
        error = max(error, float(np.abs(plan.sum(axis=0) - masses[1]).sum()))
        back = before is not None and np.array_equal(new, before)
        stable = back or np.array_equal(new, labels)
        before, labels, count = labels, new, count + 1
    last = cost(unit, graph, labels, clusters)[np.arange(genes), labels].mean()
    if (
        stable and before is not None and mean_cost[-1] < last
    ):  # of two that follow each other, the cheaper
        labels, last = before, mean_cost[-1]
    return Alternation(
        labels=labels,
        rounds=count,
        mean_cost=[*mean_cost, float(last)],
        error=error,
        iterations=steps / count,
        seconds=seconds,
    )
