"""Interaction graphs from tables of edges and from STRING's own files."""

import os
import pathlib

from ._border import format_of, open_text
from ._interactions import InteractionGraph, cached_graph
from ._layout import TEXT
from ._read_edges import Place, edge_list
from ._read_string import string_links

_USUAL = 700
"""STRING's own word for a confidence that is high."""


def read_interactions(
    path: str | os.PathLike[str],
    *,
    info: str | os.PathLike[str] | None = None,
    threshold: int | None = None,
    columns: tuple[Place, Place] | None = None,
    score: Place | None = None,
    header: bool | None = None,
    cache: str | os.PathLike[str] | None = None,
) -> InteractionGraph:
    """Reads undirected interactions between gene symbols; all files also as gz.

    Two forms, told apart by the first line:

    - a table of edges with a gene symbol in each of two columns, and perhaps a confidence in a
      third: tabs, commas, semicolons or (in txt and tsv) blanks between them, decimal points or
      commas;
    - STRING's `*.protein.links.*` (`protein1 protein2 ... combined_score`, spaces), together with
      `info`, its `*.protein.info.*`, which names the proteins. Only the links above `threshold`
      are ever in memory; both directions of a link become one edge, sorted as `info` is, whose
      confidence is `combined_score / 1000`.

    **Arguments:** `path`; `info`; `threshold`, the least confidence of an edge that is kept, times
    1000 as STRING writes it: 700 for STRING's links, all for a table
    (`InteractionGraph.above` raises it later); `columns`, those of a table with the genes, as
    positions or as header names, by default those that are called so (`gene1`, `source`, ...), or
    the two of text whose names are of one kind; `score`, the column of confidences in (0, 1], by
    default one called `score`, `combined_score` or `confidence` (also whole numbers to 1000);
    `header`, whether a table's first row is one (`None`: if it reads like one); `cache`, a folder
    that keeps what was read as parquet beside a checksum, for the next call with the same contents
    of the files and the same options.

    **Returns:** the edges: of a table in its order, of STRING's links sorted. `note` says which
    columns were taken.

    **Raises:** `FileNotFoundError`; `ValueError` for another format, columns that cannot be told,
    a threshold without scores, STRING links without `info`, proteins that `info` does not name,
    scores outside (0, 1], and a damaged cache.
    """
    path = pathlib.Path(path)
    suffix = format_of(path, TEXT, "interactions")
    names = None if info is None else pathlib.Path(info)
    if names is not None:
        format_of(names, TEXT, "STRING protein info")

    def read() -> InteractionGraph:
        try:
            return _read(path, suffix, names, threshold, columns, score, header)
        except ValueError as error:  # pyarrow's parse errors are ValueErrors too
            raise ValueError(f"{path}: {error}") from error

    if cache is None:
        return read()
    options = {"suffix": suffix, "threshold": threshold, "columns": columns, "score": score}
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
    threshold: int | None,
    columns: tuple[Place, Place] | None,
    score: Place | None,
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
        return string_links(path, head.split(" "), info, _USUAL if threshold is None else threshold)
    if info is not None:
        raise ValueError(
            "info= belongs to STRING links, whose first line is `protein1 protein2 ... "
            f"combined_score`; this file begins with {head[:60]!r}."
        )
    asked = {"columns": columns, "score": score, "threshold": threshold, "header": header}
    return edge_list(path, suffix, **asked)
