"""Interactions between genes: an edge list of names, each with a confidence where it is known."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32, Int64

from ._checksum import content_checksum
from ._coverage import Coverage
from ._edges import pairs_once
from ._gene_names import rename_genes
from ._names import examples, no_overlap, require_genes

_WHAT = "interactions"


@dataclass(frozen=True, eq=False)
class AlignedGraph:
    """The interactions among the genes that were asked for, as positions in that list.

    `genes` is that list. Each edge is there in both directions, once; sorted by source, then
    target. `coverage` counts
    the genes with at least one edge. `weight` is the confidence of each edge, in (0, 1]; where the
    source gives none, `weighted` is false and every weight is 1.
    """

    genes: tuple[str, ...]
    source: Int32[np.ndarray, " edges"]
    target: Int32[np.ndarray, " edges"]
    weight: Float32[np.ndarray, " edges"]
    coverage: Coverage
    weighted: bool


@dataclass(frozen=True, eq=False)
class InteractionGraph:
    """Undirected interactions between named genes.

    **Arguments:** `first` and `second`, the two ends of each edge, in any order, repeated or not;
    `score`, the confidence of each edge in (0, 1], where the source gives one: STRING's
    `combined_score` divided by 1000.
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
        if "" in self.first or "" in self.second:
            ends = zip(self.first, self.second, strict=True)
            blank = [str(edge) for edge, pair in enumerate(ends) if "" in pair]
            raise ValueError(
                f"{_WHAT}: {len(blank)} edges lack the name of an end, at positions "
                f"{examples(blank)} (counted from 0)."
            )
        if self.score is not None:
            _require_confidence(self.score)

    def renamed(self, mapping: Mapping[str, str]) -> "InteractionGraph":
        """The same interactions under other gene names; see `EmbeddingTable.renamed`."""
        names = rename_genes((*self.first, *self.second), mapping)
        half = len(self.first)
        return InteractionGraph(names[:half], names[half:], self.score)

    @property
    def checksum(self) -> str:
        """SHA-256 (64 hexadecimal digits) of the edges and scores, in their order."""
        return content_checksum("graph", names=(self.first, self.second), values=self.score)

    def above(self, confidence: float) -> "InteractionGraph":
        """The edges of at least this confidence, so that one reading serves several thresholds.

        **Arguments:** `confidence`, in (0, 1].

        **Raises:** `ValueError` if the edges have no scores, or none remains.
        """
        if self.score is None:
            raise ValueError(
                f"{_WHAT}: these edges have no scores to compare with a confidence of "
                f"{confidence}. Read them from a source with scores: STRING's own links, or a "
                "table of which score= names the column."
            )
        if not 0 < confidence <= 1:
            raise ValueError(f"A confidence lies in (0, 1] (700 of 1000 is 0.7); got {confidence}.")
        # As float32, like the scores: otherwise an edge of 0.7 would lie below 0.7.
        kept = self.score >= np.float32(confidence)
        if not kept.any():
            raise ValueError(
                f"{_WHAT}: no edge has a confidence >= {confidence}; the largest is "
                f"{self.score.max():g}."
            )
        first, second = (
            tuple(itertools.compress(ends, kept.tolist())) for ends in (self.first, self.second)
        )
        return InteractionGraph(first, second, self.score[kept])

    def align(self, genes: Sequence[str]) -> AlignedGraph:
        """The edges between two of `genes`.

        An edge of a gene with itself says nothing about clusters and is left out, as are edges
        that leave `genes`; directions and repetitions do not matter, and a pair with several
        scores has the largest. The result may have no edges.

        **Arguments:** `genes`, distinct names.

        **Raises:** `ValueError` if no gene occurs in the graph at all.
        """
        require_genes(genes)
        row = {gene: position for position, gene in enumerate(genes)}
        first, second = _rows(self.first, row), _rows(self.second, row)
        if max(first.max(), second.max()) < 0:
            raise no_overlap(_WHAT, genes, tuple(dict.fromkeys(self.first + self.second)))
        inside = (first >= 0) & (second >= 0) & (first != second)
        score = np.ones(len(first), np.float32) if self.score is None else self.score
        low, high, weight = pairs_once(
            first[inside], second[inside], score[inside], nodes=len(genes)
        )
        source, target = np.concatenate([low, high]), np.concatenate([high, low])
        order = np.argsort(source * len(genes) + target)
        linked = np.zeros(len(genes), bool)
        linked[source] = True
        lonely = tuple(gene for gene, known in zip(genes, linked, strict=True) if not known)
        return AlignedGraph(
            tuple(genes),
            source[order].astype(np.int32),
            target[order].astype(np.int32),
            np.tile(weight, 2)[order],
            Coverage(_WHAT, int(linked.sum()), lonely),
            weighted=self.score is not None,
        )


def _rows(ends: tuple[str, ...], row: dict[str, int]) -> Int64[np.ndarray, " edges"]:
    """The position of each end; -1 where it is not asked for."""
    return np.fromiter(map(row.get, ends, itertools.repeat(-1)), np.int64, len(ends))


def _require_confidence(score: Float32[np.ndarray, " edges"]) -> None:
    wrong = np.flatnonzero(~((score > 0) & (score <= 1)))  # NaN is neither
    if not len(wrong):
        return
    shown = examples(f"{score[edge]:g} (edge {edge})" for edge in wrong)
    hint = (
        "They look like scores of another range: divide them by its largest value, STRING's "
        "combined_score by 1000."
        if np.nanmax(score[wrong], initial=0) > 1
        else "Remove these edges, or give each a confidence."
    )
    raise ValueError(
        f"{_WHAT}: {len(wrong)} of {len(score)} scores are no confidence in (0, 1]: {shown}, "
        f"counted from 0. {hint}"
    )
