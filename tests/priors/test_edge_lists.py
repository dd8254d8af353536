"""Edge lists as people save them: other separators, other columns, scores, and no edges at all."""

import gzip
import re

import numpy as np
import pytest

from scbig.priors import read_interactions

PAIRS = [("KLF1", "GATA1"), ("GATA1", "TP53"), ("TP53", "MDM2"), ("MDM2", "KLF1")]
KINDS = ("activates", "inhibits", "activates", "binds")
SCORES = (0.9, 0.15, 0.7, 0.4)

# How a row is written, and what its first line is: with and without header, in every order.
ROWS = {
    "as usual": ("gene1 gene2", "{a} {b}"),
    "no header": (None, "{a} {b}"),
    "kind in the middle": ("source interaction target", "{a} {kind} {b}"),
    "kind in the middle, no header": (None, "{a} {kind} {b}"),
    "kind first": (None, "{kind} {a} {b}"),
    "score first": ("confidence a b", "{score} {a} {b}"),
    "score first, no header": (None, "{score} {a} {b}"),
    "row number first": ("row regulator regulated", "{n} {a} {b}"),
    "row number first, no header": (None, "{n} {a} {b}"),
    "pandas' index": (" x y", "{n} {a} {b}"),
    "R's row names": ("gene_a gene_b", "{n} {a} {b}"),
    "all of these": ("id kind left score right", "{n} {kind} {a} {score} {b}"),
}
# A blank that begins a line divides nothing.
IMPOSSIBLE = ("blanks.txt", "pandas' index")
SEPARATORS = {
    ".tsv": "\t",
    ".csv": ",",
    "semicolons.csv": ";",
    "commas.txt": ",",
    "blanks.txt": " ",
    "bars.txt": "|",
}
FORMS = [(name, form) for name in SEPARATORS for form in ROWS if (name, form) != IMPOSSIBLE]


def written(path, separator, head, row, *, mark=""):
    """An edge list of this form, many times over so that no column is unique."""
    lines = [] if head is None else [head]
    for n in range(3 * len(PAIRS)):
        (a, b), kind = PAIRS[n % len(PAIRS)], KINDS[n % len(PAIRS)]
        lines.append(row.format(a=a, b=b, kind=kind, n=n + 1, score=SCORES[n % len(PAIRS)]))
    text = "\r\n".join(line.replace(" ", separator) for line in lines) + "\r\n"
    data = mark.encode() + text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte-order mark"])
@pytest.mark.parametrize(("name", "form"), FORMS)
def test_the_genes_are_found_in_every_form(name, form, mark, tmp_path):
    separator, (head, row) = SEPARATORS[name], ROWS[form]
    graph = read_interactions(written(tmp_path / f"edges{name}", separator, head, row, mark=mark))
    assert list(zip(graph.first, graph.second, strict=True)) == PAIRS * 3
    assert graph.note.startswith("genes in the columns ")


@pytest.mark.parametrize(
    "remarks", ["# from a paper\n", "#one\n#two, three\n\n", "#a\n#gene1\tgene2\n"]
)
def test_lines_of_remarks_before_the_table_are_no_edges(remarks, tmp_path):
    lines = "".join("\t".join(pair) + "\n" for pair in PAIRS)
    headed = "gene1" in remarks
    for head in ("", *(() if headed else ("gene1\tgene2\n",))):
        (tmp_path / "edges.tsv").write_text(remarks + head + lines)
        graph = read_interactions(tmp_path / "edges.tsv")
        assert list(zip(graph.first, graph.second, strict=True)) == PAIRS
        assert ("gene1" in graph.note) == (bool(head) or headed)


@pytest.mark.parametrize("name", ["edges.tsv", "edges.csv", "edges.tsv.gz"])
@pytest.mark.parametrize("form", ["score first", "all of these"])
def test_a_score_that_the_header_names_is_used(form, name, tmp_path):
    head, row = ROWS[form]
    path = written(tmp_path / name, "," if "csv" in name else "\t", head, row)
    graph = read_interactions(path)
    np.testing.assert_array_equal(graph.score, np.array(SCORES * 3, np.float32))
    kept = read_interactions(path, threshold=700)
    pairs = list(zip(kept.first, kept.second, strict=True))
    assert pairs == [p for p, s in zip(PAIRS * 3, SCORES * 3, strict=True) if s >= 0.7]
    assert kept.note.endswith("6 of 12 edges of at least 0.7")


@pytest.mark.parametrize("form", ["as usual", "kind in the middle", "row number first"])
def test_a_threshold_without_a_score_is_an_error(form, tmp_path):
    path = written(tmp_path / "edges.tsv", "\t", *ROWS[form])
    with pytest.raises(ValueError, match=r"edges\.tsv: threshold=700 needs scores, and no column"):
        read_interactions(path, threshold=700)


def test_strings_whole_numbers_are_thousandths(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("gene1,gene2,combined_score\nKLF1,GATA1,900\nGATA1,TP53,150\n")
    graph = read_interactions(path)
    np.testing.assert_array_equal(graph.score, np.array([0.9, 0.15], np.float32))
    assert graph.note.endswith("confidence in 'combined_score' (of 1000)")
    assert read_interactions(path, threshold=400).first == ("KLF1",)


@pytest.mark.parametrize("second", ["0", "", "150.5", "-1"])
def test_a_named_score_that_does_not_serve_is_said(second, tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text(f"gene1,gene2,confidence score\nKLF1,GATA1,0.9\nGATA1,TP53,{second}\n")
    said = rf"none in 'confidence score': '{second}' in row 2 is none"
    assert re.search(said, read_interactions(path).note)
    with pytest.raises(ValueError, match=said):
        read_interactions(path, threshold=400)


def test_whole_numbers_to_a_hundred_may_be_percents(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("gene1,gene2,score\nKLF1,GATA1,90\nGATA1,TP53,15\n")
    assert read_interactions(path).score is None


def test_a_score_that_is_no_confidence_is_not_taken_for_one(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("gene1,gene2,score\nKLF1,GATA1,3.5\nGATA1,TP53,-1.5\n")
    assert read_interactions(path).score is None
    with pytest.raises(ValueError, match="needs scores"):
        read_interactions(path, threshold=400)
    with pytest.raises(ValueError, match=r"2 of 2 scores are no confidence"):
        read_interactions(path, score="score")


def test_decimal_commas(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("gene1;gene2;score\nKLF1;GATA1;0,9\nGATA1;TP53;0,15\nTP53;MDM2;1\n")
    score = read_interactions(path, threshold=400).score
    np.testing.assert_array_equal(score, np.array([0.9, 1], np.float32))


def test_no_edges_among_the_genes_names_the_columns_that_were_read(tmp_path):
    path = written(tmp_path / "edges.tsv", "\t", None, "{a} {kind} {b}")
    wrong = read_interactions(path, columns=(0, 1))
    with pytest.raises(ValueError, match=r"4 of the 4 genes .* no two .* the columns 0 and 1"):
        wrong.align(["KLF1", "GATA1", "TP53", "MDM2"])


@pytest.mark.parametrize("corner", ["", "gene"])
@pytest.mark.parametrize("entry", ["0", "0.5"])
def test_a_matrix_or_row_numbers_are_no_edge_list(corner, entry, tmp_path):
    genes = ["KLF1", "GATA1", "TP53", "MDM2"]
    rows = [[corner, *genes], *([gene, *[entry] * 4] for gene in genes)]
    (tmp_path / "matrix.tsv").write_text("\n".join(map("\t".join, rows)) + "\n")
    with pytest.raises(ValueError, match="A matrix of genes by genes, or row numbers"):
        read_interactions(tmp_path / "matrix.tsv")
    (tmp_path / "numbers.tsv").write_text(f"{corner}\tto\n0\t1\n1\t2\n")
    graph = read_interactions(tmp_path / "numbers.tsv")  # they may be identifiers of NCBI's
    with pytest.raises(ValueError, match=r"none of the 4 genes .* is among its 3 names \('0'"):
        graph.align(genes)
