"""Pathway libraries: the GMT reader, and membership against set intersections."""

import gzip

import numpy as np
import pytest

from scbig.priors import PathwayLibrary, read_pathways

LIBRARY = PathwayLibrary({"one": ("A", "B", "C", "Z"), "two": ("C", "A"), "three": ("Y", "Z")})


@pytest.mark.parametrize("suffix", [".gmt", ".gmt.gz", ".GMT"])
def test_gmt_is_read(suffix, tmp_path):
    text = b"one\tabout one\tA\tB\tA\ntwo\t\tC\t\t\n\nthree\thttp://x\tNAN\r\n"
    path = tmp_path / f"sets{suffix}"
    path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    sets = read_pathways(path).sets
    assert sets == {"one": ("A", "B"), "two": ("C",), "three": ("NAN",)}
    assert list(sets) == ["one", "two", "three"]


def test_blanks_remarks_and_quotation_marks_are_no_part_of_a_name(tmp_path):
    text = '\ufeff# by me\n#name\tabout\tgenes\r\none \tx\t A \tB\u200b\t\r\n"two"\t\t"C"\r\n'
    (tmp_path / "x.gmt").write_bytes(text.encode())
    assert read_pathways(tmp_path / "x.gmt").sets == {"one": ("A", "B"), "two": ("C",)}


def test_genes_in_the_place_of_descriptions_are_an_error(tmp_path):
    path = tmp_path / "x.gmt"
    path.write_text("one\tA\tB\tC\ntwo\tB\tA\tD\nthree\tD\tE\n")
    with pytest.raises(
        ValueError, match=r"x\.gmt: the descriptions of 3 of 3 sets are genes .*'A'"
    ):
        read_pathways(path)
    # Sets of targets may be described by their factor, which is their name.
    path.write_text("A\tA\tB\tC\nB\tB\tA\tD\nC\tA\tE\n")
    assert list(read_pathways(path).sets) == ["A", "B", "C"]


BROKEN = {
    "blank.gmt": ("one\tx\tA\t \tB\n", r"line 1: not GMT"),
    "short.gmt": ("one\tx\tA\ntwo\tx\n", r"line 2: not GMT"),
    "hole.gmt": ("one\tx\tA\t\tB\n", r"line 1: not GMT"),
    "spaces.gmt": ("one x A B\n", r"line 1: not GMT"),
    "nameless.gmt": ("one\tx\tA\n\tx\tB\n", r"line 2: not GMT"),
    "twice.gmt": ("one\tx\tA\n\none\ty\tB\n", r"line 3: the set 'one' was there before"),
    "empty.gmt": ("\n", "no sets"),
    "sets.json": ("{}", r"none of the formats that are read: \.gmt"),
    "packed.gmt.gz": ("one\tx\tA\n", "read as text"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_explained(name, tmp_path):
    text, message = BROKEN[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_pathways(tmp_path / name)
    assert name in str(caught.value)


def test_bytes_that_are_no_text_are_explained(tmp_path):
    (tmp_path / "x.gmt").write_bytes(b"one\tx\t\xff\xfe\n")
    with pytest.raises(ValueError, match="read as text"):
        read_pathways(tmp_path / "x.gmt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.gmt"):
        read_pathways(tmp_path / "absent.gmt")


def test_align_keeps_the_sets_that_are_large_enough():
    membership = LIBRARY.align(["C", "Z", "D", "A"], min_genes=2)
    assert membership.names == ("one", "two")
    assert membership.dropped == ("three",)
    np.testing.assert_array_equal(membership.matrix, [[1, 1, 0, 1], [1, 0, 0, 1]])
    assert membership.matrix.dtype == bool
    assert membership.coverage.missing == ("D",)
    assert membership.summary() == (
        "pathways: 2 of 3 sets have at least 2 of the genes; "
        "pathways: 3 of 4 genes (75.0 %); missing 1: 'D'"
    )


def test_a_gene_only_in_dropped_sets_is_not_covered():
    membership = LIBRARY.align(["A", "B", "C", "Y"])
    assert membership.names == ("one",)
    assert membership.coverage.missing == ("Y",)


def test_no_overlap_is_an_error_with_examples():
    with pytest.raises(ValueError, match=r"none of the 1 genes \('ENSG1'\) .*5 names \('A', 'B',"):
        LIBRARY.align(["ENSG1"])
    with pytest.raises(ValueError, match=r"no set has 3 of the 2 genes; the best has 2"):
        LIBRARY.align(["A", "C"])


def test_bad_requests():
    with pytest.raises(ValueError, match="min_genes must be at least 1"):
        LIBRARY.align(["A"], min_genes=0)
    with pytest.raises(ValueError, match="must be unique; 1 occur"):
        LIBRARY.align(["A", "A"])
    with pytest.raises(ValueError, match="1 have no genes: 'hollow'"):
        PathwayLibrary({"hollow": (), "full": ("A",)})
    with pytest.raises(ValueError, match="0 sets"):
        PathwayLibrary({})


def test_checksums_tell_contents_apart(tmp_path):
    sets = [
        {"one": ("A", "B"), "two": ("C",)},
        {"two": ("C",), "one": ("A", "B")},
        {"one": ("A",), "two": ("B", "C")},
        {"one": ("B", "A"), "two": ("C",)},
        {"on": ("A", "B"), "etwo": ("C",)},
    ]
    assert len({PathwayLibrary(one).checksum for one in sets}) == len(sets)
    (tmp_path / "x.gmt").write_text("one\tany words\tA\tB\ntwo\t\tC\n")
    assert read_pathways(tmp_path / "x.gmt").checksum == PathwayLibrary(sets[0]).checksum


@pytest.mark.parametrize("file", ["ReactomePathways.gmt", "hallmark.gmt"])
def test_real_pathways_match_set_intersections(file, shared_file):
    path = shared_file(f"priors/{file}")
    sets = {}
    for line in path.read_text().splitlines():
        name, _, *members = line.split("\t")
        sets[name] = set(members)
    genes = sorted(set().union(*sets.values()))[::7]
    membership = read_pathways(path).align(genes)
    kept = {name: members & set(genes) for name, members in sets.items()}
    kept = {name: members for name, members in kept.items() if len(members) >= 3}
    assert membership.names == tuple(kept)
    for row, name in zip(membership.matrix, membership.names, strict=True):
        assert {gene for gene, member in zip(genes, row, strict=True) if member} == kept[name]
    assert len(membership.names) + len(membership.dropped) == len(sets)
    covered = set().union(*kept.values())
    assert membership.coverage.missing == tuple(gene for gene in genes if gene not in covered)
