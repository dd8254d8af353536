"""Folders in use, and what killed processes leave behind."""

import json
import os
import socket
import subprocess
import sys

import pytest

from scbig._claims import LOCK, in_use, partial
from scbig._files import atomic


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def lock(folder, **changes):
    found = {"host": socket.gethostname(), "process": os.getpid(), "since": "today", **changes}
    (folder / LOCK).write_text(json.dumps(found))


def test_a_folder_in_use_is_refused_with_process_and_host(tmp_path):
    with in_use(tmp_path / "run"):
        found = json.loads((tmp_path / "run" / LOCK).read_text())
        assert (found["host"], found["process"]) == (socket.gethostname(), os.getpid())
        message = rf"in use by process {os.getpid()} of {socket.gethostname()}, since "
        with pytest.raises(ValueError, match=message), in_use(tmp_path / "run"):
            pass
        assert (tmp_path / "run" / LOCK).exists()
    assert not (tmp_path / "run" / LOCK).exists()
    with pytest.raises(RuntimeError, match="stopped"), in_use(tmp_path / "run"):
        raise RuntimeError("stopped")
    with in_use(tmp_path / "run"):
        pass


def test_the_lock_of_a_process_that_was_killed_is_taken_over(tmp_path, dead):
    lock(tmp_path, process=dead)
    with in_use(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["process"] == os.getpid()


def test_the_lock_of_another_machine_stays(tmp_path, dead):
    lock(tmp_path, process=dead, host="elsewhere")
    with (
        pytest.raises(ValueError, match=r"of elsewhere, since today\. .* remove "),
        in_use(tmp_path),
    ):
        pass
    (tmp_path / LOCK).write_text("")
    with pytest.raises(ValueError, match="of an unknown machine"), in_use(tmp_path):
        pass


@pytest.mark.parametrize("folder", [False, True])
def test_partial_files_of_dead_processes_are_removed(folder, dead, tmp_path):
    target = tmp_path / "cells.h5ad"
    own = partial(target)
    mine = f"-{os.getpid()}-"
    stale = own.with_name(own.name.replace(mine, f"-{dead}-"))
    elsewhere = stale.with_name(stale.name.replace(socket.gethostname(), "elsewhere"))
    other = stale.with_name(stale.name.replace("cells", "other"))
    for path in (own, stale, elsewhere, other):
        path.mkdir() if folder else path.touch()
    with atomic(target) as temporary:
        temporary.write_text("x")
    assert not stale.exists()
    assert own.exists()
    assert elsewhere.exists()
    assert other.exists()


def test_an_error_of_the_system_names_the_file(tmp_path):
    message = r"cells\.csv could not be written: .*space"
    with pytest.raises(OSError, match=message) as caught, atomic(tmp_path / "cells.csv"):
        raise OSError(28, "No space left on device")
    assert caught.value.errno == 28
    assert list(tmp_path.iterdir()) == []
