"""A local server that cuts, lies, forgets and changes its file; nothing else can be reached."""

import dataclasses
import hashlib
import http.server
import io
import socket
import threading

import h5py
import numpy as np
import pytest

from scbig import datasets
from scbig.datasets import Source


def make_hdf5(seed: int, size: int) -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as hdf5:
        noise = np.random.default_rng(seed).bytes(size)
        hdf5["noise"] = np.frombuffer(noise, np.uint8)
    return file.getvalue()


class Server(http.server.ThreadingHTTPServer):
    """What it serves, and how it misbehaves; `asked` holds the headers of every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = self.first = make_hdf5(0, 400_000)
        self.other = make_hdf5(1, 400_000)
        self.short = make_hdf5(2, 1000)
        self.etag: str | None = '"one"'
        self.modified: str | None = None
        self.ranges = True
        self.heed_if_range = True
        self.cut: int | None = None
        self.lie = 0
        self.tell_length = True
        self.status: int | None = None
        self.encoding: str | None = None
        self.asked: list[dict[str, str]] = []
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/file.h5ad"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, path = self.server, self.path
        if path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "/file.h5ad")
            self.end_headers()
            return
        server.asked.append(dict(self.headers))
        if server.status is not None:
            self.send_response(server.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = self.start_of_range()
        if start is not None and start >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.end_headers()
            return
        self.send_response(200 if start is None else 206)
        body = server.content[start or 0 :]
        self.send_file_headers(start, len(body))
        body = body[: server.cut]
        server.sent += len(body)
        self.wfile.write(body)

    def send_file_headers(self, start: int | None, length: int) -> None:
        server = self.server
        total = len(server.content)
        headers = {"ETag": server.etag, "Last-Modified": server.modified}
        headers["Content-Encoding"] = server.encoding
        if server.tell_length:
            headers["Content-Length"] = str(length + server.lie)
        if start is not None:
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()

    def start_of_range(self) -> int | None:
        server, asked = self.server, self.headers
        if not server.ranges or "Range" not in asked:
            return None
        wanted = asked.get("If-Range")
        if server.heed_if_range and wanted not in (None, server.etag, server.modified):
            return None
        return int(asked["Range"].removeprefix("bytes=").removesuffix("-"))

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch):
    """No test reaches another machine, through a proxy or otherwise."""
    monkeypatch.setenv("NO_PROXY", "*")
    connect = socket.socket.connect

    def checked(self, address):
        assert address[0] == "127.0.0.1", f"a test would connect to {address}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", checked)


@pytest.fixture
def server():
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def record(server) -> Source:
    """What the server serves at first, with its checksum."""
    return dataclasses.replace(
        datasets.sources()[0],
        file="screen.h5ad",
        url=server.url,
        checksum=f"md5:{hashlib.md5(server.first).hexdigest()}",
        size=len(server.first),
    )
