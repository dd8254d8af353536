"""Filtered interactions kept as parquet, so that a large source is read once."""

import hashlib
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from scbig._files import atomic

from ._interactions import InteractionGraph

_VERSION = 1  # of what is kept and how: raise it, and older entries are no longer found


def cached_graph(
    folder: str | os.PathLike[str],
    *,
    sources: tuple[pathlib.Path, ...],
    options: dict[str, Any],
    read: Callable[[], InteractionGraph],
) -> InteractionGraph:
    """The graph that `read` gives, from `folder` if it has it, otherwise kept there.

    An entry belongs to the contents of the `sources` (their SHA-256) and the `options`. It is
    `interactions-KEY.parquet`, columns `first`, `second` and, if there are scores, `score`, and
    beside it `interactions-KEY.parquet.sha256`, as `sha256sum --check` reads it.

    **Raises:** `ValueError` if the entry does not match its checksum.
    """
    facts = {"version": _VERSION, "sources": [_sha256(path) for path in sources], **options}
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    path = pathlib.Path(folder) / f"interactions-{key}.parquet"
    if path.exists():
        return _load(path)
    graph = read()
    _save(graph, path)
    return graph


def _beside(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(path.name + ".sha256")


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _save(graph: InteractionGraph, path: pathlib.Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {
        name: pa.array(ends, pa.string()).dictionary_encode()
        for name, ends in (("first", graph.first), ("second", graph.second))
    }
    if graph.score is not None:
        columns["score"] = pa.array(graph.score)
    with atomic(path) as table:
        pq.write_table(pa.table(columns), table, compression="zstd")
        # The checksum first: an entry that was interrupted has no parquet, and is written again.
        with atomic(_beside(path)) as beside:
            beside.write_text(f"{_sha256(table)}  {path.name}\n")


def _load(path: pathlib.Path) -> InteractionGraph:
    import pyarrow.parquet as pq

    beside = _beside(path)
    promised = beside.read_text(errors="replace").split() if beside.exists() else []
    if promised[:1] != [_sha256(path)]:
        raise ValueError(
            f"the cached interactions {path} are damaged: they do not match the SHA-256 in "
            f"{beside.name}. Remove {path} and read again; the source is then read anew."
        )
    table = pq.read_table(path).unify_dictionaries().combine_chunks()
    first, second = (_names(table[column].chunk(0)) for column in ("first", "second"))
    score = table["score"].to_numpy() if "score" in table.column_names else None
    return InteractionGraph(first, second, score)


def _names(column: Any) -> tuple[str, ...]:
    """The texts of a dictionary-encoded column; equal ones are one Python string."""
    return tuple(
        np.array(column.dictionary.to_pylist(), object)[column.indices.to_numpy()].tolist()
    )
