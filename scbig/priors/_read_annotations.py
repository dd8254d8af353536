"""Annotations of genes: Bioconductor's databases of an organism, and tables of GO terms."""

import contextlib
import os
import pathlib
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator

from scbig._names import examples, tidy

from ._aliases import AliasTable, unversioned
from ._annotations import Annotations
from ._border import format_of
from ._layout import TEXT, named_rows

_WHAT = "annotations"
_DATABASES = (".sqlite", ".sqlite3", ".db")
_BRANCHES = ("go_bp_all", "go_mf_all", "go_cc_all")
# The tables that are read, and their columns.
_NEEDED = {
    "gene_info": ("_id", "symbol"),
    "alias": ("_id", "alias_symbol"),
    "ensembl": ("_id", "ensembl_id"),
    **dict.fromkeys(_BRANCHES, ("_id", "go_id", "evidence")),
}
_PFAM = {"pfam": ("_id", "pfam_id")}
_TERM = re.compile(r"(?:GO:)?(\d{1,7})", re.IGNORECASE)

Names = dict[str, dict[str, None]]
"""Ordered sets by name."""


def read_annotations(path: str | os.PathLike[str]) -> Annotations:
    """Reads the GO terms of genes, and what else a file says of them.

    Two forms, told apart by the suffix:

    - the SQLite database in Bioconductor's package of an organism: `org.Hs.eg.sqlite` of
      `org.Hs.eg.db` (Debian's `r-bioc-org.hs.eg.db`), with symbols, aliases, Ensembl identifiers,
      GO terms with their ancestors and, where it has them, Pfam families. Annotations of evidence
      ND (no data) do not count. It is opened for reading only;
    - a table (csv, tsv or txt, also gz) whose first row names the columns `gene`, a symbol, and
      `go`, its GO terms and their ancestors with semicolons between them, `GO:0003700` or `3700`.
      It has no aliases: `annotations.aliases.joined(read_aliases(...))` adds them.

    Rows of one symbol are one gene.

    **Arguments:** `path`, with the suffix sqlite, sqlite3 or db, or that of a table.

    **Returns:** the annotations; `aliases.symbols` has the genes without GO terms too.

    **Raises:** `FileNotFoundError`; `ValueError` for another format, a file that cannot be read, a
    database that lacks a table or a column, and, with the line's number, a row without a gene or
    with what is no GO term.
    """
    path = pathlib.Path(path)
    suffix = format_of(path, (*_DATABASES, *TEXT), _WHAT)
    read = _database if suffix in _DATABASES else _table
    go, aliases, pfam = read(path, suffix)
    try:
        return Annotations(
            {gene: tuple(terms) for gene, terms in go.items()},
            aliases,
            {gene: tuple(families) for gene, families in pfam.items()},
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _table(path: pathlib.Path, suffix: str) -> tuple[Names, AliasTable, Names]:
    go: Names = {}
    known: dict[str, str] = {}
    for where, row in named_rows(path, suffix, key="gene", require=_require_columns):
        gene = tidy(row["gene"])
        if not gene:
            raise ValueError(f"{where}: an empty gene.")
        kept = go.setdefault(gene, {})
        for term in filter(None, map(str.strip, row["go"].split(";"))):
            kept[known.get(term) or _term(term, known, where)] = None
    if not go:
        raise ValueError(f"{path}: no rows.")
    return go, AliasTable(tuple(go)), {}


def _require_columns(path: pathlib.Path, head: list[str]) -> None:
    """Raises `ValueError` unless the first row names the gene and its terms, each once."""
    if not head.count("gene") == head.count("go") == 1:
        raise ValueError(
            f"{path}: the first row must name the columns gene and go, each once; got "
            f"{examples(head)}."
        )


def _term(text: str, known: dict[str, str], where: str) -> str:
    """A term as `GO:0003700`, which is kept in `known`: millions of annotations have few terms."""
    found = _TERM.fullmatch(text)
    if found is None:
        raise ValueError(f"{where}: {text!r} is no GO term; one is written GO:0003700 or 3700.")
    return known.setdefault(text, f"GO:{int(found[1]):07d}")


def _database(path: pathlib.Path, suffix: str) -> tuple[Names, AliasTable, Names]:
    del suffix
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as database:
            return _contents(path, database)
    except sqlite3.Error as error:
        raise ValueError(
            f"{path} cannot be read as an SQLite database: {error}. Copy it again."
        ) from error


def _contents(path: pathlib.Path, database: sqlite3.Connection) -> tuple[Names, AliasTable, Names]:
    has_pfam = bool(_columns(database, "pfam"))
    _require_tables(path, database, {**_NEEDED, **(_PFAM if has_pfam else {})})
    named = {symbol: tidy(symbol) for symbol, _ in _pairs(database, "gene_info", "symbol")}
    if not named:
        raise ValueError(f"{path}: the table gene_info has no symbols.")
    go, known = _names(), {}
    for branch in _BRANCHES:
        for symbol, term in _pairs(database, branch, "go_id", "AND evidence IS NOT 'ND'"):
            one = known.get(term) or _term(term, known, f"{path}, table {branch}")
            go[named[symbol]][one] = None
    pfam, alias, ensembl = _names(), _names(), _names()
    for symbol, family in _pairs(database, "pfam", "pfam_id") if has_pfam else ():
        pfam[named[symbol]][family] = None
    for symbol, name in _pairs(database, "alias", "alias_symbol"):
        alias[tidy(name)][named[symbol]] = None
    for symbol, name in _pairs(database, "ensembl", "ensembl_id"):
        ensembl[unversioned(tidy(name))][named[symbol]] = None
    symbols = tuple(dict.fromkeys(named.values()))
    return go, AliasTable(symbols, ensembl=_meant(ensembl), alias=_meant(alias)), pfam


def _names() -> Names:
    return defaultdict(dict)


def _meant(names: Names) -> dict[str, tuple[str, ...]]:
    """What each name may mean, without the symbols that are only listed as names of their own."""
    return {name: tuple(meant) for name, meant in names.items() if [*meant] != [name]}


def _pairs(
    database: sqlite3.Connection, table: str, column: str, also: str = ""
) -> Iterator[tuple[str, str]]:
    """The symbol of each row of a table, and its entry in a column, where it has both."""
    return iter(
        database.execute(
            f"SELECT CAST(symbol AS TEXT), CAST({column} AS TEXT) FROM {table} "
            f"{'' if table == 'gene_info' else 'JOIN gene_info USING (_id)'} "
            f"WHERE TRIM(symbol) <> '' AND TRIM({column}) <> '' {also}"
        )
    )


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {name for (name,) in database.execute("SELECT name FROM pragma_table_info(?)", [table])}


def _require_tables(
    path: pathlib.Path, database: sqlite3.Connection, needed: dict[str, tuple[str, ...]]
) -> None:
    there = {table: _columns(database, table) for table in needed}
    missing = [
        table if not there[table] else f"{table}.{column}"
        for table, columns in needed.items()
        for column in columns
        if column not in there[table]
    ]
    if missing:
        missing = list(dict.fromkeys(missing))
        raise ValueError(
            f"{path} is no database of annotations of Bioconductor (org.Hs.eg.sqlite): it lacks "
            f"{', '.join(missing)}."
        )
