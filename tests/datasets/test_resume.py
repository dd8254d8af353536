"""A download that was interrupted goes on where it stopped, and never splices two files."""

import dataclasses

import pytest

from scbig.datasets import Source, _download, fetch


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def interrupt(server, record: Source, folder) -> int:
    """Fetches from a connection that breaks, and gives the size of what is left."""
    server.cut = 250_000
    with pytest.raises(ConnectionError, match="call again to go on from there"):
        fetch(record, folder=folder, progress=False)
    server.cut = None
    assert names(folder) == ["screen.h5ad.part", "screen.h5ad.part.json"]
    left = (folder / "screen.h5ad.part").read_bytes()
    assert 0 < len(left) <= 250_000
    assert left == server.content[: len(left)]
    return len(left)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("path", ["/file.h5ad", "/moved/1"])
def test_a_cut_download_goes_on_where_it_stopped(server, record, tmp_path, known, path):
    url = server.url.replace("/file.h5ad", path)
    record = dataclasses.replace(record, url=url, checksum=record.checksum if known else None)
    left = interrupt(server, record, tmp_path)
    server.sent = 0
    assert fetch(record, folder=tmp_path, progress=False).read_bytes() == server.first
    assert server.asked[-1]["Range"] == f"bytes={left}-"
    assert server.asked[-1]["If-Range"] == '"one"'
    assert server.sent == len(server.first) - left
    assert [name for name in names(tmp_path) if "part" in name] == []


def test_a_date_serves_where_the_tag_is_weak(server, record, tmp_path):
    server.etag, server.modified = 'W/"one"', "Mon, 02 Nov 2020 10:00:00 GMT"
    interrupt(server, record, tmp_path)
    assert fetch(record, folder=tmp_path, progress=False).read_bytes() == server.first
    assert server.asked[-1]["If-Range"] == server.modified


def test_a_server_without_ranges_sends_it_whole_again(server, record, tmp_path):
    server.ranges = False
    interrupt(server, record, tmp_path)
    server.sent = 0
    assert fetch(record, folder=tmp_path, progress=False).read_bytes() == server.first
    assert server.sent == len(server.first)


@pytest.mark.parametrize("heed", [True, False])
def test_a_file_that_changed_in_between_is_not_spliced(server, record, tmp_path, heed):
    record = dataclasses.replace(record, checksum=None)
    interrupt(server, record, tmp_path)
    server.content, server.etag, server.heed_if_range = server.other, '"two"', heed
    assert fetch(record, folder=tmp_path, progress=False).read_bytes() == server.other


def test_a_shorter_file_is_not_spliced(server, record, tmp_path):
    record = dataclasses.replace(record, checksum=None)
    interrupt(server, record, tmp_path)
    server.content, server.heed_if_range = server.short, False
    assert fetch(record, folder=tmp_path, progress=False).read_bytes() == server.short


@pytest.mark.parametrize("known", [True, False])
def test_without_a_validator_only_a_checksum_allows_to_go_on(server, record, tmp_path, known):
    server.etag = None
    record = dataclasses.replace(record, checksum=record.checksum if known else None)
    interrupt(server, record, tmp_path)
    assert fetch(record, folder=tmp_path, progress=False).read_bytes() == server.first
    assert ("Range" in server.asked[-1]) == known


def test_a_part_of_another_address_is_not_continued(server, record, tmp_path):
    interrupt(server, record, tmp_path)
    url = server.url.replace("/file", "/mirror/file")
    assert fetch(record, folder=tmp_path, url=url, progress=False).read_bytes() == server.first
    assert "Range" not in server.asked[-1]


def test_a_part_that_was_whole_is_taken_without_asking(server, record, tmp_path):
    interrupt(server, record, tmp_path)
    (tmp_path / "screen.h5ad.part").write_bytes(server.first)
    asked = len(server.asked)
    assert fetch(record, folder=tmp_path, progress=False).read_bytes() == server.first
    assert len(server.asked) == asked
    assert names(tmp_path) == ["screen.h5ad"]


def test_an_interrupt_from_the_keyboard_keeps_the_part(
    server, record, tmp_path, monkeypatch, capsys
):
    import requests

    whole = requests.Response.iter_content

    def interrupted(self, size):
        yield next(whole(self, size))
        raise KeyboardInterrupt

    monkeypatch.setattr(requests.Response, "iter_content", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(record, folder=tmp_path, progress=False)
    assert "call again to go on from there" in capsys.readouterr().err
    monkeypatch.undo()
    size = (tmp_path / "screen.h5ad.part").stat().st_size
    assert fetch(record, folder=tmp_path, progress=False).read_bytes() == server.first
    assert server.asked[-1]["Range"] == f"bytes={size}-"


def test_a_refusal_later_keeps_what_came(server, record, tmp_path):
    interrupt(server, record, tmp_path)
    server.status = 503
    with pytest.raises(OSError, match="answered 503"):
        fetch(record, folder=tmp_path, progress=False)
    server.status = None
    assert fetch(record, folder=tmp_path, progress=False).read_bytes() == server.first
    assert "Range" in server.asked[-1]


def test_a_full_disk_is_named_and_the_rest_comes_later(server, record, tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, hard))
    try:
        with pytest.raises(OSError, match="There is no room for screen.h5ad") as caught:
            fetch(record, folder=tmp_path, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(tmp_path) in str(caught.value)
    assert not (tmp_path / "screen.h5ad").exists()
    left = (tmp_path / "screen.h5ad.part").read_bytes()
    assert left == server.first[: len(left)]
    assert fetch(record, folder=tmp_path, progress=False).read_bytes() == server.first
    assert server.asked[-1]["Range"] == f"bytes={len(left)}-"


def test_two_downloads_do_not_write_the_same_part(server, record, tmp_path):
    pytest.importorskip("fcntl")
    part = tmp_path / "screen.h5ad.part"
    with _download._locked(part) as file:
        with pytest.raises(OSError, match="another process"):
            fetch(record, folder=tmp_path, progress=False)
        file.write(b"undisturbed")
    assert part.read_bytes() == b"undisturbed"
    assert server.asked == []
    assert fetch(record, folder=tmp_path, progress=False).read_bytes() == server.first
