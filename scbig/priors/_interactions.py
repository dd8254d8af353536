"""Interactions between genes: an edge list of names, each with a confidence where it is known."""

import hashlib
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, Int32, Int64

from scbig._files import atomic
from scbig._names import tidied

from ._border import Coverage, content_checksum, distinct, no_overlap
from ._gene_names import rename_genes

_WHAT = "interactions"
_CACHE_VERSION = 1  # of what is kept and how: raise it, and older entries are no longer found


@dataclass(frozen=True, eq=False)
class AlignedGraph:
    """The interactions among the genes that were asked for, as positions in that list.

    `genes` is that list. Each edge is there in both directions, once; sorted by source, then
    target. `coverage` counts the genes with at least one edge. `weight` is the confidence of each
    edge, in (0, 1]; where the source gives none, `weighted` is false and every weight is 1.
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
    `combined_score` divided by 1000; `note`, how they were read, for a report.

    **Raises:** `ValueError` for no edges, ends without a name, and scores outside (0, 1].
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    score: Float32[np.ndarray, " edges"] | None = None
    note: str = ""

    def __post_init__(self) -> None:
        scores = len(self.first) if self.score is None else len(self.score)
        if not len(self.first) == len(self.second) == scores:
            raise ValueError(
                f"{_WHAT}: both ends (and the scores) of each edge are needed; got "
                f"{len(self.first)} first ends, {len(self.second)} second ends, {scores} scores."
            )
        if not self.first:
            raise ValueError(f"{_WHAT}: no edges.")
        for end in ("first", "second"):
            object.__setattr__(self, end, tidied(getattr(self, end)))
        if "" in self.first or "" in self.second:
            ends = zip(self.first, self.second, strict=True)
            blank = [edge for edge, pair in enumerate(ends) if "" in pair]
            raise ValueError(
                f"{_WHAT}: {len(blank)} edges lack the name of an end, the first at position "
                f"{blank[0]} (counted from 0). Drop those rows."
            )
        if self.score is not None:
            _require_confidence(self.score)

    def renamed(self, mapping: Mapping[str, str]) -> "InteractionGraph":
        """The same interactions under other gene names; see `EmbeddingTable.renamed`.

        **Arguments:** `mapping`, from this graph's names to the new ones.

        **Raises:** `ValueError` if two names would become one.
        """
        names = rename_genes((*self.first, *self.second), mapping)
        half = len(self.first)
        return InteractionGraph(names[:half], names[half:], self.score, self.note)

    @property
    def checksum(self) -> str:
        """SHA-256 (64 hexadecimal digits) of the edges and scores, in their order."""
        return content_checksum("graph", names=(self.first, self.second), values=self.score)

    def above(self, confidence: float) -> "InteractionGraph":
        """The edges of at least this confidence, so that one reading serves several thresholds.

        **Arguments:** `confidence`, in (0, 1].

        **Returns:** the edges that are left, in their order, with their scores.

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
        note = f"{kept.sum()} of {kept.size} edges of at least {confidence:g}"
        notes = [self.note] * bool(self.note) + [note]
        return InteractionGraph(first, second, self.score[kept], "; ".join(notes))

    def align(self, genes: Sequence[str], *, allow_empty: bool = False) -> AlignedGraph:
        """The edges between two of `genes`.

        An edge of a gene with itself says nothing about clusters and is left out, as are edges
        that leave `genes`; directions and repetitions do not matter, and a pair with several
        scores has the largest.

        **Arguments:** `genes`, distinct names; `allow_empty`, whether there may be no edge.

        **Returns:** the edges as positions in `genes`, with their weights and the coverage.

        **Raises:** `ValueError` if no gene occurs in the graph at all, or no two have an edge and
        that is not allowed.
        """
        genes = distinct(genes, "genes")
        row = {gene: position for position, gene in enumerate(genes)}
        first, second = _rows(self.first, row), _rows(self.second, row)
        if max(first.max(), second.max()) < 0:
            raise no_overlap(_WHAT, genes, tuple(dict.fromkeys(self.first + self.second)))
        inside = (first >= 0) & (second >= 0) & (first != second)
        if not inside.any() and not allow_empty:
            known = len({*first.tolist(), *second.tolist()} - {-1})
            read = f" They were read with {self.note}." if self.note else ""
            raise ValueError(
                f"{_WHAT}: {known} of the {len(genes)} genes are named in the {len(first)} edges, "
                f"and no two of them have one between them.{read} Take interactions of these "
                "genes, name the columns that hold the two genes of each, or choose gene programs "
                "that need none."
            )
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
            genes,
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
    hint = (
        "They look like scores of another range: divide them by its largest value, STRING's "
        "combined_score by 1000."
        if np.nanmax(score[wrong], initial=0) > 1
        else "Remove these edges, or give each a confidence."
    )
    raise ValueError(
        f"{_WHAT}: {len(wrong)} of {len(score)} scores are no confidence in (0, 1], the first "
        f"{score[wrong[0]]:g} (edge {wrong[0]}, counted from 0). {hint}"
    )


def pairs_once(
    first: Int[np.ndarray, " edges"],
    second: Int[np.ndarray, " edges"],
    weight: Float32[np.ndarray, " edges"],
    *,
    nodes: int,
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"], Float32[np.ndarray, " pairs"]]:
    """Each unordered pair once: its smaller end, its larger end, the largest of its weights.

    **Arguments:** `first` and `second`, ends in 0 to `nodes` - 1; `weight` of each edge.

    **Returns:** the pairs sorted by smaller end, then by larger end.
    """
    # One integer for each pair, so that sorting is one call: about 20,000 nodes, far below 2^31.
    code = np.minimum(first, second).astype(np.int64) * nodes + np.maximum(first, second)
    order = np.argsort(code)
    code = code[order]
    begins = np.flatnonzero(np.diff(code, prepend=-1))
    low, high = np.divmod(code[begins], nodes)
    return low, high, np.maximum.reduceat(weight[order], begins)


def cached_graph(
    folder: str | os.PathLike[str],
    *,
    sources: tuple[pathlib.Path, ...],
    options: dict[str, Any],
    read: Callable[[], InteractionGraph],
) -> InteractionGraph:
    """The graph that `read` gives, from `folder` if it has it, otherwise kept there as parquet.

    An entry belongs to the contents of the `sources` (their SHA-256) and the `options`. It is
    `interactions-KEY.parquet`, columns `first`, `second` and, if there are scores, `score`, and
    beside it `interactions-KEY.parquet.sha256`, as `sha256sum --check` reads it.

    **Arguments:** `folder`; `sources`, the files that `read` reads; `options`, all else that the
    graph depends on, as JSON knows it; `read`, called only if there is no entry.

    **Raises:** `ValueError` if the entry does not match its checksum.
    """
    facts = {"version": _CACHE_VERSION, "sources": [_sha256(path) for path in sources], **options}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    path = pathlib.Path(folder) / f"interactions-{key}.parquet"
    if path.exists():
        return _load(path)
    graph = read()
    _save(graph, path)
    return graph


def _beside(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(path.name + ".sha256")


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _save(graph: InteractionGraph, path: pathlib.Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        name: pa.array(ends, pa.string()).dictionary_encode()
        for name, ends in (("first", graph.first), ("second", graph.second))
    }
    if graph.score is not None:
        columns["score"] = pa.array(graph.score)
    with atomic(path) as table:
        pq.write_table(pa.table(columns, metadata={"note": graph.note}), table, compression="zstd")
        # The checksum first: an entry that was interrupted has no parquet, and is written again.
        with atomic(_beside(path)) as beside:
            beside.write_text(f"{_sha256(table)}  {path.name}\n")


def _load(path: pathlib.Path) -> InteractionGraph:
    import pyarrow.parquet as pq

    beside = _beside(path)
    promised = beside.read_text(errors="replace").split() if beside.exists() else []
    if promised[:1] != [_sha256(path)]:
        raise ValueError(
            f"the cached interactions {path} are damaged: they do not match the SHA-256 in "
            f"{beside.name}. Remove {path} and read again; the source is then read anew."
        )
    table = pq.read_table(path).unify_dictionaries().combine_chunks()
    first, second = (_texts(table[column].chunk(0)) for column in ("first", "second"))
    score = table["score"].to_numpy() if "score" in table.column_names else None
    note = (table.schema.metadata or {}).get(b"note", b"").decode()
    return InteractionGraph(first, second, score, note)


def _texts(column: Any) -> tuple[str, ...]:
    """The texts of a dictionary-encoded column; equal ones are one Python string."""
    return tuple(
        np.array(column.dictionary.to_pylist(), object)[column.indices.to_numpy()].tolist()
    )
