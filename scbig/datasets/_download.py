"""A download that goes on where it stopped, and never makes a file of a part."""

import contextlib
import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from scbig._files import atomic

# urllib3 discards what it has of a chunk when the connection breaks: small chunks lose little.
CHUNK = 1 << 16

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclasses.dataclass(frozen=True)
class Kept:
    """What an earlier attempt left: so many bytes, of a file with this validator and length."""

    size: int = 0
    validator: str = ""
    total: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What asks for the rest, on condition that the file is still the same."""
        # A compressed answer would have another length than the file.
        headers = {"Accept-Encoding": "identity"}
        if self.size:
            headers["Range"] = f"bytes={self.size}-"
            if self.validator:
                headers["If-Range"] = self.validator
        return headers

    def continues(self, response: Any) -> bool:
        """Whether a partial answer is the rest of the same file."""
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != self.size:
            return False
        # Some servers answer with a part of the new file in spite of If-Range.
        same_length = self.total is None or found[2] in ("*", str(self.total))
        return same_length and _validator(response.headers) == self.validator


def state_of(part: pathlib.Path) -> pathlib.Path:
    """The file that says what `part` is a part of."""
    return part.with_name(part.name + ".json")


def download(
    url: str, part: pathlib.Path, *, checked: bool, progress: bool, timeout: float
) -> None:
    """Downloads `url` into `part`, or the rest of it if the server still has the same file.

    **Arguments:**

    - `checked`: whether a checksum will be verified afterwards. Without one, a part is only
        continued if the server can tell whether the file has changed.
    - `timeout`: seconds without an answer after which the attempt ends.

    **Raises:** an OSError for a refusal, an empty answer or a missing rest; `part` stays, for the
    next call.
    """
    with _locked(part) as file:
        kept = _kept(url, part, checked)
        if kept.size and kept.size == kept.total:
            return  # all of it came before; it was interrupted after that
        with _ask(url, kept, timeout) as response:
            _check_answer(url, response)
            start = kept.size if response.status_code == 206 else 0
            total = kept.total if start else _length(response)
            file.truncate(start)
            state = {"url": url, "validator": _validator(response.headers), "total": total}
            with atomic(state_of(part)) as temporary:
                temporary.write_text(json.dumps(state))
            _copy(response, file, start, total, part.name if progress else None)
        file.flush()
        _check_length(url, part, total)


@contextlib.contextmanager
def _locked(part: pathlib.Path) -> Iterator[BinaryIO]:
    """Opens `part` to append, for this process alone; an empty part does not stay."""
    with part.open("ab") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # Windows
            pass
        except BlockingIOError as error:
            message = f"{part} is being written by another process. Wait for it, then call again."
            raise BlockingIOError(error.errno, message) from error
        try:
            yield file
        except BaseException:
            with contextlib.suppress(OSError):
                file.flush()
            if part.stat().st_size == 0:
                part.unlink()
                state_of(part).unlink(missing_ok=True)
            raise


def _kept(url: str, part: pathlib.Path, checked: bool) -> Kept:
    size = part.stat().st_size
    try:
        state = json.loads(state_of(part).read_text())
        kept = Kept(size=size, validator=state["validator"], total=state["total"])
        same = state["url"] == url
    except (OSError, ValueError, KeyError, TypeError):
        return Kept()
    return kept if same and (kept.validator or checked) else Kept()


def _ask(url: str, kept: Kept, timeout: float) -> Any:
    import requests

    response = requests.get(url, headers=kept.headers, stream=True, timeout=timeout)
    status = response.status_code
    if kept.size and (status == 416 or (status == 206 and not kept.continues(response))):
        response.close()
        return _ask(url, Kept(), timeout)
    return response


def _check_answer(url: str, response: Any) -> None:
    """Raises unless the answer is the file, or the part of it that was asked for."""
    status, headers = response.status_code, response.headers
    if status != 200 and not (status == 206 and "Range" in response.request.headers):
        raise OSError(f"{url} answered {status} {response.reason}, not with the file.")
    encoding = headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise OSError(f"{url} sends the file as {encoding}, although asked for it as it is.")


def _validator(headers: Any) -> str:
    """What tells one version of the file from another; empty if the server says nothing."""
    etag = headers.get("ETag", "")
    # If-Range compares strongly, so that a weak tag never matches.
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")


def _length(response: Any) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _copy(response: Any, file: BinaryIO, start: int, total: int | None, name: str | None) -> None:
    from tqdm import tqdm

    with tqdm(
        total=total,
        initial=start,
        unit="B",
        unit_scale=True,
        desc=name,
        disable=name is None,
    ) as bar:
        for block in response.iter_content(CHUNK):
            file.write(block)
            bar.update(len(block))


def _check_length(url: str, part: pathlib.Path, total: int | None) -> None:
    size = part.stat().st_size
    if size == 0:
        raise OSError(f"{url} sent an empty file.")
    if total is not None and size != total:
        raise ConnectionError(f"{url} sent {size} of {total} bytes.")
