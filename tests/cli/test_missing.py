"""A file that is not there, or is a folder, is named by every command, with what it should be."""

import pytest

from scbig.cli import main

MODEL = "a model, such as the file model.scbig of a run"
SPLIT = "a split, a JSON file that Split.save wrote"
CELLS = "cells, an h5ad file or a zarr folder"
PREDICT = ("predict", "--data", "d.h5ad", "--out", "o.h5ad", "--conditions", "A")
RANK = ("rank", "--data", "d.h5ad", "--out", "o.csv", "--genes", "A")
EVALUATE = ("evaluate", "--data", "d.h5ad", "--predicted", "p.h5ad", "--out", "o.csv")


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize(
    ("words", "option", "should"),
    [
        (PREDICT, "--model", MODEL),
        ((*PREDICT, "--model", "m.scbig"), "--split", SPLIT),
        (RANK, "--model", MODEL),
    ],
)
def test_a_file_that_is_not_there_or_a_folder_is_one_sentence(
    tmp_path, monkeypatch, capsys, words, option, should, folder
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "runs"
    if folder:
        path.mkdir()
    assert main([*words, option, str(path)]) == 1
    said = f"{path} is a folder" if folder else f"There is no file {path}"
    assert capsys.readouterr().err == f"scbig: {said}: it should be {should}.\n"


@pytest.mark.parametrize(
    "words", [("inspect", "d.h5ad"), EVALUATE, ("fit", "--data", "d.h5ad", "--out", "run")]
)
def test_cells_that_are_not_there_are_one_sentence(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1
    assert capsys.readouterr().err == f"scbig: There is no file d.h5ad: it should be {CELLS}.\n"
