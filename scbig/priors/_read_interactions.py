"""Interaction graphs from two-column tables and from STRING's own files."""

import os
import pathlib
import re
from typing import Any

import numpy as np
from jaxtyping import Int32

from scbig._names import examples

from ._border import distinct, format_of, open_text, unpacking
from ._interactions import InteractionGraph, cached_graph, pairs_once

_FORMATS = (".csv", ".tsv", ".txt")
# Not one of these is a gene symbol; an open pattern such as `to.` would swallow TOB1 and TOX.
_HEADER = re.compile(
    r"#?(source|target|from|to|(gene|protein|node|symbol|interactor)[ _.]?(name|symbol|id)?"
    r"[ _.]?[12ab]?)",
    re.IGNORECASE,
)
_BLOCK = 1 << 23  # bytes of text in one piece: some 200,000 lines of STRING's links


def read_interactions(
    path: str | os.PathLike[str],
    *,
    info: str | os.PathLike[str] | None = None,
    threshold: int = 700,
    columns: tuple[int | str, int | str] = (0, 1),
    score: int | str | None = None,
    header: bool | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> InteractionGraph:
    """Reads undirected interactions between gene symbols; all files also as gz.

    Two forms, told apart by the first line:

    - a table with a gene symbol in each of two `columns` (csv; tsv and txt with tabs), of which
      every row is an edge, and perhaps a confidence in (0, 1] in a third, `score`;
    - STRING's `*.protein.links.*` (`protein1 protein2 ... combined_score`, spaces), together with
      `info`, its `*.protein.info.*`, which names the proteins. Only the links above `threshold`
      are ever in memory; both directions of a link become one edge, sorted as `info` is, whose
      confidence is `combined_score / 1000`.

    **Arguments:** `path`; `info`; `threshold`, the least `combined_score` (0 to 1000) of a STRING
    link that is kept (`InteractionGraph.above` raises it later); `columns` and `score` of a table,
    as positions or as header names; `header`, whether a table's first row is one (`None`: if it
    reads like one, such as `gene1 gene2`); `cache`, a folder that keeps what was read as parquet
    beside a checksum, for the next call with the same contents of the files and the same options.

    **Returns:** the edges: of a table in its order, of STRING's links sorted.

    **Raises:** `FileNotFoundError`; `ValueError` for another format, STRING links without `info`,
    proteins that `info` does not name, scores outside (0, 1], and a damaged cache.
    """
    path = pathlib.Path(path)
    suffix = format_of(path, _FORMATS, "interactions")
    names = None if info is None else pathlib.Path(info)
    if names is not None:
        format_of(names, _FORMATS, "STRING protein info")

    def read() -> InteractionGraph:
        try:
            return _read(path, suffix, names, threshold, columns, score, header)
        except ValueError as error:  # pyarrow's parse errors are ValueErrors too
            raise ValueError(f"{path}: {error}") from error

    if cache is None:
        return read()
    options = {"suffix": suffix, "threshold": int(threshold), "columns": columns, "score": score}
    return cached_graph(
        cache,
        sources=(path,) if names is None else (path, names),
        options={**options, "header": header},
        read=read,
    )


def _read(
    path: pathlib.Path,
    suffix: str,
    info: pathlib.Path | None,
    threshold: int,
    columns: tuple[int | str, int | str],
    score: int | str | None,
    header: bool | None,
) -> InteractionGraph:
    with open_text(path) as lines:
        head = lines.readline().rstrip("\r\n")
    if head.split(" ")[:2] == ["protein1", "protein2"]:
        if score is not None:
            raise ValueError(
                f"score={score!r} belongs to other tables; STRING links have theirs in "
                "combined_score, which threshold= compares."
            )
        return _string_links(path, head.split(" "), info, threshold)
    if info is not None:
        raise ValueError(
            "info= belongs to STRING links, whose first line is `protein1 protein2 ... "
            f"combined_score`; this file begins with {head[:60]!r}."
        )
    return _pairs(path, head, "," if suffix == ".csv" else "\t", columns, score, header)


def _pairs(
    path: pathlib.Path,
    head: str,
    delimiter: str,
    columns: tuple[int | str, int | str],
    score: int | str | None,
    header: bool | None,
) -> InteractionGraph:
    import pyarrow as pa
    import pyarrow.csv as csv

    cells = [cell.strip('"') for cell in head.split(delimiter)]
    asked = columns if score is None else (*columns, score)
    places = [_position(column, cells) for column in asked]
    if len(set(places)) < len(places):
        raise ValueError(f"columns {asked} are the same one; an edge has two ends.")
    if header is None:
        named = any(isinstance(column, str) for column in asked)
        header = named or all(_HEADER.fullmatch(cells[end]) for end in places[:2])
    wanted = [f"f{place}" for place in places]
    kinds = (pa.string(), pa.string(), pa.float32())[: len(wanted)]
    with unpacking(path):
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(skip_rows=int(header), autogenerate_column_names=True),
            parse_options=csv.ParseOptions(delimiter=delimiter),
            convert_options=csv.ConvertOptions(
                include_columns=wanted, column_types=dict(zip(wanted, kinds, strict=True))
            ),
        )
    first, second, *rest = (table[name] for name in wanted)
    # A blank score is a null, which becomes NaN, which the graph refuses.
    values = rest[0].to_numpy().astype(np.float32) if rest else None
    return InteractionGraph(tuple(first.to_pylist()), tuple(second.to_pylist()), values)


def _position(column: int | str, cells: list[str]) -> int:
    known = column in cells if isinstance(column, str) else 0 <= column < len(cells)
    if not known:
        raise ValueError(
            f"no column {column!r}; the first line has {len(cells)}: {examples(cells)}. An edge "
            "is two columns of gene symbols, with commas in .csv and tabs in .tsv and .txt."
        )
    return cells.index(column) if isinstance(column, str) else column


def _string_links(
    path: pathlib.Path, head: list[str], info: pathlib.Path | None, threshold: int
) -> InteractionGraph:
    """The links of at least this `combined_score`, between preferred names, each pair once.

    **Arguments:** `path` of the links; `head`, the words of their first line; `info`, the file of
    the names; `threshold`, 0 to 1000.

    **Raises:** `ValueError` without `info`, for files that do not fit, and if no link is left.
    """
    if info is None:
        raise ValueError(
            "these are STRING links between protein identifiers; pass info= with the "
            "protein.info file of the same version, which has the gene symbols."
        )
    if not (threshold == 0 or 1 < threshold <= 1000):
        raise ValueError(f"STRING scores lie in 0 to 1000 (0.7 is 700); got threshold={threshold}.")
    if "combined_score" not in head:
        raise ValueError(f"STRING links without a column combined_score; found {examples(head)}.")
    identifiers, names = _protein_names(info)
    first, second, score = _links_above(path, identifiers, threshold, info)
    # float64 first, so that 700 becomes the float32 nearest to 0.7.
    confidence = (score / 1000).astype(np.float32)
    # STRING lists every link in both directions.
    first, second, confidence = pairs_once(first, second, confidence, nodes=len(names))
    # An array of references: every edge of a gene shares one Python string.
    shared = np.array(names, object)
    return InteractionGraph(
        tuple(shared[first].tolist()), tuple(shared[second].tolist()), confidence
    )


def _links_above(
    path: pathlib.Path, identifiers: Any, threshold: int, info: pathlib.Path
) -> tuple[Int32[np.ndarray, " edges"], Int32[np.ndarray, " edges"], Int32[np.ndarray, " edges"]]:
    """Both ends as rows of `info`, and the score, of the links with at least this score."""
    import pyarrow.compute as pc

    pieces: list[tuple[Int32[np.ndarray, " links"], ...]] = []
    unknown: set[str] = set()
    largest = 0
    with unpacking(path), _lines(path) as reader:
        for piece in reader:
            largest = max(largest, pc.max(piece["combined_score"]).as_py() or 0)  # pyright: ignore[reportAttributeAccessIssue]
            kept = piece.filter(pc.field("combined_score") >= threshold)
            ends = [kept[column] for column in ("protein1", "protein2")]
            rows = [pc.index_in(end, value_set=identifiers) for end in ends]  # pyright: ignore[reportAttributeAccessIssue]
            for end, row in zip(ends, rows, strict=True):
                unknown.update(end.filter(row.is_null()).to_pylist())
            if not unknown:
                columns = (*rows, kept["combined_score"])
                pieces.append(tuple(column.to_numpy() for column in columns))
    if unknown:
        raise ValueError(
            f"{len(unknown)} proteins are not in {info}: {examples(sorted(unknown))}. Take the "
            "links and the info of the same STRING version and species."
        )
    if not any(len(piece[0]) for piece in pieces):
        raise ValueError(f"no link has combined_score >= {threshold}; the largest is {largest}.")
    first, second, score = (np.concatenate(column) for column in zip(*pieces, strict=True))
    return first, second, score


def _lines(path: pathlib.Path) -> Any:
    """Opens the links, to be read piece by piece."""
    import pyarrow as pa
    import pyarrow.csv as csv

    types = {"protein1": pa.string(), "protein2": pa.string(), "combined_score": pa.int32()}
    return csv.open_csv(
        path,
        read_options=csv.ReadOptions(block_size=_BLOCK),
        parse_options=csv.ParseOptions(delimiter=" ", quote_char=False),
        # Nothing stands for a missing value, so that a blank score is an error.
        convert_options=csv.ConvertOptions(
            include_columns=list(types), column_types=types, null_values=[]
        ),
    )


def _protein_names(path: pathlib.Path) -> tuple[Any, list[str]]:
    """Protein identifiers and preferred names, the first two columns of `protein.info`."""
    import pyarrow as pa
    import pyarrow.csv as csv

    format_of(path, _FORMATS, "STRING protein info")
    with unpacking(path):
        table = csv.read_csv(
            path,
            # Free text in the last column may begin with a quotation mark that never closes.
            parse_options=csv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=csv.ConvertOptions(strings_can_be_null=False),
        )
    if table.num_columns < 2 or table.column_names[1] != "preferred_name":
        raise ValueError(
            f"{path} is not a STRING protein.info file: its second column must be preferred_name; "
            f"found {examples(table.column_names)}."
        )
    identifiers, names = (table[column].cast(pa.string()).combine_chunks() for column in (0, 1))
    distinct(identifiers.to_pylist(), f"the proteins of {path}")
    return identifiers, names.to_pylist()
