"""The README's example runs as printed, but for a smaller configuration."""

import functools
import pathlib
import re

import pytest

import scbig

from .experiments.small import bare

README = pathlib.Path(__file__).parents[1] / "README.md"
PAGES = [README, *sorted((README.parent / "docs").glob("*.md"))]
FILES = {
    "screen.h5ad": "data/norman19_k562_3375x500.h5ad",
    "embeddings.npz": "priors/enformer_tss_19685x32.npz",
    "interactions.tsv.gz": "priors/string_v12_ge800.tsv.gz",
    "pathways.gmt": "priors/ReactomePathways.gmt",
}


@pytest.mark.slow
def test_the_example_runs_as_printed(shared_file, tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    for name, source in FILES.items():
        assert name in example
        (tmp_path / name).symlink_to(shared_file(source))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scbig.method.cpu", bare)
    exec(compile(example, str(README), "exec"), {})
    said = capsys.readouterr().out
    assert "KLF1+MAP2K6" in said
    assert "pearson_delta" in said


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_name_that_a_page_uses_is_there(page):
    names = set(re.findall(r"(?<![\w./-])scbig(?:\.[A-Za-z]\w*)+", page.read_text()))
    for name in names:
        functools.reduce(getattr, name.split(".")[1:], scbig)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_test_that_a_page_names_is_there(page):
    for file, name in re.findall(
        r"`((?:property_)?tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text()
    ):
        text = (README.parent / file).read_text()
        assert f"def {name}(" in text or not name, f"{file}::{name}"


def test_every_room_is_in_the_table():
    rooms = re.findall(r"^\| `scbig/(\w+)` \|", README.read_text(), re.MULTILINE)
    folders = {path.parent.name for path in (README.parent / "scbig").glob("*/__init__.py")}
    assert len(rooms) == len(set(rooms))
    assert set(rooms) == folders
    # Whatever else has been imported: attributes of a package appear with its submodules.
    assert set(scbig._ROOMS) == folders


@pytest.mark.parametrize("marker", ["quick start", "tests"])
def test_the_commands_that_ci_reads_are_there(marker):
    found = re.findall(rf"<!-- {marker} -->\n```bash\n(.*)\n```", README.read_text())
    assert len(found) == 1
    assert found[0].startswith("python -m pip install -c constraints.txt -e ")
