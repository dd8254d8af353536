"""Gene programs as a configuration asks for them: Gene-Relation Clustering and its ablations."""

import dataclasses
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax

from scbig.config import ProgramsConfig

from .. import ot
from .._typing import Array, Float, Int, PRNGKeyArray, Scalar
from ._agreement import consensus, rand_indices
from ._alternation import Alternation, alternate, unmoved
from ._capacities import balanced_capacities, size_bounds
from ._checks import check_inputs
from ._components import leading_components
from ._cost import Relations, centroids, semantic_cost, unit_rows
from ._partition import AbstractPartition, GenePartition
from ._rounding import round_to_capacities
from ._soft import soften

# Entries of a cost matrix, times starts, that are worked on at once.
_AT_ONCE = 2**25


class Clustering(eqx.Module):
    """Gene programs, and how they were reached."""

    partition: AbstractPartition
    objective: Scalar
    """Mean cost (Eq. 1) of a gene in its own (hard) program, by all that was given, whatever part
    of it the configuration let the method read: variants can be compared by it."""
    runs: Alternation
    """Every start that was gone on from."""
    chosen: Int[Array, ""]
    """Which of them the programs are; -1 for a consensus of all."""

    @property
    def labels(self) -> Int[Array, " genes"]:
        """The program of each gene; of its largest share, if the programs are soft."""
        return self.partition.labels

    @property
    def run(self) -> Alternation:
        """The chosen run; of a consensus, the one of least cost, which named the programs."""
        best = jnp.where(self.chosen < 0, jnp.argmin(self.runs.objective[:, -1]), self.chosen)
        return jax.tree.map(lambda leaf: leaf[best], self.runs)

    def agreement(self) -> Float[np.ndarray, "starts starts"]:
        """Adjusted Rand index between the programs of every two starts."""
        return rand_indices(np.asarray(self.runs.labels))


def cluster_genes(
    embeddings: Float[Array | np.ndarray, "genes features"],
    source: Int[Array | np.ndarray, " edges"],
    target: Int[Array | np.ndarray, " edges"],
    config: ProgramsConfig,
    *,
    confidence: Float[Array | np.ndarray, " edges"] | None = None,
    errors: Float[Array | np.ndarray, "genes conditions"] | None = None,
    start: Int[Array | np.ndarray, " genes"] | None = None,
    throw: bool = True,
    key: PRNGKeyArray,
) -> Clustering:
    """Gene programs from gene embeddings and an interaction graph (section 3.1).

    **Arguments:**

    - `embeddings`: one row for each gene. A zero row (a gene without an embedding) is at cosine
        distance 1 from every program.
    - `source`, `target`: gene indices of the interactions, each in both directions. May be empty.
    - `confidence`: of each interaction, in (0, 1]; read if `config.edges` is `"confidence"`.
    - `errors`: a trained model's error for each gene and training condition, to update the
        programs by (Table 6b).
    - `start`: labels to go on from, instead of k-means or random ones.
    - `throw`: whether a plan that did not converge is an error, or only a flag of the result.
    - `key`: of the starts, the only random part: on one device the same key gives the same
        programs (on a GPU with XLA's deterministic operations, as sums over interactions are
        otherwise in any order).

    **Raises:** `ValueError` for input that has no answer, `RuntimeError` for a plan that did not
    converge.
    """
    edges = np.asarray(source), np.asarray(target)
    host = lambda x: None if x is None else np.asarray(x)
    sure = host(confidence)
    given = {"confidence": sure, "errors": host(errors), "start": host(start)}
    check_inputs(np.asarray(embeddings), *edges, config, **given)
    given = _relations(embeddings, *edges, sure, errors, config)
    relations = _as_read(given, config)
    runs = _runs(relations, config, start, key)
    chosen = jnp.argmin(runs.objective[:, -1]).astype(jnp.int32)
    labels = runs.labels[chosen]
    if config.select == "consensus" and len(runs.labels) > 1:
        labels = consensus(runs.labels, relations.cost(labels, config.clusters), chosen)
        chosen = jnp.full((), -1, jnp.int32)
    if throw and not jnp.all(runs.converged):
        raise _not_converged(float(jnp.max(runs.error)), config.epsilon, config)
    partition = GenePartition.from_labels(labels, config.clusters)
    if config.temperature is not None:
        partition, plan = soften(relations, partition, config)
        if throw and not plan.converged:
            raise _not_converged(float(plan.error), config.temperature, config)
    return Clustering(
        partition=partition,
        objective=given.objective(labels, config.clusters),
        runs=runs,
        chosen=chosen,
    )


def _relations(embeddings, source, target, confidence, errors, config) -> Relations:
    """All that was given, weighted."""
    sure = config.edges == "confidence"
    return Relations(
        unit=unit_rows(jnp.asarray(embeddings, jnp.float32)),
        source=jnp.asarray(source, jnp.int32),
        target=jnp.asarray(target, jnp.int32),
        semantic_weight=jnp.asarray(config.semantic_weight, jnp.float32),
        interaction_weight=jnp.asarray(config.interaction_weight, jnp.float32),
        confidence=jnp.asarray(confidence, jnp.float32) if sure else None,
        errors=None if errors is None else unit_rows(jnp.asarray(errors, jnp.float32)),
        error_weight=None if errors is None else jnp.asarray(config.feedback_weight, jnp.float32),
    )


def _as_read(given: Relations, config: ProgramsConfig) -> Relations:
    """What of it the configuration lets the method read."""
    nothing = jnp.zeros((), jnp.float32)
    read = given
    if config.method != "grc" or config.priors in ("embeddings", "none"):
        few = None if given.confidence is None else given.confidence[:0]
        read = dataclasses.replace(
            read,
            source=given.source[:0],
            target=given.target[:0],
            confidence=few,
            interaction_weight=nothing,
        )
    if config.method == "grc" and config.priors in ("interactions", "none"):
        blank = jnp.zeros_like(given.unit[:, :1])
        read = dataclasses.replace(read, unit=blank, semantic_weight=nothing)
    return read


def _runs(
    relations: Relations,
    config: ProgramsConfig,
    start: Int[Array | np.ndarray, " genes"] | None,
    key: PRNGKeyArray,
) -> Alternation:
    """Every start and where it led, along a leading axis."""
    genes, clusters = relations.unit.shape[0], config.clusters
    if config.method != "grc":
        labels = _baseline(relations, config.method, clusters, config.starts, key=key)
        return jax.tree.map(lambda leaf: leaf[None], unmoved(relations, labels, clusters))
    options: dict[str, Any] = {
        "clusters": clusters,
        "rounds": config.rounds,
        "epsilon": config.epsilon,
        "iterations": config.iterations,
        "threshold": config.threshold,
        "rounding": config.rounding,
        "bounds": size_bounds(genes, clusters, config.tolerance) if config.tolerance else None,
    }
    if start is not None:
        return _alternations(relations, jnp.asarray(start, jnp.int32)[None], **options)
    embedded = config.priors in ("both", "embeddings")
    many = config.starts if config.select != "kmeans" else 1
    if config.priors == "none" and relations.errors is None:
        labels = _random_starts(genes, clusters, many, key=key)
        return jax.vmap(lambda one: unmoved(relations, one, clusters))(labels)
    options |= {"tries": config.starts, "components": config.start_components}
    return _from_scratch(relations, key, embedded=embedded, many=many, **options)


@functools.partial(jax.jit, static_argnames=("method", "clusters", "starts"))
def _baseline(relations: Relations, method: str, clusters: int, starts: int, *, key: PRNGKeyArray):
    """Labels of the ablations that do not alternate (Table 6a)."""
    genes = relations.unit.shape[0]
    if method == "order":
        return _blocks(genes, clusters)
    labels = ot.kmeans_labels(relations.unit, clusters, starts=starts, key=key)
    if method == "kmeans":
        return labels
    # Filled once from the final centroids, the nearest pairs of gene and program first.
    cost = semantic_cost(relations.unit, centroids(relations.unit, labels, clusters))
    return round_to_capacities(-cost, cost, balanced_capacities(labels, clusters))


@functools.partial(
    jax.jit,
    static_argnames=(
        *("clusters", "rounds", "iterations", "rounding", "bounds"),
        *("embedded", "many", "tries", "components"),
    ),
)
def _from_scratch(
    relations, key, *, embedded, many, tries, components, clusters, **options
) -> Alternation:
    """k-means, transport and rounding from every start, in one compiled call."""
    if not embedded:
        starts = _random_starts(relations.unit.shape[0], clusters, many, key=key)
    else:
        points = leading_components(relations.unit, components, key=jr.fold_in(key, 2**31))
        if many == 1:
            starts = ot.kmeans_labels(points, clusters, starts=tries, key=key)[None]
        else:
            one = lambda key: ot.kmeans_labels(points, clusters, starts=1, key=key)
            starts = lax.map(one, jr.split(key, many))
    return _alternations(relations, starts, clusters=clusters, **options)


def _alternations(relations: Relations, starts: Int[Array, "starts genes"], *, clusters, **options):
    """One `vmap` over the starts, or several where that would not fit in memory."""
    at_once = max(1, min(len(starts), _AT_ONCE // (starts.shape[1] * clusters)))
    run = lambda start: alternate(relations, start, clusters=clusters, **options)
    return lax.map(run, starts, batch_size=at_once)


def _blocks(genes: int, clusters: int) -> Int[Array, " genes"]:
    """Balanced blocks of neighbouring genes."""
    sizes = np.full(clusters, genes // clusters) + (np.arange(clusters) < genes % clusters)
    return jnp.asarray(np.repeat(np.arange(clusters), sizes), jnp.int32)


def _random_starts(genes: int, clusters: int, starts: int, *, key: PRNGKeyArray):
    shuffle = lambda key: jr.permutation(key, _blocks(genes, clusters))
    return jax.vmap(shuffle)(jr.split(key, starts))


def _not_converged(error: float, epsilon: float, config: ProgramsConfig) -> RuntimeError:
    """The error of a plan that missed its marginals."""
    return RuntimeError(
        f"Gene-Relation Clustering: a transport plan missed its marginals by {error:.2g} after "
        f"{config.iterations} iterations; {config.threshold:.2g} is accepted. Raise `iterations` "
        f"or epsilon={epsilon:.2g} (of soft programs: `temperature`), or pass `throw=False`."
    )
