import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from scbig import programs

GENES = ("KLF1", "NA", "TP53", "MT-CO1", "GATA1")


@pytest.fixture
def hard():
    partition = programs.GenePartition.from_labels(np.array([1, 0, 1, 2, 0], np.int32), 3)
    made_with = {"config": {"clusters": 3}, "embeddings": "abc"}
    return programs.ProgramTable(GENES, partition, ("heme", "cycle", "P2"), made_with)


@pytest.fixture
def soft():
    shares = np.array([[0.5, 0.5], [1, 0], [0.9, 0.1], [0.25, 0.75], [1, 0]])
    choice = np.array([[0, 1], [1, 0], [2, 0], [1, 2], [0, 1]])
    partition = programs.SoftPartition.from_shares(choice, shares, 3)
    return programs.ProgramTable.of(GENES, partition)


def write(path, text):
    path.write_text(text)
    return path


def same(one, other):
    x = jnp.asarray(np.random.default_rng(0).normal(size=len(one.genes)), jnp.float32)
    np.testing.assert_allclose(one.partition.gather(x), other.partition.gather(x), rtol=1e-6)
    np.testing.assert_allclose(one.partition.scatter(one.partition.gather(x)), x, rtol=1e-5)


@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_a_table_comes_back_as_it_was_saved(kind, request, tmp_path):
    table = request.getfixturevalue(kind)
    table.save(tmp_path / "programs.csv")
    read = programs.read_programs(tmp_path / "programs.csv").align(GENES)
    assert read.genes == table.genes
    assert read.names == table.names
    assert read.provenance == table.provenance
    assert type(read.partition) is type(table.partition)
    same(read, table)


def test_the_file_is_a_plain_table(hard, tmp_path):
    hard.save(tmp_path / "programs.csv")
    plain = pd.read_csv(tmp_path / "programs.csv", comment="#", keep_default_na=False)
    assert plain.to_dict("list") == {
        "gene": ["NA", "GATA1", "KLF1", "TP53", "MT-CO1"],
        "program": ["heme", "heme", "cycle", "cycle", "P2"],
        "slot": [0, 1, 0, 1, 0],
    }


def test_an_empty_program_keeps_its_place(tmp_path):
    partition = programs.GenePartition.from_labels(np.array([0, 2, 2], np.int32), 4)
    programs.ProgramTable.of(("A", "B", "C"), partition).save(tmp_path / "p.csv")
    read = programs.read_programs(tmp_path / "p.csv")
    assert read.names == ("P0", "P1", "P2", "P3")
    np.testing.assert_array_equal(read.partition.sizes, [1, 0, 2, 0])


def test_ones_own_programs_of_any_names_and_sizes(tmp_path):
    path = write(tmp_path / "own.csv", "gene,program,why\nB,cell cycle,x\nA,7,\nC,cell cycle,y\n")
    table = programs.read_programs(path)
    assert table.genes == ("B", "A", "C")
    assert table.names == ("cell cycle", "7")
    np.testing.assert_array_equal(table.partition.labels, [0, 1, 0])
    shared = write(tmp_path / "soft.csv", "gene,program,share\nA,x,3\nA,y,1\nB,y,2\n")
    soft = programs.read_programs(shared).partition
    np.testing.assert_allclose(soft.average(jnp.asarray([8.0, 2.0])), [8, (2 + 2) / 1.25])


@pytest.mark.parametrize("comma", [",", ";", "\t", "|"])
def test_tables_as_spreadsheets_write_them(comma, tmp_path):
    half = "0.5" if comma == "," else "0,5"
    rows = [("gene ", "program", "share"), ("A", " x", half), ("A\u200b", "y\u00a0", half)]
    rows.append(("HLA\u2013A ", "x", "1"))
    path = tmp_path / "own.csv"
    path.write_text("\ufeff" + "\r\n".join(map(comma.join, rows)), encoding="utf-8")
    table = programs.read_programs(path)
    assert (table.genes, table.names) == (("A", "HLA-A"), ("x", "y"))
    assert table.to_frame()["share"].tolist() == [0.5, 1, 0.5]
    path.write_bytes(path.read_text(encoding="utf-8").encode("utf-16"))
    with pytest.raises(ValueError, match=r"own\.csv cannot be read as text in UTF-8"):
        programs.read_programs(path)


def test_programs_follow_the_genes_of_the_data_by_name(hard, soft):
    other = ("GATA1", "MT-CO1", "KLF1", "TP53", "NA")
    np.testing.assert_array_equal(hard.align(other).partition.labels, [0, 2, 1, 1, 0])
    x = jnp.asarray([1.0, 2.0, 3.0, 4.0, 5.0])
    moved = x[jnp.asarray([4, 3, 0, 2, 1])]
    for table in (hard, soft):
        np.testing.assert_allclose(
            table.align(other).partition.average(moved), table.partition.average(x), rtol=1e-6
        )


def test_other_genes_are_an_error_unless_something_is_said_about_them(hard, soft):
    with pytest.raises(ValueError, match="2 of 4 genes are in no program: 'MYC', 'FOS'"):
        hard.align(("MYC", "KLF1", "FOS", "TP53"))
    with pytest.raises(ValueError, match="3 genes of the table.*'GATA1', 'MT-CO1', 'NA'"):
        hard.align(("MYC", "KLF1", "TP53"), missing="together")
    with pytest.raises(ValueError, match="none of the 2 genes"):
        hard.align(("ENSG1", "ENSG2"), missing="together", extra="drop")
    with pytest.raises(ValueError, match="distinct"):
        hard.align(("KLF1", "KLF1"))
    for table in (hard, soft):
        found = table.align(("MYC", "KLF1", "TP53"), missing="together", extra="drop")
        assert found.names == (*table.names, "unassigned")
        assert found.partition.labels[0] == 3
        np.testing.assert_array_equal(found.partition.labels[1:], table.partition.labels[::2][:2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "gene,cluster\nA,1\n",
            "with the columns 'gene' and 'program'; got 1 rows with 'gene', 'cluster'",
        ),
        ("gene,program\n", "0 rows"),
        ("", "cannot be read as csv"),
        ("gene,program\nA,1\nB,\n", r"1 rows lack.*\[2\]"),
        (
            "gene,program\nA,1\nB,1\nA,2\n",
            "1 genes are there more than once: 'A'. A gene in several",
        ),
        ("gene,program\nA,1\nA ,2\n", "1 genes are there more than once: 'A'"),
        ("gene,program,share\nA,1,1\nA,1,1\n", "more than once: 'A'.$"),
        ("gene,program,share\nA,1,0\n", "no share"),
        ("gene,program,share\nA,1,x\n", r"1 rows lack.*a share is no number.*\[1\]"),
        (
            '# scBIG gene programs {"programs": ["P0"]\ngene,program\nA,P0\n',
            "first line is damaged",
        ),
        ('# scBIG gene programs {"programs": ["P0"]}\ngene,program\nA,P1\n', "does not name 'P1'"),
    ],
)
def test_a_broken_table_is_named(text, message, tmp_path):
    path = write(tmp_path / "own.csv", text)
    with pytest.raises(ValueError, match=message):
        programs.read_programs(path)


def test_no_table(tmp_path):
    with pytest.raises(FileNotFoundError, match="gene programs: no such file"):
        programs.read_programs(tmp_path / "absent.csv")


def test_names_must_fit(hard):
    with pytest.raises(ValueError, match="5 genes in 3 programs, but there are 4 gene and 3"):
        programs.ProgramTable(GENES[:4], hard.partition, hard.names)
    with pytest.raises(ValueError, match="program names must be distinct"):
        programs.ProgramTable(GENES, hard.partition, ("a", "a", "b"))
