"""`scbig rank`: a table of pairs nobody did, and what it says of bad input."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from scbig.cli import main
from scbig.method import but
from scbig.service import TrainedModel, save

from ..analysis.test_ranking import untrained


@pytest.fixture(scope="module")
def made(four_genes, tmp_path_factory):
    """Cells and two models."""
    folder = tmp_path_factory.mktemp("rank")
    four_genes.to_anndata().write_h5ad(folder / "cells.h5ad")
    for seed in (0, 1):
        save(untrained(four_genes, seed), folder / f"m{seed}.scbig")
    return folder


@pytest.fixture
def files(made, tmp_path):
    """The same, in a folder of its own."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def words(files, *more: str, models: tuple[int, ...] = (0, 1)) -> list[str]:
    paths = [str(files / f"m{seed}.scbig") for seed in models]
    own = ["--data", str(files / "cells.h5ad"), "--out", str(files / "ranks.csv")]
    return ["rank", "--model", *paths, *own, "--cells", "8", *more]


def test_pairs_are_ranked_by_a_program_of_the_model(files, capsys):
    assert main(words(files, "--program", "1", "--top", "2")) == 0
    said = capsys.readouterr().out
    assert "6 rows by their predicted effect on the mean of 5 genes, of 2 model(s)" in said
    table = pd.read_csv(files / "ranks.csv")
    assert [*table["rank"]] == [1, 2, 3, 4, 5, 6]
    assert {*table["condition"][table["measured"]]} == {
        "g0+g1", "g0+g2", "g0+g3", "g1+g3", "g2+g3",
    }  # fmt: skip
    assert np.isfinite(table["spread"]).all()
    # The program's genes, by name, are the same question.
    genes = [f"g{n}" for n in range(1, 20, 4)]
    assert main(words(files, "--genes", *genes)) == 0
    pd.testing.assert_frame_equal(pd.read_csv(files / "ranks.csv"), table)


def test_candidates_are_read_from_a_file(files):
    (files / "some.txt").write_text("g3\n\ng0\ng3\n")
    more = ("--candidates", str(files / "some.txt"), "--singles", "--down", "--genes", "g5")
    assert main(words(files, *more, models=(0,))) == 0
    table = pd.read_csv(files / "ranks.csv")
    assert sorted(table["condition"]) == ["g0", "g0+g3", "g3"]
    assert (np.diff(table["effect"]) >= 0).all()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "either --program or --genes"),
        (("--program", "1", "--genes", "g1"), "either --program or --genes"),
        (("--program", "4"), "programs 0 to 3; got 4"),
        (("--genes", "none"), "no gene 'none'"),
    ],
)
def test_what_it_cannot_rank_by_is_said(files, capsys, more, said):
    assert main(words(files, *more)) == 1
    assert said in capsys.readouterr().err
    assert not (files / "ranks.csv").exists()


@pytest.fixture
def unpredicted(monkeypatch):
    """Fails where anything is predicted."""

    def predict(*_, **__):
        pytest.fail("a condition was predicted before all were known to be readable")

    monkeypatch.setattr(TrainedModel, "predict", predict)


def refused(files, capsys, *more: str, models=(0, 1)) -> str:
    """What is said of a call that ends without a table."""
    assert main(words(files, "--genes", "g5", *more, models=models)) == 1
    assert not (files / "ranks.csv").exists()
    return capsys.readouterr().err


def of(files, text: str) -> tuple[str, str]:
    """The words for a file of candidates with this text."""
    (files / "some.txt").write_text(text)
    return "--candidates", str(files / "some.txt")


MANY = "".join(f"g{number}\n" for number in range(4))


def test_a_candidate_without_a_vector_is_named_before_anything_is_predicted(
    files, capsys, unpredicted
):
    said = refused(files, capsys, *of(files, MANY + "zz9\n"))
    assert said.startswith(
        f"scbig: {files / 'm0.scbig'}: No embedding for 1 perturbation(s): 'zz9'"
    )
    assert "The model knows 4 names" in said
    # The names that are like it.
    said = refused(files, capsys, *of(files, MANY + "g33\n"))
    assert "'g33'. Close to g33: g3" in said


def test_a_condition_to_predict_is_named_before_anything_is_predicted(files, capsys, unpredicted):
    asked = ("predict", "--model", files / "m0.scbig", "--data", files / "cells.h5ad")
    many = [f"g{number % 4}+g{(number + 1) % 4}" for number in range(4)]
    given = [*map(str, asked), "--out", str(files / "o.h5ad"), "--conditions", *many, "g0+zz9"]
    assert main(given) == 1
    assert "No embedding for 1 perturbation(s): 'zz9'" in capsys.readouterr().err


def test_every_model_must_know_every_candidate(files, four_genes, capsys, unpredicted):
    other = untrained(four_genes, 1)
    names = dataclasses.replace(other.names, perturbations=("g0", "g1", "g2", "h"))
    save(dataclasses.replace(other, names=names), files / "m1.scbig")
    said = refused(files, capsys, *of(files, MANY))
    assert said.startswith(f"scbig: {files / 'm1.scbig'}: No embedding for 1 perturbation(s): 'g3'")
    # What was perturbed in the cells is asked for in the same way.
    assert refused(files, capsys) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("g0\n\ncontrol\ng1\n", "line 3: 'control' is a control, and a candidate is one"),
        ("g0\nnon-targeting\n", "line 2: 'non-targeting' is a control, and a candidate is one"),
        ("g0\n g2+g1 \n", "line 2: 'g2+g1' is a combination, and a candidate is one"),
        ("g0+\n", "line 1: The condition 'g0+' has an empty name in it"),
        ("g0@1\ng1\ng0@2\n", "line 3: 'g0@2' is there as 'g0@1' too: keep one dose."),
        ("g0@1\ng1\n", "have a dose, but no training condition had one: 'g0@1'"),
        ("g0\n", "make no pair"),
        ("\n", "make no pair"),
    ],
)
def test_a_line_that_is_not_one_perturbation_is_refused(files, capsys, unpredicted, text, said):
    found = refused(files, capsys, *of(files, text))
    assert said in found
    assert found.count("\n") == 1
    if "line" in said:
        assert found.startswith(f"scbig: {files / 'some.txt'}, line ")


def test_candidates_are_read_as_the_labels_of_the_cells_are(files):
    (files / "some.txt").write_bytes(b"\xef\xbb\xbfg3+ctrl\r\ng0\r\ng3\r\n")
    more = ("--candidates", str(files / "some.txt"), "--singles", "--genes", "g5")
    assert main(words(files, *more, models=(0,))) == 0
    assert {*pd.read_csv(files / "ranks.csv")["condition"]} == {"g0", "g3", "g0+g3"}


def test_more_perturbations_than_a_model_reads_are_refused_at_once(
    files, four_genes, capsys, unpredicted
):
    single = untrained(four_genes, 0)
    config = but(single.config, max_tokens=1)
    save(dataclasses.replace(single, config=config), files / "m0.scbig")
    assert "more than max_tokens=1 perturbations: 'g0+g1'" in refused(files, capsys, models=(0,))


@pytest.mark.parametrize("option", ["--model", "--candidates", "--data"])
@pytest.mark.parametrize("there", [True, False])
def test_a_file_that_is_not_there_is_named_with_what_it_should_be(files, capsys, option, there):
    path = files / "other"
    if there:
        path.mkdir()
    should = {
        "--model": "a model, such as the file model.scbig of a run",
        "--candidates": "the candidates, a text with one perturbation in each line",
        "--data": "cells, an h5ad file or a zarr folder",
    }[option]
    said = refused(files, capsys, option, str(path))
    if there and option == "--data":
        assert "cannot be read as h5ad or zarr" in said
    else:
        begins = f"{path} is a folder" if there else f"There is no file {path}"
        assert said == f"scbig: {begins}: it should be {should}.\n"


def test_candidates_that_are_no_text_are_refused(files, capsys):
    (files / "some.txt").write_bytes(b"\xff\xfe\x00g")
    more = ("--candidates", str(files / "some.txt"))
    assert f"{files / 'some.txt'} cannot be read as text" in refused(files, capsys, *more)
