"""The real data, where it is at hand."""

import os
import pathlib

import pytest

SHARED = pathlib.Path(os.environ.get("SCBIG_SHARED", pathlib.Path(__file__).parents[2] / "shared"))


@pytest.fixture
def shared_file():
    """Finds a file of the shared data folder, or skips the test, visibly."""

    def find(relative: str) -> pathlib.Path:
        path = SHARED / relative
        if not path.exists():
            pytest.skip(f"{relative} is not in {SHARED}; set SCBIG_SHARED to its folder")
        return path

    return find
