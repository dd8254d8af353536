"""Delimited text as people save it: what stands between two cells, and in a number."""

import csv
import itertools
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from scbig._names import alike

from ._border import open_text

TEXT = (".csv", ".tsv", ".txt")
"""Suffixes of delimited text."""
_WORDS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars", " ": "blanks"}
_LINES = 200
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?|[+-]?(nan|inf)|", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """How a text table is written.

    **Fields:** `skipped`, lines before the table; `delimiter`, between two cells;
    `decimal`, the sign in a number, a point or a comma; `head`, the cells of the first line;
    `rows`, those of some lines after it.
    """

    skipped: int
    delimiter: str
    decimal: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def words(self) -> str:
        """The delimiter in words."""
        return _WORDS[self.delimiter]

    def holds_numbers(self, place: int) -> bool:
        """Whether a column has nothing but numbers below the first line, and one at least."""
        cells = [row[place].strip() for row in self.rows if place < len(row)]
        return any(cells) and all(is_number(cell) for cell in cells)


def is_number(cell: str) -> bool:
    """Whether a cell is a number with a decimal point or comma, or empty."""
    return _NUMBER.fullmatch(cell.strip()) is not None


def layout_of(path: pathlib.Path, suffix: str, *, blanks: bool = False) -> Layout:
    """How a text file is written, from its first lines.

    The suffix proposes (commas in csv, tabs in tsv and txt); what divides every line into the same
    number of cells, two at least, decides. A first line may be one cell short, as R writes it: the
    first column then has no name. Lines that begin with `#` before it are remarks, unless the last
    of them is divided as the others are: it then is the first line.

    **Arguments:** `blanks`, whether blanks may stand between cells.

    **Raises:** `ValueError` for a file without lines, or whose lines nothing divides alike.
    """
    with open_text(path) as lines:
        read = [*enumerate(itertools.islice(lines, _LINES))]
    lines = [(place, line) for place, line in read if line.strip()]
    if not lines:
        raise ValueError("the file is empty.")
    marked = len([*itertools.takewhile(lambda line: line[1].startswith("#"), lines)])
    own = "," if suffix == ".csv" else "\t"
    order = [own, *(d for d in ("\t", ";", ",", "|") if d != own), *([" "] if blanks else [])]
    # The last remark may be the first line; one that is divided as the others are is. A first line
    # that is one cell short comes last: decimal commas divide rows too.
    starts = sorted({max(marked - 1, 0), marked})
    forms = [(start, False) for start in starts] + [(marked, True)]
    for (start, short), delimiter in itertools.product(forms, order):
        rows = _divided([line for _, line in lines[start:]], delimiter)
        if rows is not None and short == (len(rows[0]) < len(rows[-1])):
            head, *body = rows
            body = tuple(body) or (head,)
            head = ("",) * (len(body[0]) - len(head)) + head
            return Layout(lines[start][0], delimiter, _decimal(body, delimiter), head, body)
    text = [line for _, line in lines[marked:]] or [lines[0][1]]
    widths = [len(line.split(own)) for line in text]
    odd = next((row for row, width in enumerate(widths) if width != widths[0]), 0)
    where = f"; line {odd + 1} has {widths[odd]} and the first {widths[0]}" if odd else ""
    raise ValueError(
        f"the lines cannot be divided into two columns or more, alike in all{where}. A {suffix} "
        f"has {_WORDS[own]} between them; tabs, semicolons, commas and bars were tried too."
    )


def named_rows(
    path: pathlib.Path,
    suffix: str,
    *,
    key: str,
    require: Callable[[pathlib.Path, list[str]], None],
) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each row is, for a message, and its entries by column.

    **Arguments:** `key`, a column of the first row, by which the delimiter is known; `require`,
    called with the path and the columns, in lower case, before the first row.

    **Raises:** `ValueError` with the line's number for a row of another length.
    """
    with open_text(path) as lines:
        remarks = list(itertools.takewhile(_is_remark, lines))
    with open_text(path) as lines:
        rest = itertools.islice(lines, len(remarks), None)
        first = next(rest, "")
    own = "," if suffix == ".csv" else "\t"
    # STRING and NCBI mark the line with the names of columns as a remark.
    last = remarks[-1] if remarks else ""
    alike_ = any(last.count(d) == first.count(d) > 0 for d in ",;\t")
    skipped = len(remarks) - int(alike_ and _divides(first, own, key) is None)
    with open_text(path) as lines:
        table = itertools.islice(lines, skipped, None)
        first = next(table, "").rstrip("\r\n").removeprefix("#")
        delimiter = _divides(first, own, key) or own
        # Strict, since a quotation mark that never closes would swallow the rest of the file.
        reader = csv.reader(itertools.chain([first], table), delimiter=delimiter, strict=True)
        at = lambda: f"{path}, line {skipped + reader.line_num}"
        try:
            head = [name.strip().lower() for name in next(reader, [])]
            require(path, head)
            for row in reader:
                if row and len(row) != len(head):
                    raise ValueError(f"{at()}: {len(row)} entries under {len(head)} columns.")
                if row:
                    yield at(), dict(zip(head, row, strict=True))
        except csv.Error as error:
            raise ValueError(f"{at()}: {error}.") from error


def _divides(first: str, own: str, key: str) -> str | None:
    """What stands around the name of this column in a line; nothing if it is not there."""
    cells = lambda d: [cell.strip('" \r\n#') for cell in first.lower().split(d)]
    return next((d for d in (own, ",", ";", "\t") if key in cells(d)), None)


def _is_remark(line: str) -> bool:
    return line.startswith("#") or not line.strip()


def _divided(text: Sequence[str], delimiter: str) -> tuple[tuple[str, ...], ...] | None:
    """The cells of each line, if all have as many, two at least."""
    if not text:
        return None
    try:
        head, *body = (tuple(map(alike, row)) for row in csv.reader(text, delimiter=delimiter))
    except csv.Error:
        return None
    widths = {len(row) for row in body or [head]}
    width = min(widths)
    alike_all = len(widths) == 1 and width > 1 and len(head) in (width, width - 1)
    return (head, *body) if alike_all else None


def _decimal(rows: Sequence[Sequence[str]], delimiter: str) -> str:
    """A comma, if numbers are written with one and none with a point."""
    if delimiter == ",":
        return "."
    numbers = [cell.strip() for row in rows for cell in row if cell and is_number(cell)]
    commas = any(_COMMA.fullmatch(cell) for cell in numbers)
    return "," if commas and not any("." in cell for cell in numbers) else "."
