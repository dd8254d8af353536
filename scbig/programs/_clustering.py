"""What every way of making gene programs is, and the host entry that checks its input."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .._errors import NumericalFailure
from .._typing import Array, Float, Int, PRNGKeyArray, Scalar
from .._value import Value
from ..data import Screen
from ._checks import check_inputs
from ._cost import Alternation, Relations, unit_rows, unmoved
from ._features import Pretrained
from ._partition import AbstractPartition, GenePartition


class NotConverged(NumericalFailure):
    """A plan missed its marginals by more than is accepted."""


class Clustering(eqx.Module):
    """Gene programs, and how they were reached."""

    partition: AbstractPartition
    mean_cost: Scalar
    """Mean cost (Eq. 1, at equal weights) of a gene in its own (hard) program, by all that was
    given, whatever part of it the method reads: variants can be compared by it."""
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
        best = jnp.where(self.chosen < 0, jnp.argmin(self.runs.mean_cost[:, -1]), self.chosen)
        return jax.tree.map(lambda leaf: leaf[best], self.runs)

    def agreement(self) -> Float[np.ndarray, "starts starts"]:
        """Adjusted Rand index between the programs of every two starts."""
        from ._selection import rand_indices

        return rand_indices(np.asarray(self.runs.labels))


class AbstractClustering(Value):
    """A way of making gene programs; `cluster_genes` checks what it is given.

    A class says in `reads` which priors it needs: `"genes"` (embeddings), `"interactions"`.
    """

    @property
    def reads_confidence(self) -> bool:
        """Whether interactions must have a confidence."""
        return False

    @property
    def updates(self) -> int:
        """How often the programs are updated by a trained model's errors (Table 6b)."""
        return 0

    def features_of(
        self, screen: Screen, embeddings: Float[np.ndarray, "genes embedding"] | None
    ) -> Float[np.ndarray, "genes features"]:
        """A row for each gene, by which genes are compared: by default its embedding.

        **Arguments:** `screen`, the training cells; `embeddings`, pretrained, of its genes, `None`
        if this class does not need them.
        """
        return Pretrained()(screen, embeddings)

    @abc.abstractmethod
    def cluster(
        self,
        relations: Relations,
        *,
        start: Int[Array, " genes"] | None = None,
        throw: bool = True,
        key: PRNGKeyArray,
    ) -> Clustering:
        """Returns the programs; `labelled` makes them of a label for each gene.

        **Arguments:** `relations`, what is known of the genes, at equal weights; `start`, programs
        to go on from, for methods that can; `throw`, whether a failure is an error or a flag.
        """


def labelled(relations: Relations, labels: Int[Array, " genes"], clusters: int) -> Clustering:
    """The programs of a label for each gene, in `[0, clusters)`."""
    runs = jax.tree.map(lambda leaf: leaf[None], unmoved(relations, labels, clusters))
    return choose(relations, GenePartition.from_labels(labels, clusters), runs, 0)


def choose(
    relations: Relations, partition: AbstractPartition, runs: Alternation, chosen: int
) -> Clustering:
    """Programs with the runs behind them, of which one was chosen."""
    return Clustering(
        partition=partition,
        mean_cost=relations.mean_cost(partition.labels, partition.clusters),
        runs=runs,
        chosen=jnp.asarray(chosen, jnp.int32),
    )


def require_room(owner: AbstractClustering, clusters: int, relations: Relations) -> None:
    """Raises a `ValueError` if there are more programs than genes."""
    genes = relations.num_genes
    if clusters > genes:
        raise ValueError(
            f"{type(owner).__name__}: every program needs at least one gene: got {clusters} "
            f"clusters for {genes} genes. Choose 1 <= clusters <= {genes}."
        )


def cluster_genes(
    embeddings: Float[Array | np.ndarray, "genes features"],
    source: Int[Array | np.ndarray, " edges"],
    target: Int[Array | np.ndarray, " edges"],
    clustering: AbstractClustering,
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
    - `clustering`: how programs are made: `GRC()`, `KMeans()`, `FileOrder()` or one's own.
    - `confidence`: of each interaction, in (0, 1], for a clustering that reads it.
    - `errors`: a trained model's error for each gene and training condition, to update the
        programs by (Table 6b).
    - `start`: labels to go on from, instead of the clustering's own start.
    - `throw`: whether a plan that did not converge is an error, or only a flag of the result.
    - `key`: of the starts, the only random part: on one device the same key gives the same
        programs (on a GPU with XLA's deterministic operations, as sums over interactions are
        otherwise in any order).

    **Raises:** `ValueError` for input that has no answer, `NotConverged` for a plan that missed
    its marginals.
    """
    host = lambda x: None if x is None else np.asarray(x)
    edges = np.asarray(source), np.asarray(target)
    given = {"confidence": host(confidence), "errors": host(errors), "start": host(start)}
    check_inputs(np.asarray(embeddings), *edges, **given)
    if clustering.reads_confidence and confidence is None:
        raise ValueError(
            "confidence=True needs the confidence of each interaction, which this graph does not "
            "have. Read a graph with scores, or choose confidence=False."
        )
    one = jnp.ones((), jnp.float32)
    relations = Relations(
        unit=unit_rows(jnp.asarray(embeddings, jnp.float32)),
        source=jnp.asarray(edges[0], jnp.int32),
        target=jnp.asarray(edges[1], jnp.int32),
        semantic_weight=one,
        interaction_weight=one,
        confidence=None if confidence is None else jnp.asarray(confidence, jnp.float32),
        errors=None if errors is None else unit_rows(jnp.asarray(errors, jnp.float32)),
        error_weight=None if errors is None else one,
    )
    own = None if start is None else jnp.asarray(start, jnp.int32)
    return clustering.cluster(relations, start=own, throw=throw, key=key)
