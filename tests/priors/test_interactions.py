"""Interaction graphs: each file form, and alignment against a loop over the lines."""

import gzip

import numpy as np
import pytest

from scbig.priors import InteractionGraph, read_interactions

EDGES = [("KLF1", "GATA1"), ("NAN", "KLF1"), ("TP53", "MDM2")]
LINKS = """protein1 protein2 combined_score
9606.P1 9606.P2 900
9606.P2 9606.P1 900
9606.P1 9606.P3 699
9606.P3 9606.P4 700
"""
INFO = """#string_protein_id\tpreferred_name\tprotein_size\tannotation
9606.P1\tKLF1\t100\t"Unclosed quotation mark
9606.P2\tGATA1\t100\tfine
9606.P3\tNAN\t100\t"quoted" text
9606.P4\tTP53\t100\tfine
"""


def write(path, text):
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def naive(pairs, genes):
    """The edges among `genes` as a set of sets, by a plain loop."""
    return {frozenset((a, b)) for a, b in pairs if a != b and a in genes and b in genes}


def edges_of(aligned, genes):
    return [(genes[s], genes[t]) for s, t in zip(aligned.source, aligned.target, strict=True)]


@pytest.mark.parametrize("suffix", [".tsv", ".tsv.gz", ".csv", ".csv.gz", ".txt"])
@pytest.mark.parametrize("header", ["", "gene1 gene2", "#node_a node_b", "source target", "1 2"])
def test_pairs_with_or_without_a_header(suffix, header, tmp_path):
    separator = "," if suffix.startswith(".csv") else "\t"
    lines = [separator.join(edge) for edge in EDGES]
    first = [header.replace(" ", separator)] if header else []
    path = write(tmp_path / f"edges{suffix}", "\n".join(first + lines) + "\n")
    graph = read_interactions(path, header=True if header == "1 2" else None)
    assert list(zip(graph.first, graph.second, strict=True)) == EDGES
    assert graph.score is None


def test_genes_that_resemble_header_words_are_kept(tmp_path):
    path = write(tmp_path / "e.tsv", "TOB1\tTOB2\nTOX\tTOX2\nFROM\tTP53\n")
    assert read_interactions(path).first == ("TOB1", "TOX", "FROM")


def test_columns_by_position_and_by_name(tmp_path):
    path = write(tmp_path / "e.csv", 'score,"left",right\n1,KLF1,GATA1\n2,"TP53",MDM2\n')
    for columns in [("left", "right"), (1, 2)]:
        graph = read_interactions(path, columns=columns, header=True)
        assert (graph.first, graph.second) == (("KLF1", "TP53"), ("GATA1", "MDM2"))
    assert read_interactions(path, columns=("right", "left")).first == ("GATA1", "MDM2")
    with pytest.raises(ValueError, match=r"no column 'middle'; .*'score', 'left', 'right'"):
        read_interactions(path, columns=("left", "middle"))
    with pytest.raises(ValueError, match="no column 3"):
        read_interactions(path, columns=(1, 3))
    with pytest.raises(ValueError, match="no column 'weight'"):
        read_interactions(path, columns=(1, 2), score="weight")
    with pytest.raises(ValueError, match="the same one"):
        read_interactions(path, columns=(1, 2), score=2)
    with pytest.raises(ValueError, match="the same one"):
        read_interactions(path, columns=(1, 1))


@pytest.mark.parametrize("columns", [(0, 1, 2), ("gene1", "gene2", "confidence")])
def test_a_third_column_can_hold_the_confidence(columns, tmp_path):
    path = write(tmp_path / "e.tsv", "gene1\tgene2\tconfidence\nA\tB\t0.25\nA\tC\t1\nB\tB\t5e-1\n")
    graph = read_interactions(path, columns=columns[:2], score=columns[2])
    assert (graph.first, graph.second) == (("A", "A", "B"), ("B", "C", "B"))
    assert graph.score is not None
    assert graph.score.dtype == np.float32
    np.testing.assert_array_equal(graph.score, [0.25, 1, 0.5])
    by_name = read_interactions(path)
    np.testing.assert_array_equal(by_name.score, graph.score)
    assert by_name.note == "genes in the columns 'gene1' and 'gene2', confidence in 'confidence'"


BAD_SCORES = {
    "A\tB\t0.5\nA\tC\t900\n": r"1 of 2 scores .*900 \(edge 1, .*combined_score by 1000",
    "A\tB\t0.5\nA\tC\t0\n": r"1 of 2 scores .*0 \(edge 1, .*Remove these edges",
    "A\tB\t-0.5\nA\tC\t0.1\n": r"1 of 2 scores .*-0\.5 \(edge 0, .*Remove",
    "A\tB\t\nA\tC\t0.1\n": r"1 of 2 scores .*nan \(edge 0, .*Remove",
    "A\tB\tnan\nA\tC\t700\n": r"2 of 2 scores .*nan \(edge 0, .*by 1000",
    "A\tB\thigh\n": "invalid value 'high'",
}


@pytest.mark.parametrize("text", BAD_SCORES)
def test_scores_that_are_no_confidence_are_explained(text, tmp_path):
    with pytest.raises(ValueError, match=BAD_SCORES[text]) as caught:
        read_interactions(write(tmp_path / "e.tsv", text), score=2)
    assert "e.tsv" in str(caught.value)


@pytest.mark.parametrize("packed", ["", ".gz"])
def test_string_links_are_thresholded_and_named(packed, tmp_path):
    links = write(tmp_path / f"9606.protein.links.v12.0.txt{packed}", LINKS)
    info = write(tmp_path / f"9606.protein.info.v12.0.txt{packed}", INFO)
    graph = read_interactions(links, info=info)
    assert graph.first == ("KLF1", "NAN")
    assert graph.second == ("GATA1", "TP53")
    assert graph.score is not None
    np.testing.assert_array_equal(graph.score, np.array([0.9, 0.7], np.float32))
    every = read_interactions(links, info=info, threshold=0)
    assert list(zip(every.first, every.second, strict=True)) == [
        ("KLF1", "GATA1"),
        ("KLF1", "NAN"),
        ("NAN", "TP53"),
    ]
    assert len(read_interactions(links, info=info, threshold=701).first) == 1


def test_string_detailed_links_have_more_columns(tmp_path):
    text = "protein1 protein2 coexpression combined_score\n9606.P1 9606.P2 999 700\n"
    text += "9606.P3 9606.P4 999 150\n"
    links = write(tmp_path / "9606.protein.links.detailed.v12.0.txt", text)
    info = write(tmp_path / "info.txt", INFO)
    assert read_interactions(links, info=info).first == ("KLF1",)


def test_string_files_that_do_not_fit(tmp_path):
    links = write(tmp_path / "links.txt", LINKS)
    info = write(tmp_path / "info.txt", INFO)
    with pytest.raises(ValueError, match=r"links\.txt.*pass info="):
        read_interactions(links)
    with pytest.raises(ValueError, match=r"0\.7 is 700.*threshold=1\b"):
        read_interactions(links, info=info, threshold=1)
    with pytest.raises(ValueError, match=r">= 950; the largest is 900"):
        read_interactions(links, info=info, threshold=950)
    short = write(tmp_path / "short.txt", "\n".join(INFO.splitlines()[:2]) + "\n")
    with pytest.raises(
        ValueError, match=r"3 proteins are not in .*'9606\.P2', '9606\.P3', '9606\.P4'"
    ):
        read_interactions(links, info=short, threshold=0)
    with pytest.raises(ValueError, match=r"not a STRING protein\.info file"):
        read_interactions(links, info=write(tmp_path / "other.tsv", "a\tb\nc\td\n"))
    with pytest.raises(FileNotFoundError, match=r"absent\.txt"):
        read_interactions(links, info=tmp_path / "absent.txt")
    with pytest.raises(ValueError, match="info= belongs to STRING links"):
        read_interactions(write(tmp_path / "e.tsv", "A\tB\n"), info=info)
    bare = write(tmp_path / "bare.txt", "protein1 protein2\n9606.P1 9606.P2\n")
    with pytest.raises(ValueError, match="combined_score"):
        read_interactions(bare, info=info)


BROKEN = {
    "edges.parquet": ("", r"none of the formats that are read: \.csv, \.tsv, \.txt"),
    "one.tsv": ("KLF1\nGATA1\n", "cannot be divided into two columns"),
    "ragged.tsv": ("A\tB\nC\n", "line 2 has 1 and the first 2"),
    "late.tsv": ("A\tB\n" * 300 + "C\n", "Expected 2 columns"),
    "matrix.csv": (",A,B,C\nA,0,1,0\nB,1,0,1\nC,0,1,0\n", "A matrix of genes by genes"),
    "rows.csv": ("edge,i,j\n0,4,5\n1,4,7\n", "row numbers in place of names"),
    "kinds.tsv": ("A\tB\tC\tD\nB\tA\tD\tC\n", "which two are the genes cannot be told"),
    "blank.tsv": ("A\tB\nC\t\n", r"1 edges lack the name of an end, the first at position 1"),
    "header.tsv": ("gene1\tgene2\n", "Empty CSV|no edges"),
    "empty.tsv": ("", "the file is empty"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_explained(name, tmp_path):
    text, message = BROKEN[name]
    with pytest.raises(ValueError, match=message) as caught:
        read_interactions(write(tmp_path / name, text))
    assert name in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.tsv"):
        read_interactions(tmp_path / "absent.tsv")


def test_weights_are_the_largest_confidence_of_a_pair():
    """Self-loops, repeated and asymmetric edges, and edges that leave the genes, in one graph."""
    edges = [("A", "B", 0.3), ("B", "A", 0.8), ("C", "A", 0.2), ("A", "A", 1.0), ("C", "Z", 0.9)]
    edges += [("C", "A", 0.1), ("D", "D", 0.5)]
    first, second, score = zip(*edges, strict=True)
    graph = InteractionGraph(first, second, np.array(score, np.float32))
    genes = ["C", "B", "A", "D"]
    aligned = graph.align(genes)
    assert edges_of(aligned, genes) == [("C", "A"), ("B", "A"), ("A", "C"), ("A", "B")]
    assert aligned.weight.dtype == np.float32
    np.testing.assert_array_equal(aligned.weight, np.array([0.2, 0.8, 0.2, 0.8], np.float32))
    assert aligned.weighted
    assert aligned.coverage.missing == ("D",)
    bare = InteractionGraph(first, second).align(genes)
    assert edges_of(bare, genes) == edges_of(aligned, genes)
    np.testing.assert_array_equal(bare.weight, np.ones(4, np.float32))
    assert not bare.weighted


def test_above_keeps_the_edges_of_enough_confidence():
    score = np.array([0.7, 0.4, 0.9, 0.699], np.float32)
    graph = InteractionGraph(("A", "B", "A", "C"), ("B", "C", "D", "D"), score)
    above = graph.above(0.7)
    assert (above.first, above.second) == (("A", "A"), ("B", "D"))
    assert above.score is not None
    np.testing.assert_array_equal(above.score, score[[0, 2]])
    assert graph.above(0.4).checksum == graph.checksum
    with pytest.raises(ValueError, match=r"no edge has a confidence >= 0\.95; the largest is 0\.9"):
        graph.above(0.95)
    for wrong in (0.0, 1.5, 700.0, float("nan")):
        with pytest.raises(ValueError, match=r"lies in \(0, 1\]"):
            graph.above(wrong)
    with pytest.raises(ValueError, match="these edges have no scores"):
        InteractionGraph(("A",), ("B",)).above(0.5)


def test_checksums_tell_contents_apart():
    score = np.array([0.5, 0.75], np.float32)
    graphs = [
        InteractionGraph(("A", "BC"), ("D", "E"), score),
        InteractionGraph(("A", "BC"), ("D", "E")),
        InteractionGraph(("AB", "C"), ("D", "E"), score),
        InteractionGraph(("D", "E"), ("A", "BC"), score),
        InteractionGraph(("BC", "A"), ("E", "D"), score[::-1]),
        InteractionGraph(("A", "BC"), ("D", "E"), score[::-1]),
    ]
    assert len({graph.checksum for graph in graphs}) == len(graphs)
    again = InteractionGraph(("A", "BC"), ("D", "E"), np.array([0, 0.5, 0.75], np.float32)[1:])
    assert again.checksum == graphs[0].checksum
    assert len(again.checksum) == 64


def test_align_keeps_each_edge_in_both_directions_once():
    graph = InteractionGraph(("A", "B", "A", "A", "C", "Z"), ("B", "A", "B", "A", "A", "B"))
    aligned = graph.align(["C", "B", "A", "D"])
    np.testing.assert_array_equal(aligned.source, [0, 1, 2, 2])
    np.testing.assert_array_equal(aligned.target, [2, 2, 0, 1])
    assert aligned.source.dtype == aligned.target.dtype == np.int32
    assert (aligned.coverage.found, aligned.coverage.missing) == (3, ("D",))


def test_known_genes_without_edges_between_them_are_an_error():
    graph = InteractionGraph(("A", "B"), ("X", "B"), note="genes in the columns 0 and 1")
    with pytest.raises(ValueError, match=r"2 of the 2 genes .* no two .* columns 0 and 1\. Take"):
        graph.align(["A", "B"])
    assert graph.align(["A", "B"], allow_empty=True).source.shape == (0,)


def test_a_graph_without_any_of_the_genes_is_an_error():
    with pytest.raises(ValueError, match=r"none of the 1 genes \('ENSG1'\) is among its 2 names"):
        InteractionGraph(("A",), ("B",)).align(["ENSG1"])


def test_a_graph_is_checked_when_it_is_made():
    with pytest.raises(ValueError, match="2 first ends, 1 second ends"):
        InteractionGraph(("A", "B"), ("C",))
    with pytest.raises(ValueError, match="2 scores"):
        InteractionGraph(("A",), ("C",), np.ones(2, np.float32))
    with pytest.raises(ValueError, match="no edges"):
        InteractionGraph((), ())
    with pytest.raises(
        ValueError, match="1 edges lack the name of an end, the first at position 1"
    ):
        InteractionGraph(("A", "B"), ("C", ""))
    scores = np.array([0.5, np.nan, 0, 1.5, -1, np.inf], np.float32)
    with pytest.raises(ValueError, match=r"5 of 6 scores .*the first nan \(edge 1, "):
        InteractionGraph(tuple("ABCDEF"), tuple("GHIJKL"), scores)
    with pytest.raises(ValueError, match="must be unique"):
        InteractionGraph(("A",), ("B",)).align(["A", "A"])


@pytest.mark.parametrize("version", ["v11", "v12"])
def test_real_interactions_match_a_loop_over_the_lines(version, shared_file):
    path = shared_file(f"priors/string_{version}_ge800.tsv.gz")
    with gzip.open(path, "rt") as lines:
        pairs = [tuple(line.split()) for line in lines][1:]
    graph = read_interactions(path)
    assert len(graph.first) == len(pairs)
    names = sorted({name for pair in pairs for name in pair})
    for genes in (names, [*names[::13][::-1], "NOT_A_GENE"]):
        aligned = graph.align(genes)
        found = edges_of(aligned, genes)
        expected = naive(pairs, set(genes))
        assert len(found) == len(set(found)) == 2 * len(expected)
        assert {frozenset(edge) for edge in found} == expected
        linked = {gene for edge in expected for gene in edge}
        assert aligned.coverage.missing == tuple(gene for gene in genes if gene not in linked)
