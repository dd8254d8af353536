"""One version, wherever it is written."""

import pathlib
import re
import tomllib

import scbig

ROOT = pathlib.Path(__file__).parents[1]


def test_all_versions_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    changes = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert citation is not None
    assert changes is not None
    assert {project["version"], citation.group(1), changes.group(1)} == {scbig.__version__}


def test_the_licence_is_the_one_that_is_cited():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"license: {project['license']}\n" in (ROOT / "CITATION.cff").read_text()
