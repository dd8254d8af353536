"""Edge lists: tables of which two columns hold the genes, and perhaps one a score."""

import itertools
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from scbig._names import examples

from ._border import unpacking
from ._interactions import InteractionGraph
from ._layout import Layout, is_number, layout_of

# Not one of these is a gene symbol; an open pattern such as `to.` would swallow TOB1 and TOX.
_END = re.compile(
    r"#?(source|target|from|to|(gene|protein|node|symbol|interactor)[ _.]?(name|symbol|id)?"
    r"[ _.]?[12ab]?)",
    re.IGNORECASE,
)
_SYMBOL = re.compile(
    r"(source|target|gene|interactor|protein).*symbol|symbol.*interactor|symbol[ _.]?[12ab]$",
    re.IGNORECASE,
)
_SCORE = re.compile(
    r"#?(combined[ _.]?|confidence[ _.]?|interaction[ _.]?)?(score|confidence)", re.IGNORECASE
)
_STRINGS = 1000.0
"""What STRING multiplies a confidence by."""
_PERCENT = 100.0
"""Whole numbers up to here are as well percents."""

Place = int | str


def edge_list(
    path: pathlib.Path,
    suffix: str,
    *,
    columns: tuple[Place, Place] | None,
    score: Place | None,
    threshold: int | None,
    header: bool | None,
) -> InteractionGraph:
    """The edges of a table, as `read_interactions` is asked for them.

    **Raises:** `ValueError` for columns that are absent or cannot be told, and for a threshold
    without a score.
    """
    layout = layout_of(path, suffix, blanks=suffix != ".csv")
    asked = [*(columns or ()), *([] if score is None else [score])]
    places = [_position(column, layout) for column in asked]
    if len(set(places)) < len(places):
        raise ValueError(f"columns {tuple(asked)} are the same one; an edge has two ends.")
    if header is None:
        header = any(isinstance(column, str) for column in asked) or _has_header(layout)
    values = _read(path, layout, header)
    scored = None if score is None else places[-1]
    ends = tuple(places[:2]) if columns else _ends(values, layout, header, scored)
    if score is None:
        scored = _scored(layout, header, ends)
    first, second = (values[place].to_pylist() for place in ends)
    confidence, scale = None, ""
    if scored is not None:
        confidence, scale = _confidence(values[scored].to_pylist(), layout, given=score is not None)
    name = lambda place: repr(layout.head[place] if header else place)
    note = f"genes in the columns {name(ends[0])} and {name(ends[1])}"
    if scored is not None:
        note += f", {'confidence' if confidence is not None else 'none'} in {name(scored)}{scale}"
    graph = InteractionGraph(tuple(first), tuple(second), confidence, note=note)
    return graph if threshold is None else _above(graph, threshold)


def _above(graph: InteractionGraph, threshold: int) -> InteractionGraph:
    check_threshold(threshold)
    if graph.score is None:
        raise ValueError(
            f"threshold={threshold} needs scores, and no column is named score or confidence and "
            f"has nothing but confidences ({graph.note}): say which one it is (score=), or leave "
            "the threshold out."
        )
    return graph.above(max(threshold / _STRINGS, float(np.finfo(np.float32).tiny)))


def check_threshold(threshold: int) -> None:
    """Raises unless it is one of STRING's, from 0 to 1000."""
    if not (threshold == 0 or 1 < threshold <= _STRINGS):
        raise ValueError(f"STRING scores lie in 0 to 1000 (0.7 is 700); got threshold={threshold}.")


def _position(column: Place, layout: Layout) -> int:
    cells = layout.head
    known = column in cells if isinstance(column, str) else 0 <= column < len(cells)
    if not known:
        raise ValueError(
            f"no column {column!r}; the first line has {len(cells)}, divided by {layout.words}: "
            f"{examples(cells)}. An edge is two columns of gene symbols."
        )
    return cells.index(column) if isinstance(column, str) else column


def _has_header(layout: Layout) -> bool:
    """Whether the first line reads like the names of columns."""
    heads = [cell.strip() for cell in layout.head]
    if any(_END.fullmatch(head) or _SCORE.fullmatch(head) for head in heads):
        return True
    numbers = [place for place in range(len(heads)) if layout.holds_numbers(place)]
    # An index has no name, and it comes first; elsewhere an empty cell is one that lacks a number.
    unnamed = 0 in numbers and not heads[0]
    return unnamed or any(not is_number(heads[place]) for place in numbers)


def _read(path: pathlib.Path, layout: Layout, header: bool) -> list[Any]:
    """All columns, as texts."""
    import pyarrow as pa
    import pyarrow.csv as csv

    names = [f"f{place}" for place in range(len(layout.rows[0]))]
    kinds = pa.dictionary(pa.int32(), pa.string())
    with unpacking(path):
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(
                skip_rows=layout.skipped + int(header), column_names=names
            ),
            parse_options=csv.ParseOptions(delimiter=layout.delimiter),
            convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, kinds)),
        )
    return [table[name].unify_dictionaries().combine_chunks() for name in names]


def _ends(
    values: Sequence[Any], layout: Layout, header: bool, scored: int | None
) -> tuple[int, int]:
    """The two columns that hold genes: so called, or of text, and of the same kind of names."""
    symbols = [place for place, cell in enumerate(layout.head) if _SYMBOL.search(cell)]
    # OmniPath has accessions as source and target, and the symbols beside them.
    if header and len(symbols) == 2:
        return symbols[0], symbols[1]
    named = [place for place, cell in enumerate(layout.head) if _END.fullmatch(cell.strip())]
    if header and len(named) == 2:
        return named[0], named[1]
    others = [place for place in range(len(values)) if place != scored]
    text = [place for place in others if not layout.holds_numbers(place)]
    if len(text) == 2 or len(others) == 2:
        first, second = text if len(text) == 2 else others
        return first, second
    if len(text) < 2:
        raise ValueError(
            f"{len(text)} of {len(values)} columns hold text, and an edge is two columns of gene "
            "symbols. A matrix of genes by genes, or row numbers in place of names, is no edge "
            "list: write one row for each pair, with both names."
        )
    # The names of both ends are of one kind: they have many in common.
    known = {place: set(_texts(values[place])) for place in text}
    shared = {
        pair: len(known[pair[0]] & known[pair[1]]) for pair in itertools.combinations(text, 2)
    }
    (best, most), (_, next_) = sorted(shared.items(), key=lambda item: -item[1])[:2]
    if most <= 2 * next_:
        cells = examples([layout.head[place] for place in text], most=10)
        raise ValueError(
            f"{len(text)} columns hold text, and which two are the genes cannot be told; the first "
            f"line has {cells}. Name them: columns=."
        )
    return best


def _texts(column: Any) -> list[str]:
    return [name for name in column.dictionary.to_pylist() if name]


def _scored(layout: Layout, header: bool, ends: tuple[int, ...]) -> int | None:
    """The column of numbers whose header says that it is a score."""
    if not header:
        return None
    places = [
        place
        for place, cell in enumerate(layout.head)
        if _SCORE.fullmatch(cell.strip()) and layout.holds_numbers(place) and place not in ends
    ]
    return places[0] if len(places) == 1 else None


def _confidence(
    texts: Sequence[str | None], layout: Layout, *, given: bool
) -> tuple[Float32[np.ndarray, " edges"] | None, str]:
    """Scores as confidences in (0, 1], and what was done to them, in words.

    **Arguments:** `given`, whether it was said that they are confidences: else whole numbers up to
    1000 are STRING's, and what fits neither is no confidence.
    """
    values = np.array([_number(text, layout) for text in texts])
    if given:
        return values.astype(np.float32), ""
    if np.all((values > 0) & (values <= 1)):
        return values.astype(np.float32), ""
    whole = np.all((values > 0) & (values <= _STRINGS) & (values == np.rint(values)))
    if whole and values.max() > _PERCENT:
        return (values / _STRINGS).astype(np.float32), " (of 1000)"
    odd = int(np.flatnonzero(~((values > 0) & (values <= 1)))[0])
    return None, f": {texts[odd]!r} in row {odd + 1} is none in (0, 1], nor are all of 1000"


def _number(text: str | None, layout: Layout) -> float:
    if not text:
        return float("nan")
    try:
        return float(text.replace(",", ".") if layout.decimal == "," else text)
    except ValueError as error:
        raise ValueError(f"invalid value {text!r} in the column of scores.") from error
