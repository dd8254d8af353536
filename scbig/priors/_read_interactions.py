"""Interaction graphs from two-column tables and from STRING's own files."""

import os
import pathlib
import re

import numpy as np

from ._cache import cached_graph
from ._interactions import InteractionGraph
from ._names import examples, format_of, open_text, unpacking
from ._read_string import string_links

_FORMATS = (".csv", ".tsv", ".txt")
# Not one of these is a gene symbol; an open pattern such as `to.` would swallow TOB1 and TOX.
_HEADER = re.compile(
    r"#?(source|target|from|to|(gene|protein|node|symbol|interactor)[ _.]?(name|symbol|id)?"
    r"[ _.]?[12ab]?)",
    re.IGNORECASE,
)


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
        return string_links(path, head.split(" "), info, threshold)
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
