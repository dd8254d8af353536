"""Scripts find what they share as if they were run from the command line."""

import pytest

from .small import EXPERIMENTS


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """`experiments/tools` is `tools` to a script in `experiments`."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
