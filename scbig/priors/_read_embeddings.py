"""Embedding tables from npz, csv, tsv, parquet, h5ad, pt and pickle files."""

import os
import pathlib
import re
import warnings
import zipfile
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Num, Shaped

from scbig._names import examples

from ._border import format_of
from ._embeddings import EmbeddingTable
from ._foreign_formats import read_pickle, read_torch
from ._layout import TEXT, is_number, layout_of

_TORCH, _PICKLE = (".pt", ".pth"), (".pkl", ".pickle")
_FORMATS = (".npz", ".csv", ".tsv", ".txt", ".parquet", ".h5ad", *_TORCH, *_PICKLE)
_ENOUGH = 20
"""Rows from which on whole numbers that all differ are no accident."""
_UNNAMED = re.compile(r"|unnamed: \d+|__index_level_\d+__|x", re.IGNORECASE)
"""What writers call a column of row numbers that had no name."""
_Columns = tuple[list[str], Shaped[np.ndarray, "..."]]  # the names and the vectors


def read_embeddings(
    path: str | os.PathLike[str],
    *,
    names: str = "names",
    vectors: str = "embeddings",
    duplicates: Literal["error", "mean", "first"] = "error",
) -> EmbeddingTable:
    """Reads a table of named vectors.

    | format | names | vectors |
    |---|---|---|
    | npz | the array `names` | the array `vectors` |
    | csv, tsv and txt, also gz | first column, or the only one of text; a header row | the others |
    | parquet | the index if it holds text, else the first text column | the other columns |
    | h5ad | `obs_names` | `X` |
    | pt, pth; pkl, pickle | the keys of a dict, or its entry `names` | its values, or `vectors` |

    Of the last two nothing is run: files of PyTorch (which is needed for them: `scbig-jax[torch]`)
    are loaded as weights only, and of pickles nothing but arrays and plain containers is built;
    whatever else they name is an error. (A hostile file can still ask for all of the memory.) There
    the dict leads from names to vectors, as in the published tables of ESM2, or has an entry
    `vectors` that is such a dict, or a matrix beside `names`, a list or a dict from name to row. Of
    GeneCompass's table, with both kinds of name, the symbols are read (a symbol without a vector of
    its own has that of its Ensembl identifier), and with `vectors="gene_embeddings"` the Ensembl
    identifiers.

    A gene symbol cannot contain a tab, so of a name with tabs only what follows the last one is
    kept: some tables write a row number in front (`"7\\tPERM1"`).

    **Arguments:** `path`; `names` and `vectors`, the keys of an npz or a dict; `duplicates`, what
    to do with a name on several rows, such as a gene with two start sites: an error, the mean of
    its rows, or the first of them.

    **Returns:** the table, as float32, its names in the order of the file.

    **Raises:** `FileNotFoundError`; `ValueError` for another format, another policy or a broken
    table, one with a column of identifiers among its numbers too; `ImportError` for a file of
    PyTorch where PyTorch is absent.
    """
    if duplicates not in ("error", "mean", "first"):
        raise ValueError(f'duplicates must be "error", "mean" or "first"; got {duplicates!r}.')
    path = pathlib.Path(path)
    suffix = format_of(path, _FORMATS, "embeddings")
    if suffix == ".npz":
        labels, values = _from_npz(path, names, vectors)
    elif suffix == ".parquet":
        labels, values = _from_parquet(path)
    elif suffix == ".h5ad":
        labels, values = _from_h5ad(path)
    elif suffix in _TORCH:
        labels, values = read_torch(path, names, vectors)
    elif suffix in _PICKLE:
        labels, values = read_pickle(path, names, vectors)
    else:
        labels, values = _from_text(path, suffix)
    if values.ndim != 2 or len(labels) != len(values) or not values.size:
        raise ValueError(
            f"{path}: {len(labels)} names need vectors of shape (names, features), both positive; "
            f"got {values.shape}."
        )
    if suffix not in (".parquet", *TEXT):  # their columns have names, and were checked by them
        values = _checked(path, values, [f"entry {place}" for place in range(values.shape[1])])
    labels = [label.rsplit("\t", 1)[-1] for label in labels]
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which is an error
        values = values.astype(np.float32)
    table = _table(path, labels, values, duplicates)
    _warn_of_one(path, table.vectors)
    return table


def _table(
    path: pathlib.Path,
    labels: list[str],
    values: Float32[np.ndarray, "rows features"],
    duplicates: Literal["error", "mean", "first"],
) -> EmbeddingTable:
    """The table, after the policy for repeated names; errors name the file."""
    kept, first, group, count = np.unique(
        np.asarray(labels), return_index=True, return_inverse=True, return_counts=True
    )
    if duplicates != "error" and len(kept) < len(labels):
        if duplicates == "mean":
            total = np.zeros((len(kept), values.shape[1]))
            np.add.at(total, group, values)
            values[first] = total / count[:, None]
        rows = np.sort(first)
        labels, values = [labels[row] for row in rows], values[rows]
    try:
        return EmbeddingTable(tuple(labels), values)
    except ValueError as error:
        hint = ' Or choose duplicates="mean" or "first".' if "unique" in str(error) else ""
        raise ValueError(f"{path}: {error}{hint}") from error


def _from_npz(path: pathlib.Path, names: str, vectors: str) -> _Columns:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            held = arrays.files
            absent = [key for key in (names, vectors) if key not in held]
            labels, values = (None, None) if absent else (arrays[names], arrays[vectors])
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path} cannot be read as npz without pickle: {error}") from error
    if labels is None or values is None:
        raise ValueError(
            f"{path} has no array {examples(absent)}; it has {examples(held)}. "
            "Say which ones hold the names and the vectors: names=, vectors=."
        )
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    if labels.dtype.kind != "U" or labels.ndim != 1 or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{path}: {names!r} must be a list of text and {vectors!r} numbers; got "
            f"{labels.dtype} of shape {labels.shape} and {values.dtype}."
        )
    return labels.tolist(), values


def _from_text(path: pathlib.Path, suffix: str) -> _Columns:
    import pyarrow as pa
    import pyarrow.csv as csv

    try:
        layout = layout_of(path, suffix, blanks=suffix != ".csv")
        _require_header(list(layout.head[1:]))
        places = range(len(layout.head))
        # The names are the first column, or else the one that holds text beside numbers.
        text = [place for place in places if not layout.holds_numbers(place)]
        first = text[0] if len(text) == 1 else 0
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(
                skip_rows=layout.skipped + 1, column_names=[f"f{place}" for place in places]
            ),
            parse_options=csv.ParseOptions(delimiter=layout.delimiter),
            convert_options=csv.ConvertOptions(
                column_types={f"f{first}": pa.string()}, decimal_point=layout.decimal
            ),
        )
    except ValueError as error:  # pyarrow's parse errors are ValueErrors too
        raise ValueError(f"{path}: {error}") from error
    frame = table.to_pandas()
    if not len(frame):
        raise ValueError(f"{path}: there are no rows under the first.")
    labels = frame.pop(f"f{first}").tolist()
    frame.columns = [cell for place, cell in enumerate(layout.head) if place != first]
    return labels, _numbers(path, _without_count(frame))


def _without_count(frame: Any) -> Any:
    """The table without a first column that no one named and that counts the rows."""
    values = frame.iloc[:, 0].to_numpy() if frame.shape[1] > 1 else np.zeros(0)
    unnamed = _UNNAMED.fullmatch(str(frame.columns[0])) is not None
    counts = unnamed and values.dtype.kind in "iuf" and len(values) == len(frame)
    rows = np.arange(len(values))
    counted = counts and any(np.array_equal(values, rows + start) for start in (0, 1))
    return frame.iloc[:, 1:] if counted else frame


def _require_header(columns: list[str]) -> None:
    """A first row of numbers is a gene, unless they count the columns as pandas does."""
    try:
        values = [float(column.strip('"')) for column in columns]
    except ValueError:
        return
    if values not in ([*range(len(values))], [*range(1, len(values) + 1)]):
        raise ValueError(
            "the first row holds numbers, so the first gene would be taken for the column names. "
            "Add a header row."
        )


def _from_parquet(path: pathlib.Path) -> _Columns:
    import pandas as pd
    import pyarrow as pa

    try:
        frame = pd.read_parquet(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} cannot be read as parquet: {error}") from error
    if not pd.api.types.is_string_dtype(frame.index):
        text = [name for name in frame.columns if pd.api.types.is_string_dtype(frame[name])]
        if not text:
            raise ValueError(f"{path}: neither the index nor a column holds text, the names.")
        frame = frame.set_index(text[0])
    return frame.index.tolist(), _numbers(path, _without_count(frame))


def _numbers(path: pathlib.Path, frame: Any) -> Num[np.ndarray, "rows features"]:
    text = [str(name) for name, dtype in frame.dtypes.items() if dtype.kind not in "fiu"]
    if text:
        raise ValueError(
            f"{path}: {len(text)} columns after the names do not hold numbers: {examples(text)}. "
            + (
                "Each row has several numbers there, with blanks between them: write tabs."
                if any(_several(frame[name].iloc[0]) for name in frame.columns if str(name) in text)
                else "Drop them."
            )
        )
    return _checked(path, frame.to_numpy(np.float64), [*map(str, frame.columns)])


def _several(cell: object) -> bool:
    words = str(cell).split()
    return len(words) > 1 and all(map(is_number, words))


def _checked(
    path: pathlib.Path, values: Num[np.ndarray, "rows features"], names: list[str]
) -> Num[np.ndarray, "rows features"]:
    """Vectors without identifiers among their entries; whole numbers beside fractions are said."""
    whole = np.all(values == np.rint(values), axis=0)
    if whole.all():
        return values
    counts = [place for place in np.flatnonzero(whole) if _all_differ(values[:, place])]
    if counts and len(values) >= _ENOUGH:
        raise ValueError(
            f"{path}: {len(counts)} columns hold another whole number in each row, as identifiers "
            f"and row numbers do: {examples(names[place] for place in counts)}. Of a vector's "
            "entries they would be by far the largest: drop them."
        )
    large = np.max(np.abs(values), axis=0, initial=0) > 1
    odd = [names[place] for place in np.flatnonzero(whole & large)]
    if odd and len(odd) < values.shape[1] / 2:
        warnings.warn(
            f"{path}: {len(odd)} of {values.shape[1]} columns hold whole numbers only: "
            f"{examples(odd)}. Are they entries of a vector, or groups and identifiers?",
            stacklevel=4,
        )
    return values


def _all_differ(values: Num[np.ndarray, " rows"]) -> bool:
    return len(np.unique(values)) == len(values)


def _warn_of_one(path: pathlib.Path, values: Float32[np.ndarray, "rows features"]) -> None:
    """Warns of an entry that has nearly all of the variance: it is rarely meant to."""
    if len(values) > 1 and np.all(values == values[0]):
        warnings.warn(f"{path}: all {len(values)} vectors are the same.", stacklevel=3)
    variance = values.astype(np.float64).var(axis=0)
    largest, total = int(np.argmax(variance)), variance.sum()
    if values.shape[1] > 3 and variance[largest] > 0.95 * total > 0:
        warnings.warn(
            f"{path}: entry {largest} (counted from 0) has {variance[largest] / total:.1%} of the "
            f"variance of all {values.shape[1]}. Is it an identifier, or in another unit?",
            stacklevel=3,
        )


def _from_h5ad(path: pathlib.Path) -> _Columns:
    import anndata
    from scipy import sparse

    try:
        table = anndata.read_h5ad(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read as h5ad: {error}") from error
    values: Any = table.X
    if values is None:
        raise ValueError(f"{path}: X is empty; it must hold the vectors, one row a name.")
    dense = values.toarray() if sparse.issparse(values) else np.asarray(values)
    return table.obs_names.astype(str).tolist(), dense
