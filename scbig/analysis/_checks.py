"""What every audit needs: tables that are about the same genes, in the same order."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from scbig._names import examples
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
            f"Gene names must be unique; {len(repeated)} occur more than once: "
            f"{examples(repeated)}."
        )


def require_membership(membership: PathwayMembership, genes: Sequence[str]) -> None:
    """Raises `ValueError` unless the sets were aligned to these genes, in this order."""
    if not membership.names:
        raise ValueError("The membership has no sets: there is nothing to test.")
    _require_same("pathways", "library.align", membership.genes, genes)


def require_graph(graph: AlignedGraph, genes: Sequence[str]) -> None:
    """Raises `ValueError` unless the interactions were aligned to these genes, in this order."""
    _require_same("interactions", "graph.align", graph.genes, genes)


def _require_same(what: str, how: str, found: Sequence[str], genes: Sequence[str]) -> None:
    if len(found) != len(genes):
        raise ValueError(
            f"The {what} are aligned to {len(found)} genes, but the partition has {len(genes)}. "
            f"Align to the partition's genes: `{how}(genes)`."
        )
    strange = [one for one, other in zip(found, genes, strict=True) if one != other]
    if strange:
        raise ValueError(
            f"The {what} were aligned to other genes, or to these in another order: {len(strange)} "
            f"of {len(genes)} are not where they should be, such as {examples(strange)}. Align to "
            f"the partition's genes: `{how}(genes)`."
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
