"""What every audit needs: tables that are about the same genes, in the same order."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from scbig.priors import AlignedGraph, PathwayMembership
from scbig.programs import AbstractPartition, GenePartition, check_edges


def require_names(partition: AbstractPartition, genes: Sequence[str]) -> None:
    """Raises `ValueError` unless there is one distinct name for each gene of a hard partition."""
    if not isinstance(partition, GenePartition):
        raise ValueError(
            "Programs that share genes cannot be audited; take each gene's largest share: "
            "`GenePartition.from_labels(partition.labels, partition.clusters)`."
        )
    if isinstance(genes, str) or len(genes) != partition.num_genes:
        raise ValueError(
            f"The partition has {partition.num_genes} genes, but {len(genes)} names were given. "
            "Pass the names of exactly the genes that were clustered, in their order."
        )
    repeated = [name for name, count in Counter(genes).items() if count > 1]
    if repeated:
        raise ValueError(
            f"Gene names must be unique; {len(repeated)} occur more than once: {repeated[:5]}."
        )


def require_membership(membership: PathwayMembership, genes: Sequence[str]) -> None:
    """Raises `ValueError` for sets aligned to other genes, so far as what they lack betrays it."""
    sets, columns = membership.matrix.shape
    if not sets:
        raise ValueError("The membership has no sets: there is nothing to test.")
    if columns != len(genes):
        raise ValueError(
            f"The pathways are aligned to {columns} genes, but the partition has {len(genes)}. "
            "Align the library to the partition's genes: `library.align(genes)`."
        )
    known = membership.matrix.any(axis=0)
    _require_missing("pathways", "library.align", known, membership.coverage.missing, genes)


def require_graph(graph: AlignedGraph, genes: Sequence[str]) -> None:
    """Raises `ValueError` for interactions aligned to other genes, as for sets."""
    known = np.zeros(graph.coverage.total, bool)
    if len(known) != len(genes):
        raise ValueError(
            f"The interactions are aligned to {len(known)} genes, but the partition has "
            f"{len(genes)}. Align the graph to the partition's genes: `graph.align(genes)`."
        )
    known[graph.source] = True
    _require_missing("interactions", "graph.align", known, graph.coverage.missing, genes)


def _require_missing(what, how, known, missing, genes) -> None:
    """A prior keeps the names that it does not know: they betray genes in another order."""
    unknown = [gene for gene, covered in zip(genes, known, strict=True) if not covered]
    strange = [name for name in unknown if name not in set(missing)]
    if strange or len(unknown) != len(missing):
        raise ValueError(
            f"The {what} were aligned to other genes, or to these in another order: {len(strange)} "
            f"of {len(genes)} genes are unknown here and known there, such as {strange[:5]}. Align "
            f"to the partition's genes: `{how}(genes)`."
        )


def undirected(
    source: Int[np.ndarray, " edges"], target: Int[np.ndarray, " edges"], genes: int
) -> tuple[Int[np.ndarray, " interactions"], Int[np.ndarray, " interactions"]]:
    """Each interaction once, from a list that has it in both directions.

    **Raises:** `ValueError` for a gene outside [0, genes), and for self-loops, repetitions and
    edges without their reverse: counts of such a list would mean something else.
    """
    source, target = source.astype(np.int64), target.astype(np.int64)
    check_edges(source, target, genes)
    once = source < target
    return source[once], target[once]
