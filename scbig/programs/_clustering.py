"""Gene-Relation Clustering: transport and rounding, in turns, until the programs stand still."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .. import ot
from .._typing import Array, Bool, Float, Int, PRNGKeyArray, Scalar
from ._cost import relation_cost, unit_rows
from ._partition import GenePartition
from ._rounding import balanced_capacities, round_to_capacities


class Clustering(eqx.Module):
    """Balanced gene programs, and how they were reached."""

    partition: GenePartition
    start: Int[Array, " genes"]
    """Labels before the first round."""
    rounds: Int[Array, ""]
    """Rounds of transport and rounding that were run."""
    stable: Bool[Array, ""]
    """Whether the last round changed no label."""
    converged: Bool[Array, ""]
    """Whether every round's transport plan met its marginals."""
    error: Scalar
    """The largest L1 marginal error of those plans."""
    objective: Float[Array, " rounds"]
    """Mean cost (Eq. 1) of a gene in its program after each round; then the last one repeated."""


class _Round(eqx.Module):
    labels: Int[Array, " genes"]
    potentials: tuple[Float[Array, " genes"], Float[Array, " clusters"]]
    count: Int[Array, ""]
    stable: Bool[Array, ""]
    converged: Bool[Array, ""]
    error: Scalar
    objective: Float[Array, " rounds"]


def cluster_genes(
    embeddings: Float[Array | np.ndarray, "genes features"],
    source: Int[Array | np.ndarray, " edges"],
    target: Int[Array | np.ndarray, " edges"],
    *,
    clusters: int,
    rounds: int,
    semantic_weight: float,
    interaction_weight: float,
    epsilon: float,
    iterations: int,
    threshold: float,
    starts: int,
    throw: bool = True,
    key: PRNGKeyArray,
) -> Clustering:
    """Gene programs of equal size from gene embeddings and an interaction graph (section 3.1).

    **Arguments:**

    - `embeddings`: one row for each gene. A zero row (a gene without an embedding) is at cosine
      distance 1 from every program.
    - `source`, `target`: gene indices of the interactions, each in both directions. May be empty.
    - `clusters`: number of programs; their sizes differ by at most one.
    - `rounds`: the most rounds of transport and rounding; they end when no label changes.
    - `semantic_weight`, `interaction_weight`: weights of the two terms of Eq. 1.
    - `epsilon`, `iterations`, `threshold`: of the transport plan, as in `scbig.ot.balanced_plan`.
    - `starts`: k-means++ starts.
    - `throw`: whether a plan that did not converge is an error, or only a flag of the result.
    - `key`: of k-means++, the only random part.

    **Raises:** `ValueError` for input that has no answer, `RuntimeError` for a plan that did not
    converge.
    """
    _check(np.asarray(embeddings), np.asarray(source), np.asarray(target), clusters, rounds)
    clustering = _cluster(
        jnp.asarray(embeddings),
        jnp.asarray(source, jnp.int32),
        jnp.asarray(target, jnp.int32),
        clusters=clusters,
        rounds=rounds,
        semantic_weight=semantic_weight,
        interaction_weight=interaction_weight,
        epsilon=epsilon,
        iterations=iterations,
        threshold=threshold,
        starts=starts,
        key=key,
    )
    if throw and not clustering.converged:
        raise RuntimeError(
            f"Gene-Relation Clustering: a transport plan missed its marginals by "
            f"{float(clustering.error):.2g} after {iterations} iterations; {threshold:.2g} is "
            f"accepted. Raise `iterations` or epsilon={epsilon:.2g}, or pass `throw=False`."
        )
    return clustering


@functools.partial(jax.jit, static_argnames=("clusters", "rounds", "iterations", "starts"))
def _cluster(embeddings, source, target, *, clusters, starts, key, **settings) -> Clustering:
    start = ot.kmeans_labels(unit_rows(embeddings), clusters, starts=starts, key=key)
    return alternate(embeddings, source, target, start, clusters=clusters, **settings)


@functools.partial(jax.jit, static_argnames=("clusters", "rounds", "iterations"))
def alternate(
    embeddings: Float[Array, "genes features"],
    source: Int[Array, " edges"],
    target: Int[Array, " edges"],
    start_labels: Int[Array, " genes"],
    *,
    clusters: int,
    rounds: int,
    semantic_weight: float | Scalar,
    interaction_weight: float | Scalar,
    epsilon: float | Scalar,
    iterations: int,
    threshold: float | Scalar,
) -> Clustering:
    """Gene-Relation Clustering from given labels: `cluster_genes` after its k-means start.

    Each round: the cost of every gene in every program as the labels now are (Eq. 1), the
    balanced plan for that cost, the plan rounded to the capacities. Inputs are not checked.
    """
    genes = embeddings.shape[0]
    unit = unit_rows(embeddings)
    capacities = balanced_capacities(start_labels, clusters)
    gene_mass = jnp.full((genes,), 1 / genes, unit.dtype)
    cluster_mass = capacities.astype(unit.dtype) / genes

    def turn(state: _Round) -> _Round:
        cost = relation_cost(
            unit,
            source,
            target,
            state.labels,
            clusters,
            semantic_weight=semantic_weight,
            interaction_weight=interaction_weight,
        )
        plan = ot.balanced_plan(
            cost,
            gene_mass,
            cluster_mass,
            epsilon=epsilon,
            iterations=iterations,
            threshold=threshold,
            start=state.potentials,
        )
        labels = round_to_capacities(plan.log_matrix, cost, capacities)
        mean_cost = jnp.mean(cost[jnp.arange(genes), labels])
        return _Round(
            labels=labels,
            potentials=plan.potentials,
            count=state.count + 1,
            stable=jnp.all(labels == state.labels),
            converged=state.converged & plan.converged,
            error=jnp.maximum(state.error, plan.error),
            objective=jnp.where(jnp.arange(rounds) >= state.count, mean_cost, state.objective),
        )

    start = _Round(
        labels=start_labels.astype(jnp.int32),
        potentials=(jnp.zeros_like(gene_mass), jnp.zeros_like(cluster_mass)),
        count=jnp.zeros((), jnp.int32),
        stable=jnp.zeros((), bool),
        converged=jnp.ones((), bool),
        error=jnp.zeros((), unit.dtype),
        objective=jnp.zeros((rounds,), unit.dtype),
    )
    end = lax.while_loop(lambda state: ~state.stable & (state.count < rounds), turn, start)
    return Clustering(
        partition=GenePartition.from_labels(end.labels, clusters, slots=-(-genes // clusters)),
        start=start.labels,
        rounds=end.count,
        stable=end.stable,
        converged=end.converged,
        error=end.error,
        objective=end.objective,
    )


def _check(
    embeddings: np.ndarray, source: np.ndarray, target: np.ndarray, clusters: int, rounds: int
) -> None:
    genes = embeddings.shape[0]
    if not 1 <= clusters <= genes:
        raise ValueError(
            f"Every program needs at least one gene: got {clusters} clusters for {genes} genes. "
            f"Choose 1 <= clusters <= {genes}."
        )
    if rounds < 1:
        raise ValueError(f"At least one round is needed: got rounds={rounds}.")
    broken = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if broken.size:
        raise ValueError(
            f"{broken.size} of {genes} genes have an embedding that is not finite; the first "
            f"rows: {broken[:5].tolist()}. Drop these genes, or give them zero vectors."
        )
    _check_edges(source.astype(np.int64), target.astype(np.int64), genes)


def _check_edges(source: np.ndarray, target: np.ndarray, genes: int) -> None:
    outside = np.flatnonzero(
        (np.minimum(source, target) < 0) | (np.maximum(source, target) >= genes)
    )
    if outside.size:
        first = outside[0]
        raise ValueError(
            f"{outside.size} of {source.size} interactions name a gene outside [0, {genes}); the "
            f"first: ({source[first]}, {target[first]}). Align the graph to these genes."
        )
    forward, backward = source * genes + target, target * genes + source
    if (
        np.any(source == target)
        or np.unique(forward).size != forward.size
        or not np.array_equal(np.sort(forward), np.sort(backward))
    ):
        raise ValueError(
            "Interactions must hold each edge once in both directions, without self-loops: the "
            "cost of Eq. 1 counts neighbours. `InteractionGraph.align` makes such lists."
        )
