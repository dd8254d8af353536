"""Names and vectors out of the plain containers that a .pt or .pkl file holds."""

import pathlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, Num

from scbig._names import examples

_DEFAULT = "embeddings"
# GeneCompass: vectors by symbol, vectors by Ensembl identifier, and the identifier of a symbol.
_SYMBOLS, _IDENTIFIERS, _LINKS = "gene_symbol_embeddings", "gene_embeddings", "symbol_to_ensembl"


def named_vectors(
    path: pathlib.Path,
    content: object,
    names: str,
    vectors: str,
    as_array: Callable[[Any], Any],
) -> tuple[list[str], Num[np.ndarray, "rows features"]]:
    """The labels and rows of a table in any of the forms that `read_embeddings` lists.

    **Arguments:** `path`, for messages; `content`, what the file holds; `names` and `vectors`, the
    keys of the two; `as_array`, turns the file's own kind of array into NumPy's and leaves all else
    as it is.

    **Returns:** the labels as they are written, and a row of numbers for each.

    **Raises:** `ValueError` that says what is there instead of a table.
    """
    if not isinstance(content, dict) or not content:
        raise ValueError(
            f"{path} must hold a dict from names to vectors, or one with the entries {names!r} "
            f"and {vectors!r}; got {_described(as_array(content))}."
        )
    if vectors not in content and vectors != _DEFAULT:
        raise ValueError(f"{path}: no entry {vectors!r}; it has {_keys(content)}.")
    if vectors not in content:
        published = _SYMBOLS in content or _IDENTIFIERS in content
        return _rows(path, _genecompass(path, content) if published else content, as_array)
    held = as_array(content[vectors])
    if isinstance(held, dict):
        return _rows(path, held, as_array)
    if names not in content:
        raise ValueError(
            f"{path}: no entry {names!r} beside {vectors!r}; it has {_keys(content)}. Say which "
            "ones hold the names and the vectors: names=, vectors=."
        )
    rows = _matrix(path, vectors, held, as_array)
    return _labels(path, names, as_array(content[names]), len(rows)), rows


def _genecompass(path: pathlib.Path, content: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Vectors by symbol; a symbol without its own has that of its Ensembl identifier."""
    symbols, identifiers, links = (content.get(key, {}) for key in (_SYMBOLS, _IDENTIFIERS, _LINKS))
    if not all(isinstance(part, dict) for part in (symbols, identifiers, links)):
        raise ValueError(f"{path}: {_SYMBOLS}, {_IDENTIFIERS} and {_LINKS} must be dicts.")
    linked = {
        symbol: identifiers[identifier]
        for symbol, identifier in links.items()
        if symbol not in symbols and isinstance(identifier, str) and identifier in identifiers
    }
    return {**symbols, **linked} or identifiers


def _rows(
    path: pathlib.Path, table: Mapping[Any, Any], as_array: Callable[[Any], Any]
) -> tuple[list[str], Num[np.ndarray, "rows features"]]:
    _require_text(path, list(table))
    return list(table), _stacked(path, list(table), list(table.values()), as_array)


def _matrix(
    path: pathlib.Path, key: str, held: object, as_array: Callable[[Any], Any]
) -> Num[np.ndarray, "rows features"]:
    if isinstance(held, np.ndarray) and held.ndim == 2 and held.dtype.kind in "fiu":
        return held
    if isinstance(held, (list, tuple)):
        return _stacked(path, [f"row {row}" for row in range(len(held))], held, as_array)
    raise ValueError(
        f"{path}: {key!r} must be a matrix of numbers, (names, features); got {_described(held)}."
    )


def _stacked(
    path: pathlib.Path, labels: list[str], held: Sequence[Any], as_array: Callable[[Any], Any]
) -> Float32[np.ndarray, "rows features"]:
    """The vectors as the rows of a matrix, after checking that they are vectors of one length."""
    given = [as_array(value) for value in held]
    vectors = [vector for value in given if (vector := _vector(value)) is not None]
    if len(vectors) < len(given) or not given:
        wrong = [
            f"{label} ({_described(value)})"
            for label, value in zip(labels, given, strict=True)
            if _vector(value) is None
        ]
        raise ValueError(
            f"{path}: {len(wrong)} of {len(given)} entries are no vectors of real numbers: "
            f"{examples(wrong)}. It has {examples(labels)}."
        )
    (width, _), *others = Counter(map(len, vectors)).most_common()
    if others:
        odd = [
            f"{label} ({len(vector)})"
            for label, vector in zip(labels, vectors, strict=True)
            if len(vector) != width
        ]
        raise ValueError(
            f"{path}: {len(odd)} of {len(vectors)} vectors have another length than {width}: "
            f"{examples(odd)}."
        )
    rows = np.empty((len(vectors), width), np.float32)
    with np.errstate(over="ignore"):  # infinite, which the table refuses and names
        for row, vector in enumerate(vectors):
            rows[row] = vector
    return rows


def _vector(value: object) -> Num[np.ndarray, " features"] | None:
    """A vector of real numbers as an array; of anything else, None."""
    if isinstance(value, np.ndarray):
        return value if value.ndim == 1 and value.size and value.dtype.kind in "fiu" else None
    if isinstance(value, (list, tuple)) and value and {*map(type, value)} <= {float, int}:
        try:
            return np.array(value, np.float64)
        except OverflowError:
            return None
    return None


def _labels(path: pathlib.Path, key: str, held: Any, rows: int) -> list[str]:
    """The names of a matrix's rows, from a list of them or from a dict from name to row."""
    if isinstance(held, dict):
        numbers = list(held.values())
        if {*map(type, numbers)} != {int} or sorted(numbers) != list(range(rows)):
            raise ValueError(
                f"{path}: {key!r} must give each of the {rows} rows one name; it has "
                f"{len(held)} names, of rows such as {examples(map(_described, numbers))}."
            )
        held = sorted(held, key=lambda name: held[name])
    labels = held.tolist() if isinstance(held, np.ndarray) else held
    if not isinstance(labels, (list, tuple)):
        raise ValueError(f"{path}: {key!r} must be a list of names; got {_described(held)}.")
    _require_text(path, labels)
    return list(labels)


def _require_text(path: pathlib.Path, labels: Sequence[Any]) -> None:
    wrong = [_described(label) for label in labels if not isinstance(label, str)]
    if wrong:
        raise ValueError(
            f"{path}: {len(wrong)} of {len(labels)} names are no text: {examples(wrong)}."
        )


def _described(value: Any) -> str:
    """What a value is, without showing what may be long."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    if type(value) is int and abs(value) < 10**9:
        return f"int {value}"
    if isinstance(value, (list, tuple, dict, set, str, bytes)):
        return f"{type(value).__name__} of length {len(value)}"
    return type(value).__name__


def _keys(content: Mapping[Any, Any]) -> str:
    return examples(key if isinstance(key, str) else _described(key) for key in content)
