"""Public files in a cache folder: downloaded through pooch, verified at every call."""

import contextlib
import errno
import hashlib
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

from scbig._files import atomic

from ._download import download, state_of
from ._sources import Source, find

FOLDER = "SCBIG_DATA"
"""The environment variable that names another cache folder."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def cache_folder(folder: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """The folder of the public files.

    **Arguments:** `folder`: if given, this one.

    **Returns:** `folder`, or that of the environment variable `SCBIG_DATA`, or the user's cache
    folder for scbig.
    """
    import pooch

    return pathlib.Path(folder or os.environ.get(FOLDER) or pooch.os_cache("scbig")).expanduser()


def fetch(
    source: str | Source,
    *,
    folder: str | os.PathLike[str] | None = None,
    url: str | None = None,
    progress: bool = True,
    notice: bool = True,
    timeout: float = 60.0,
) -> pathlib.Path:
    """The file of a public screen, downloaded if it is not there yet, verified in any case.

    A download that was interrupted leaves `FILE.part` and goes on from there at the next call,
    unless the server's file has changed. The checksum is the record's; where that has none, the
    SHA-256 of the first download is written to `FILE.sha256` and holds ever after. A file that you
    put into the folder yourself is taken and verified in the same way.

    **Arguments:**

    - `source`: a name (see `sources`) or a record.
    - `folder`: where the file is kept; see `cache_folder`.
    - `url`: another address of the same file, a mirror say.
    - `progress`: whether to show a bar.
    - `notice`: whether to print licence and citation, to standard error.
    - `timeout`: seconds without an answer after which a download ends.

    **Returns:** the path of the file, whole and verified.

    **Raises:** a ValueError for a checksum that does not match; an OSError if the file cannot be
    had, the connection breaks or the disk is full. Nothing half-written has the file's name.
    """
    record = find(source)
    path = cache_folder(folder) / record.file
    if notice:
        print(record.notice, file=sys.stderr)
    if path.exists():
        _verify(record, path)
    else:
        with _explained(record, path):
            _download(record, path, url or record.url, progress, timeout)
    return path


def _download(record: Source, path: pathlib.Path, url: str, progress: bool, timeout: float) -> None:
    import pooch

    wanted = _wanted(record, path)

    def downloader(address: str, output: str, _: Any) -> None:
        part = path.with_name(path.name + ".part")
        checked = wanted is not None
        download(address, part, checked=checked, progress=progress, timeout=timeout)
        try:
            _check(part, path, wanted, f"{path.name}, as {address} sends it,", _SENT)
        except ValueError:
            part.unlink()
            state_of(part).unlink(missing_ok=True)
            raise
        os.replace(part, output)
        state_of(part).unlink(missing_ok=True)

    path.parent.mkdir(parents=True, exist_ok=True)
    # Pooch compares the checksum once more and renames the file at the very end.
    dog: Any = pooch.create(
        path=path.parent, base_url="", registry={path.name: wanted}, urls={path.name: url}
    )
    dog.fetch(path.name, downloader=downloader)


_SENT = (
    "What came was removed: it was damaged on its way, or the file at that address is another now. "
    "Call again, or pass another address as `url`."
)
_FOUND = "It was altered, or is another file. Remove it and call again to download it."


def _verify(record: Source, path: pathlib.Path) -> None:
    _check(path, path, _wanted(record, path), str(path), _FOUND)


def _wanted(record: Source, path: pathlib.Path) -> str | None:
    """The checksum of the record, or that of the first download, or None."""
    note = _note(path)
    if record.checksum is not None or not note.exists():
        return record.checksum
    digest = note.read_text().split()[:1]
    if not digest or len(digest[0]) != 64:
        raise ValueError(f"{note} does not begin with a SHA-256. Remove it if the file is right.")
    return f"sha256:{digest[0].lower()}"


def _note(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(path.name + ".sha256")


def _check(
    content: pathlib.Path, path: pathlib.Path, wanted: str | None, name: str, repair: str
) -> None:
    """Compares `content`, which is or becomes `path`, with the checksum; the first is recorded."""
    if wanted is None:
        _check_hdf5(content, name, repair)
        with atomic(_note(path)) as temporary:  # as `sha256sum --check` reads it
            temporary.write_text(f"{_digest(content, 'sha256')}  {path.name}\n")
        return
    algorithm, _, expected = wanted.partition(":")
    found = _digest(content, algorithm)
    if found != expected:
        note = _note(path)
        first = f", as {note} has it from the first download," if note.exists() else ""
        raise ValueError(
            f"{name} has the wrong checksum: {algorithm} {found} where {expected}{first} was "
            f"expected. {repair}"
        )


def _check_hdf5(content: pathlib.Path, name: str, repair: str) -> None:
    """Raises unless the file is HDF5 to its end: the first file must not be a web page."""
    import h5py

    try:
        h5py.File(content, "r").close()
    except OSError as error:
        raise ValueError(f"{name} is no HDF5 file, or a part of one ({error}). {repair}") from error


def _digest(path: pathlib.Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


@contextlib.contextmanager
def _explained(record: Source, path: pathlib.Path) -> Iterator[None]:
    """Says of an error what is left and what to do."""
    import requests

    try:
        yield
    except KeyboardInterrupt:
        print(f"\nInterrupted. {_left(path)}", file=sys.stderr)
        raise
    except (requests.RequestException, ConnectionError) as error:
        raise ConnectionError(
            f"The download of {path.name} broke off: {error} {_left(path)} "
            + _otherwise(record, path)
        ) from error
    except OSError as error:
        if error.errno in _FULL:
            raise OSError(
                error.errno,
                f"There is no room for {path.name} in {path.parent}: {error.strerror}. Make room, "
                f"or pass another folder. {_left(path)}",
            ) from error
        if error.errno is None:
            raise OSError(f"{error} {_otherwise(record, path)}") from error
        raise


def _left(path: pathlib.Path) -> str:
    part = path.with_name(path.name + ".part")
    if part.exists():
        return f"What came is kept in {part}: call again to go on from there."
    return "Nothing came. Call again."


def _otherwise(record: Source, path: pathlib.Path) -> str:
    mirrors = "".join(f" {mirror}," for mirror in record.mirrors)
    named = f" (named for it:{mirrors[:-1]})" if mirrors else ""
    return (
        f"If it fails again, pass another address as `url`{named}, or download the file in a "
        f"browser and put it at {path}."
    )
