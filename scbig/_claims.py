"""Who writes where: folders in use, and what processes that were killed left behind."""

import contextlib
import datetime
import json
import os
import pathlib
import shutil
import socket
import uuid
from collections.abc import Iterator

LOCK = "in-use.json"
"""The file in a folder that says which process writes there."""


def partial(target: pathlib.Path) -> pathlib.Path:
    """A temporary name of the same suffix beside a target, which says whose it is."""
    mine = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    return target.parent / f".partial-{target.stem}-{mine}{target.suffix}"


def remove_stale(target: pathlib.Path) -> None:
    """Removes what processes of this machine that are no more left of the same target."""
    start, host = f".partial-{target.stem}-", f"{socket.gethostname()}-"
    for path in target.parent.glob(f".partial-*{target.suffix}"):
        rest = path.name.removeprefix(start)
        process, _, unique = rest.removeprefix(host).removesuffix(target.suffix).partition("-")
        whose = rest == path.name or not rest.startswith(host)
        if not whose and process.isdecimal() and len(unique) == 12 and not _lives(int(process)):
            remove(path)


def remove(path: pathlib.Path) -> None:
    """Removes a file or a folder that may not be there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder beside a target for what is needed on the way to it; it goes at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(target)
    folder = partial(target)
    folder.mkdir()
    try:
        yield folder
    finally:
        remove(folder)


@contextlib.contextmanager
def in_use(folder: str | os.PathLike[str] | None) -> Iterator[None]:
    """Keeps other processes out of a folder while the block runs; `None` is no folder.

    **Raises:** `ValueError` naming the process that writes there, if it lives or is another
    machine's.
    """
    if folder is None:
        yield
        return
    path = pathlib.Path(folder) / LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    mine = {"host": socket.gethostname(), "process": os.getpid(), "since": now}
    try:
        _create(path, mine)
    except FileExistsError:
        _check_left(path)
        path.unlink(missing_ok=True)
        _create(path, mine)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _create(path: pathlib.Path, content: dict[str, object]) -> None:
    with path.open("x") as file:
        file.write(json.dumps(content))


def _check_left(path: pathlib.Path) -> None:
    """Raises unless the process that a lock names was killed."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return
    try:
        found = json.loads(text)
        host, process, since = found["host"], int(found["process"]), found["since"]
    except (ValueError, KeyError, TypeError):
        # The process was killed, or the disk was full, before it had written who it is.
        host, process, since = "an unknown machine", 0, "an unknown time"
    if host == socket.gethostname() and not _lives(process):
        return
    raise ValueError(
        f"{path.parent} is in use by process {process} of {host}, since {since}. Wait until it has "
        f"ended, or take another folder; if that process is no more, remove {path}."
    )


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True
