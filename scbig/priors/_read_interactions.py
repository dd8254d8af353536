"""Interaction graphs from two-column tables and from STRING's own files."""

import os
import pathlib
import re
from typing import Any

import numpy as np

from ._interactions import InteractionGraph
from ._names import examples, format_of, open_text

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
    header: bool | None = None,
) -> InteractionGraph:
    """Reads undirected interactions between gene symbols; all files also as gz.

    Two forms, told apart by the first line:

    - a table with a gene symbol in each of two `columns` (csv; tsv and txt with tabs), of which
      every row is an edge;
    - STRING's `*.protein.links.*` (`protein1 protein2 ... combined_score`, spaces), together with
      `info`, its `*.protein.info.*`, which names the proteins.

    **Arguments:** `path`; `info`; `threshold`, the least `combined_score` (0 to 1000) of a STRING
    link that is kept; `columns` of a table, as positions or as header names; `header`, whether a
    table's first row is one (`None`: if it reads like one, such as `gene1 gene2`).

    **Raises:** `FileNotFoundError`; `ValueError` for another format, STRING links without `info`,
    and proteins that `info` does not name.
    """
    path = pathlib.Path(path)
    suffix = format_of(path, _FORMATS, "interactions")
    with open_text(path) as lines:
        head = lines.readline().rstrip("\r\n")
    try:
        if head.split(" ")[:2] == ["protein1", "protein2"]:
            return _string_links(path, head.split(" "), info, threshold)
        if info is not None:
            raise ValueError(
                "info= belongs to STRING links, whose first line is `protein1 protein2 ... "
                f"combined_score`; this file begins with {head[:60]!r}."
            )
        return _pairs(path, head, "," if suffix == ".csv" else "\t", columns, header)
    except ValueError as error:  # pyarrow's parse errors are ValueErrors too
        raise ValueError(f"{path}: {error}") from error


def _pairs(
    path: pathlib.Path,
    head: str,
    delimiter: str,
    columns: tuple[int | str, int | str],
    header: bool | None,
) -> InteractionGraph:
    import pyarrow as pa
    import pyarrow.csv as csv

    cells = [cell.strip('"') for cell in head.split(delimiter)]
    first, second = (_position(column, cells) for column in columns)
    if first == second:
        raise ValueError(f"columns {columns} are the same one; an edge has two ends.")
    named = any(isinstance(column, str) for column in columns)
    if header is None:
        header = named or all(_HEADER.fullmatch(cells[end]) for end in (first, second))
    wanted = [f"f{first}", f"f{second}"]
    table = csv.read_csv(
        path,
        read_options=csv.ReadOptions(skip_rows=int(header), autogenerate_column_names=True),
        parse_options=csv.ParseOptions(delimiter=delimiter),
        convert_options=csv.ConvertOptions(
            include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string())
        ),
    )
    return InteractionGraph(
        tuple(table[wanted[0]].to_pylist()), tuple(table[wanted[1]].to_pylist())
    )


def _position(column: int | str, cells: list[str]) -> int:
    known = column in cells if isinstance(column, str) else 0 <= column < len(cells)
    if not known:
        raise ValueError(
            f"no column {column!r}; the first line has {len(cells)}: {examples(cells)}. An edge "
            "is two columns of gene symbols, with commas in .csv and tabs in .tsv and .txt."
        )
    return cells.index(column) if isinstance(column, str) else column


def _string_links(
    path: pathlib.Path, head: list[str], info: str | os.PathLike[str] | None, threshold: int
) -> InteractionGraph:
    import pyarrow.compute as pc

    if info is None:
        raise ValueError(
            "these are STRING links between protein identifiers; pass info= with the "
            "protein.info file of the same version, which has the gene symbols."
        )
    if not (threshold == 0 or 1 < threshold <= 1000):
        raise ValueError(f"STRING scores lie in 0 to 1000 (0.7 is 700); got threshold={threshold}.")
    if "combined_score" not in head:
        raise ValueError(f"STRING links without a column combined_score; found {examples(head)}.")
    links = _links_above(path, threshold)
    names = _protein_names(pathlib.Path(info))
    ends, unknown = [], []
    for column in ("protein1", "protein2"):
        row = pc.index_in(links[column], value_set=names[0])  # pyright: ignore[reportAttributeAccessIssue]
        unknown += pc.unique(links[column].filter(pc.is_null(row))).to_pylist()  # pyright: ignore[reportAttributeAccessIssue]
        ends.append(names[1].take(row))
    if unknown:
        unknown = sorted(set(unknown))
        raise ValueError(
            f"{len(unknown)} proteins are not in {info}: {examples(unknown)}. Take the links and "
            "the info of the same STRING version and species."
        )
    score = links["combined_score"].to_numpy().astype(np.float32)
    return InteractionGraph(tuple(ends[0].to_pylist()), tuple(ends[1].to_pylist()), score)


def _links_above(path: pathlib.Path, threshold: int) -> Any:
    """The links with at least this score; read in pieces, as the whole file has 14 M lines."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as csv

    types = {"protein1": pa.string(), "protein2": pa.string(), "combined_score": pa.int32()}
    pieces, largest = [], 0
    with csv.open_csv(
        path,
        parse_options=csv.ParseOptions(delimiter=" ", quote_char=False),
        convert_options=csv.ConvertOptions(include_columns=list(types), column_types=types),
    ) as reader:
        for piece in reader:
            largest = max(largest, pc.max(piece["combined_score"]).as_py() or 0)  # pyright: ignore[reportAttributeAccessIssue]
            pieces.append(piece.filter(pc.field("combined_score") >= threshold))
    links = pa.Table.from_batches(pieces)
    if not len(links):
        raise ValueError(f"no link has combined_score >= {threshold}; the largest is {largest}.")
    return links


def _protein_names(path: pathlib.Path) -> tuple[Any, Any]:
    """Protein identifiers and preferred names, the first two columns of `protein.info`."""
    import pyarrow as pa
    import pyarrow.csv as csv

    format_of(path, _FORMATS, "STRING protein info")
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
    return identifiers, names
