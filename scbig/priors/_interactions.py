"""Interactions between genes: an edge list of names."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32

from ._coverage import Coverage
from ._names import examples, no_overlap, require_genes

_WHAT = "interactions"


@dataclass(frozen=True, eq=False)
class AlignedGraph:
    """The interactions among the genes that were asked for, as positions in that list.

    Each edge is there in both directions, once; sorted by source, then target. `coverage` counts
    the genes with at least one edge.
    """

    source: Int32[np.ndarray, " edges"]
    target: Int32[np.ndarray, " edges"]
    coverage: Coverage


@dataclass(frozen=True, eq=False)
class InteractionGraph:
    """Undirected interactions between named genes.

    **Arguments:** `first` and `second`, the two ends of each edge, in any order, repeated or not;
    `score`, the confidence of each edge, where the source gives one.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    score: Float32[np.ndarray, " edges"] | None = None

    def __post_init__(self) -> None:
        scores = len(self.first) if self.score is None else len(self.score)
        if not len(self.first) == len(self.second) == scores:
            raise ValueError(
                f"{_WHAT}: both ends (and the scores) of each edge are needed; got "
                f"{len(self.first)} first ends, {len(self.second)} second ends, {scores} scores."
            )
        if not self.first:
            raise ValueError(f"{_WHAT}: no edges.")
        ends = zip(self.first, self.second, strict=True)
        blank = [str(edge) for edge, pair in enumerate(ends) if "" in pair]
        if blank:
            raise ValueError(
                f"{_WHAT}: {len(blank)} edges lack the name of an end, at positions "
                f"{examples(blank)} (counted from 0)."
            )

    def align(self, genes: Sequence[str]) -> AlignedGraph:
        """The edges between two of `genes`.

        An edge of a gene with itself says nothing about clusters and is left out, as are edges
        that leave `genes`; directions and repetitions do not matter.

        **Arguments:** `genes`, distinct names.

        **Raises:** `ValueError` if no gene occurs in the graph at all.
        """
        import pandas as pd

        require_genes(genes)
        index = pd.Index(list(genes), dtype=object)
        ends = np.stack([index.get_indexer(list(self.first)), index.get_indexer(list(self.second))])
        if (ends < 0).all():
            raise no_overlap(_WHAT, genes, tuple(dict.fromkeys(self.first + self.second)))
        ends = ends[:, (ends >= 0).all(axis=0) & (ends[0] != ends[1])].astype(np.int64)
        # One integer for each ordered pair: sorting and removing repetitions is one call.
        codes = np.unique(ends.ravel() * len(genes) + ends[::-1].ravel())
        source, target = np.divmod(codes, len(genes))
        linked = np.zeros(len(genes), bool)
        linked[source] = True
        lonely = tuple(gene for gene, known in zip(genes, linked, strict=True) if not known)
        coverage = Coverage(_WHAT, int(linked.sum()), lonely)
        return AlignedGraph(source.astype(np.int32), target.astype(np.int32), coverage)
