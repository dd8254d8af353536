"""`scbig rank`: a table of pairs nobody did, and what it says of bad input."""

import numpy as np
import pandas as pd
import pytest

from scbig.cli import main
from scbig.service import save

from ..analysis.test_ranking import untrained


@pytest.fixture
def files(four_genes, tmp_path):
    """Cells and two models."""
    four_genes.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    for seed in (0, 1):
        save(untrained(four_genes, seed), tmp_path / f"m{seed}.scbig")
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


def test_a_candidate_without_a_vector_is_named_and_nothing_is_written(files, capsys):
    (files / "some.txt").write_text("g0\nNOPE\n")
    more = ("--candidates", str(files / "some.txt"), "--genes", "g5")
    assert main(words(files, *more)) == 1
    assert "NOPE" in capsys.readouterr().err
    assert not (files / "ranks.csv").exists()
    (files / "some.txt").write_text("g0\n")
    assert main(words(files, *more)) == 1
    assert "make no pair" in capsys.readouterr().err
