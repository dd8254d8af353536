"""Which names mean which gene: Ensembl identifiers, previous symbols and aliases."""

import os
import pathlib
import re
from dataclasses import dataclass, field

from scbig._names import examples, tidy

from ._border import distinct, format_of
from ._layout import named_rows

_WHAT = "aliases"
_FORMATS = (".csv", ".tsv", ".txt")
# The columns that are read, and what a name in each of them is.
_COLUMNS = {
    "alias": "alias",
    "alias_symbol": "alias",
    "prev_symbol": "previous",
    "ensembl_gene_id": "ensembl",
}
_VERSIONED = re.compile(r"(ENS[A-Z]{0,6}G\d{11})\.\d+", re.IGNORECASE)


def unversioned(name: str) -> str:
    """An Ensembl gene identifier without its version; any other name as it is.

    Only these have versions: `AC004556.1` is a symbol, and `TP53.1` and `TP53-1` a second `TP53`.
    """
    found = _VERSIONED.fullmatch(name)
    return found[1] if found else name


@dataclass(frozen=True, eq=False)
class AliasTable:
    """Current gene symbols, and what else the genes are or were called.

    **Arguments:** `symbols`, the current ones, unique; `ensembl`, `previous` and `alias`, from an
    Ensembl identifier, a former symbol and any other name to the symbols that it may mean.

    **Raises:** `ValueError` for symbols that repeat, and for names that are empty or mean none of
    the symbols.
    """

    symbols: tuple[str, ...]
    ensembl: dict[str, tuple[str, ...]] = field(default_factory=dict)
    previous: dict[str, tuple[str, ...]] = field(default_factory=dict)
    alias: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        distinct(self.symbols, f"{_WHAT}, symbols")
        known = set(self.symbols)
        for names in (self.ensembl, self.previous, self.alias):
            wrong = [
                name
                for name, meant in names.items()
                if not name.strip() or not meant or not known.issuperset(meant)
            ]
            if wrong:
                raise ValueError(
                    f"{_WHAT}: {len(wrong)} names are empty or mean none of the symbols: "
                    f"{examples(wrong)}."
                )

    def joined(self, other: "AliasTable") -> "AliasTable":
        """The genes of both, and what each other name may mean in either."""
        kinds = ("ensembl", "previous", "alias")
        return AliasTable(
            tuple(dict.fromkeys((*self.symbols, *other.symbols))),
            **{kind: _joined(getattr(self, kind), getattr(other, kind)) for kind in kinds},
        )


def _joined(
    names: dict[str, tuple[str, ...]], others: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(dict.fromkeys((*names.get(name, ()), *others.get(name, ()))))
        for name in {**names, **others}
    }


def read_aliases(path: str | os.PathLike[str]) -> AliasTable:
    """Reads a table of gene names: csv, tsv or txt, with commas, tabs or semicolons; also gz.

    The first row names the columns; those that are not listed here are not read.

    | column | holds |
    |---|---|
    | `symbol` | the current symbol; needed |
    | `alias` | one other name; an Ensembl identifier counts as one |
    | `alias_symbol`, `prev_symbol` | other and former symbols, with a bar between two |
    | `ensembl_gene_id` | Ensembl identifiers, likewise |

    So a list of two columns, `alias` and `symbol`, is read, and so is HGNC's complete set.

    **Arguments:** `path`.

    **Returns:** the symbols in the order of the file, and what each other name may mean.

    **Raises:** `FileNotFoundError`; `ValueError` for another format, or with the line's number for
    a row of another length, without a symbol or with an empty `alias`.
    """
    path = pathlib.Path(path)
    suffix = format_of(path, _FORMATS, _WHAT)
    symbols: dict[str, None] = {}
    found: dict[str, dict[str, dict[str, None]]] = {"ensembl": {}, "previous": {}, "alias": {}}
    for where, row in named_rows(path, suffix, key="symbol", require=_require_columns):
        symbol = tidy(row["symbol"])
        if not symbol or row.get("alias", "-").strip() == "":
            raise ValueError(f"{where}: an empty {'alias' if symbol else 'symbol'}.")
        symbols[symbol] = None
        for column in _COLUMNS.keys() & row.keys():
            parts = [row[column]] if column == "alias" else row[column].split("|")
            for name in filter(None, map(tidy, parts)):
                bare = unversioned(name)
                kind = "ensembl" if _VERSIONED.fullmatch(f"{bare}.1") else _COLUMNS[column]
                found[kind].setdefault(bare, {})[symbol] = None
    if not symbols:
        raise ValueError(f"{path}: no rows.")
    # A symbol that is listed as a name of its own gene says nothing more.
    named = {
        kind: {name: tuple(meant) for name, meant in names.items() if [*meant] != [name]}
        for kind, names in found.items()
    }
    return AliasTable(tuple(symbols), **named)


def _require_columns(path: pathlib.Path, head: list[str]) -> None:
    """Raises `ValueError` unless the first row names the symbol and one more column, each once."""
    if "symbol" not in head or not _COLUMNS.keys() & set(head) or len(set(head)) < len(head):
        raise ValueError(
            f"{path}: the first row must name the column symbol and at least one of "
            f"{', '.join(_COLUMNS)}, each once; got {examples(head)}."
        )
