"""Atomic files, and array trees behind a JSON header that says what they are. Never a pickle."""

import contextlib
import hashlib
import importlib.metadata
import io
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from scbig._claims import partial, remove, remove_stale

Tree = TypeVar("Tree")
_VERSIONS = ("scbig-jax", "jax", "equinox")
"""Of these a file records the versions that wrote it."""
_PARTS = ("header", "versions", "bytes", "sha256")


def to_read(path: str | os.PathLike[str], what: str, *, folder: bool = False) -> pathlib.Path:
    """The path of what is to be read, once it is known to be there.

    **Arguments:** `what` it should be, for the message: "a split, as `Split.save` writes it";
    `folder`, whether it may be a folder, as zarr is.

    **Raises:** `FileNotFoundError`, and `IsADirectoryError` for a folder that should be a file, in
    a sentence that names the path and what it should be.
    """
    found = pathlib.Path(path)
    if not found.exists():
        raise FileNotFoundError(f"There is no file {path}: it should be {what}.")
    if found.is_dir() and not folder:
        raise IsADirectoryError(f"{path} is a folder: it should be {what}.")
    return found


@contextlib.contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a temporary path of the same suffix beside `path`, and renames it at a clean exit.

    What the block makes there is a file or a folder (zarr). If the block raises, `path` is as it
    was and nothing temporary is left.
    """
    target = pathlib.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(target)
    # Opened by the caller, so that the file gets the permissions that the user's umask gives.
    temporary = partial(target)
    try:
        yield temporary
        _move(temporary, target)
    except BaseException as error:
        remove(temporary)
        if type(error) is OSError:  # those of a kind of their own name the file
            raise _named(error, target) from error
        raise


def _named(error: OSError, target: pathlib.Path) -> OSError:
    """The system's error with the file that was to be written: a full disk names none."""
    text = error.strerror or str(error)
    return (
        OSError(error.errno, f"{target} could not be written: {text}")
        if error.errno
        else (OSError(f"{target} could not be written: {text}"))
    )


def _move(temporary: pathlib.Path, target: pathlib.Path) -> None:
    if not (temporary.is_dir() and target.is_dir()):
        os.replace(temporary, target)
        return
    # A folder does not replace one that holds something: the old one steps aside.
    aside = temporary.with_name(temporary.name.replace(".partial-", ".old-"))
    os.replace(target, aside)
    try:
        os.replace(temporary, target)
    except BaseException:
        os.replace(aside, target)
        raise
    shutil.rmtree(aside)


def write_tree(path: str | os.PathLike[str], kind: str, header: dict[str, Any], tree: Any) -> None:
    """Writes a JSON line (kind, header, versions, size, SHA-256), then the tree's leaves."""
    import equinox as eqx

    leaves = io.BytesIO()
    eqx.tree_serialise_leaves(leaves, tree)
    payload = leaves.getvalue()
    line = {
        "kind": kind,
        "header": header,
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONS},
        "bytes": len(payload),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    with atomic(path) as temporary, temporary.open("wb") as file:
        file.write(json.dumps(line).encode() + b"\n")
        file.write(payload)


def read_tree(
    path: str | os.PathLike[str], kind: str, build: Callable[[dict[str, Any]], Tree]
) -> tuple[dict[str, Any], Tree]:
    """Reads what `write_tree` wrote.

    **Arguments:** `build`, makes from the header a tree of the right structure, of arrays or of
    shapes alone.

    **Raises:** `ValueError` if the file is of another kind, truncated, or altered.
    """
    import equinox as eqx

    with pathlib.Path(path).open("rb") as file:
        first, payload = file.readline(), file.read()
    line = _parse(first, path, kind)
    if len(payload) != line["bytes"]:
        raise ValueError(
            f"{path} is truncated or has been added to: its header promises {line['bytes']} bytes "
            f"of arrays, {len(payload)} are there. Copy it again; a checkpoint can be removed, and "
            "its stage then starts again."
        )
    if hashlib.sha256(payload).hexdigest() != line["sha256"]:
        raise ValueError(f"{path} is damaged: its arrays do not match the SHA-256 in its header.")
    tree = build(line["header"])  # not while tracing: what it raises is for the user to read
    # NumPy arrays stay what they are: on the device they might lose half of their digits.
    host, device = eqx.partition(tree, lambda leaf: isinstance(leaf, np.ndarray))
    skeleton = eqx.combine(host, eqx.filter_eval_shape(lambda: device))
    arrays = io.BytesIO(payload)
    try:
        tree = eqx.tree_deserialise_leaves(arrays, skeleton)
        left = len(arrays.read())
        if left:
            raise ValueError(f"{left} bytes belong to no array")
    except (RuntimeError, ValueError, EOFError, TypeError) as error:
        made = ", ".join(f"{name} {version}" for name, version in line["versions"].items())
        raise ValueError(
            f"{path}: its arrays are not those that its header describes ({error}). It was written "
            f"by {made}, or has been put together by hand: write it again."
        ) from error
    return line["header"], tree


def versions(path: str | os.PathLike[str], kind: str) -> dict[str, str]:
    """The versions of scBIG, JAX and Equinox that wrote a file of `write_tree`, by package.

    **Raises:** `ValueError` if the file is of another kind.
    """
    with pathlib.Path(path).open("rb") as file:
        return _parse(file.readline(), path, kind)["versions"]


def _parse(first: bytes, path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    wrong = f"{path} is not a scBIG {kind} file"
    if not first.endswith(b"\n"):
        raise ValueError(f"{wrong}, or is truncated within its header.")
    try:
        line = json.loads(first)
    except ValueError as error:
        raise ValueError(f"{wrong}: its first line is not JSON.") from error
    if not isinstance(line, dict) or line.get("kind") != kind:
        found = line.get("kind") if isinstance(line, dict) else None
        raise ValueError(f"{wrong}: its header says kind {found!r}.")
    lacking = [name for name in _PARTS if name not in line]
    if lacking:
        raise ValueError(f"{wrong}: its header lacks {', '.join(lacking)}.")
    return line
