"""Seconds, and the most memory that the process held meanwhile."""

import threading
import time
from types import TracebackType

_EVERY = 0.2
_STATUS = "/proc/self/statm"


class Cost:
    """Measures what runs inside of it.

    **Fields:** `seconds`, on the clock; `megabytes`, the process's largest resident memory in that
    time, data and compiled code and all, looked at five times a second; NaN where the system does
    not tell.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.megabytes = float("nan")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Cost":
        self._begun = time.perf_counter()
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
        self._look()
        self.seconds = time.perf_counter() - self._begun

    def _watch(self) -> None:
        while not self._done.wait(_EVERY):
            self._look()

    def _look(self) -> None:
        import mmap
        import pathlib

        status = pathlib.Path(_STATUS)
        if status.exists():
            pages = int(status.read_text().split()[1])
            now = pages * mmap.PAGESIZE / 2**20
            self.megabytes = now if self.megabytes != self.megabytes else max(self.megabytes, now)
