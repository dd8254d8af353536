"""A public file is had whole and verified, or there is one clear error and no file."""

import dataclasses
import hashlib
import re
import socket
import subprocess
import sys

import pytest

from scbig import datasets
from scbig.datasets import fetch


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_first_call_downloads_and_the_second_does_not(server, record, tmp_path, capsys):
    path = fetch(record, folder=tmp_path / "new", progress=False)
    assert path == tmp_path / "new" / "screen.h5ad"
    assert path.read_bytes() == server.first
    assert names(path.parent) == ["screen.h5ad"]
    assert "Range" not in server.asked[0]
    assert server.asked[0]["Accept-Encoding"] == "identity"
    printed = capsys.readouterr()
    assert "CC BY 4.0" in printed.err
    assert "doi:10.1126/science.aax4438" in printed.err
    assert printed.out == ""
    assert fetch(record, folder=tmp_path / "new", progress=False, notice=False) == path
    assert len(server.asked) == 1
    assert capsys.readouterr().err == ""


def test_the_folder_comes_from_the_environment(server, record, tmp_path, monkeypatch):
    monkeypatch.setenv("SCBIG_DATA", str(tmp_path / "elsewhere"))
    assert fetch(record, progress=False) == tmp_path / "elsewhere" / "screen.h5ad"
    monkeypatch.delenv("SCBIG_DATA")
    assert datasets.cache_folder().name == "scbig"


def test_progress_is_shown(server, record, tmp_path, capsys):
    fetch(record, folder=tmp_path, progress=True)
    assert re.search(r"screen\.h5ad\.part: 100%.*401k/401k", capsys.readouterr().err)


def test_a_wrong_checksum_leaves_nothing(server, record, tmp_path):
    server.content = server.other
    with pytest.raises(ValueError, match="screen.h5ad") as caught:
        fetch(record, folder=tmp_path, progress=False)
    assert hashlib.md5(server.first).hexdigest() in str(caught.value)
    assert hashlib.md5(server.other).hexdigest() in str(caught.value)
    assert "Call again" in str(caught.value)
    assert names(tmp_path) == []
    server.content = server.first
    assert fetch(record, folder=tmp_path, progress=False).read_bytes() == server.first


def test_a_checksum_is_recorded_and_holds_ever_after(server, record, tmp_path):
    record = dataclasses.replace(record, checksum=None)
    path = fetch(record, folder=tmp_path, progress=False)
    noted = (tmp_path / "screen.h5ad.sha256").read_text()
    assert noted == f"{hashlib.sha256(server.first).hexdigest()}  screen.h5ad\n"
    fetch(record, folder=tmp_path, progress=False)

    path.write_bytes(server.other)
    with pytest.raises(ValueError, match="Remove it and call again") as caught:
        fetch(record, folder=tmp_path, progress=False)
    assert str(path) in str(caught.value)
    assert hashlib.sha256(server.first).hexdigest() in str(caught.value)
    assert path.read_bytes() == server.other
    assert len(server.asked) == 1

    path.unlink()
    server.content, server.etag = server.other, '"two"'
    with pytest.raises(ValueError, match="is another now") as caught:
        fetch(record, folder=tmp_path, progress=False)
    assert str(tmp_path / "screen.h5ad.sha256") in str(caught.value)
    assert not path.exists()
    (tmp_path / "screen.h5ad.sha256").write_text("")
    with pytest.raises(ValueError, match="does not begin with a SHA-256"):
        fetch(record, folder=tmp_path, progress=False)


@pytest.mark.parametrize("content", ["page", "part"])
def test_what_is_not_a_whole_file_is_not_recorded_as_the_first(server, record, tmp_path, content):
    content = {"page": b"<html>Are you a robot?</html>", "part": server.first[:-1000]}[content]
    record = dataclasses.replace(record, checksum=None)
    server.content = content
    with pytest.raises(ValueError, match="is no HDF5 file, or a part of one"):
        fetch(record, folder=tmp_path, progress=False)
    assert names(tmp_path) == []
    (tmp_path / "screen.h5ad").write_bytes(content)
    with pytest.raises(ValueError, match="is no HDF5 file, or a part of one"):
        fetch(record, folder=tmp_path, progress=False)
    assert names(tmp_path) == ["screen.h5ad"]


def test_a_file_put_there_by_hand_is_verified_too(server, record, tmp_path):
    (tmp_path / "screen.h5ad").write_bytes(server.other)
    with pytest.raises(ValueError, match=hashlib.md5(server.other).hexdigest()):
        fetch(record, folder=tmp_path, progress=False)
    unknown = dataclasses.replace(record, checksum=None)
    fetch(unknown, folder=tmp_path, progress=False)
    assert (tmp_path / "screen.h5ad.sha256").exists()
    assert server.asked == []


def test_a_server_that_promises_more_than_it_sends_makes_no_file(server, record, tmp_path):
    record, server.lie = dataclasses.replace(record, checksum=None), 1000
    for _ in range(2):
        with pytest.raises(ConnectionError, match=r"screen\.h5ad broke off"):
            fetch(record, folder=tmp_path, progress=False)
        assert not (tmp_path / "screen.h5ad").exists()


def test_a_client_that_does_not_notice_the_missing_rest(server, record, tmp_path, monkeypatch):
    import requests

    whole = requests.Response.iter_content
    monkeypatch.setattr(requests.Response, "iter_content", lambda *args: [next(whole(*args))])
    record = dataclasses.replace(record, checksum=None)
    with pytest.raises(ConnectionError, match=f"of {len(server.first)} bytes"):
        fetch(record, folder=tmp_path, progress=False)
    assert not (tmp_path / "screen.h5ad").exists()


def test_a_server_that_tells_no_length_is_believed_at_its_end(server, record, tmp_path):
    server.tell_length = False
    assert fetch(record, folder=tmp_path, progress=False).read_bytes() == server.first


@pytest.mark.parametrize("status", [202, 403, 404, 416, 500])
def test_a_refusal_is_named_and_leaves_nothing(server, record, tmp_path, status):
    server.status = status
    with pytest.raises(OSError, match=f"answered {status} ") as caught:
        fetch(record, folder=tmp_path, progress=False)
    assert server.url in str(caught.value)
    assert str(tmp_path / "screen.h5ad") in str(caught.value)
    assert names(tmp_path) == []


def test_mirrors_are_named_when_it_fails(server, record, tmp_path):
    server.status = 404
    record = dataclasses.replace(record, mirrors=("http://127.0.0.1/other",))
    with pytest.raises(OSError, match=r"named for it: http://127\.0\.0\.1/other\)"):
        fetch(record, folder=tmp_path, progress=False)


def test_no_server_at_all(server, record, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file.h5ad"
        with pytest.raises(ConnectionError, match="Nothing came"):
            fetch(record, folder=tmp_path, url=url, progress=False)
    assert names(tmp_path) == []


def test_an_empty_file_is_refused(server, record, tmp_path):
    server.content = b""
    with pytest.raises(OSError, match="sent an empty file"):
        fetch(dataclasses.replace(record, checksum=None), folder=tmp_path, progress=False)
    assert names(tmp_path) == []


def test_an_encoded_file_is_refused(server, record, tmp_path):
    server.encoding = "gzip"
    with pytest.raises(OSError, match="sends the file as gzip"):
        fetch(record, folder=tmp_path, progress=False)


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match="norman2019, replogle2022_rpe1, replogle2022_k562, combo"):
        fetch("norman")


def test_every_record_states_what_is_needed():
    for source in datasets.sources():
        assert source.url.startswith("https://")
        assert source.file.endswith(".h5ad")
        assert source.citation.count("doi:10.") >= 2
        assert source.checksum is None or re.fullmatch("md5:[0-9a-f]{32}", source.checksum)
        for part in (source.name, source.url, source.licence, source.citation):
            assert part in source.summary
    files = [source.file for source in datasets.sources()]
    assert len(set(files)) == len(files) == 4


def test_importing_the_room_starts_no_downloader():
    code = "import scbig.datasets, sys; print({'pooch', 'requests', 'tqdm'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
