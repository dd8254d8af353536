"""STRING's own files: links between protein identifiers, and the names of the proteins."""

import pathlib
from typing import Any

import numpy as np
from jaxtyping import Int32

from scbig._names import examples

from ._border import distinct, format_of, unpacking
from ._interactions import InteractionGraph, pairs_once
from ._layout import TEXT
from ._read_edges import check_threshold

_BLOCK = 1 << 23  # bytes of text in one piece: some 200,000 lines of STRING's links


def string_links(
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
    check_threshold(threshold)
    if "combined_score" not in head:
        raise ValueError(f"STRING links without a column combined_score; found {examples(head)}.")
    identifiers, names = _protein_names(info)
    (first, second, score), number = _links_above(path, identifiers, threshold, info)
    note = f"{len(score)} of {number} links of at least {threshold}"
    # float64 first, so that 700 becomes the float32 nearest to 0.7.
    confidence = (score / 1000).astype(np.float32)
    # STRING lists every link in both directions.
    first, second, confidence = pairs_once(first, second, confidence, nodes=len(names))
    # An array of references: every edge of a gene shares one Python string.
    shared = np.array(names, object)
    return InteractionGraph(
        tuple(shared[first].tolist()), tuple(shared[second].tolist()), confidence, note
    )


def _links_above(
    path: pathlib.Path, identifiers: Any, threshold: int, info: pathlib.Path
) -> tuple[tuple[Int32[np.ndarray, " edges"], ...], int]:
    """Both ends as rows of `info`, and the score, of strong enough links; how many links in all."""
    import pyarrow.compute as pc

    pieces: list[tuple[Int32[np.ndarray, " links"], ...]] = []
    unknown: set[str] = set()
    largest = number = 0
    with unpacking(path), _lines(path) as reader:
        for piece in reader:
            number += piece.num_rows
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
    return tuple(np.concatenate(column) for column in zip(*pieces, strict=True)), number


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

    format_of(path, TEXT, "STRING protein info")
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
