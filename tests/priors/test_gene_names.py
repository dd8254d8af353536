"""Matching names: each step by hand, what is ambiguous, and a screen that meets its priors."""

import anndata
import numpy as np
import pandas as pd
import pytest

from scbig.priors import (
    AliasTable,
    EmbeddingTable,
    InteractionGraph,
    PathwayLibrary,
    match_genes,
    nearest,
    read_aliases,
    read_embeddings,
    rename_genes,
)

from .test_aliases import HGNC

TP53, KMT2A, IL9 = "ENSG00000141510", "ENSG00000118058", "ENSG00000145839"


@pytest.fixture
def aliases(tmp_path) -> AliasTable:
    (tmp_path / "hgnc.txt").write_text(HGNC)
    return read_aliases(tmp_path / "hgnc.txt")


# The name, the known names, the one that it is, and the step.
STEPS = [
    ("TP53", ["TP53", TP53], "TP53", "exact"),
    (f"{TP53}.17", [f"{TP53}.16", "TP53"], f"{TP53}.16", "version"),
    (f"{TP53}.17", [TP53], TP53, "version"),
    (TP53, [f"{TP53}.3"], f"{TP53}.3", "version"),
    (f"{TP53}.17", ["TP53", "MLL"], "TP53", "ensembl"),
    ("TP53", [f"{TP53}.2", "MLL"], f"{TP53}.2", "ensembl"),
    ("MLL", ["KMT2A"], "KMT2A", "previous"),
    ("KMT2A", ["MLL"], "MLL", "previous"),
    (f"{KMT2A}.9", ["MLL"], "MLL", "previous"),
    ("HRX", ["KMT2A"], "KMT2A", "alias"),
    ("HRX", ["TRX1"], "TRX1", "alias"),
    (KMT2A, ["ALL-1"], "ALL-1", "alias"),
    # The best name of a gene, where the known names have several.
    ("HRX", ["TRX1", "MLL", KMT2A, "KMT2A"], "KMT2A", "alias"),
    ("HRX", ["TRX1", "MLL", KMT2A], KMT2A, "alias"),
    ("HRX", ["TRX1", "MLL"], "MLL", "alias"),
    ("Tp53", ["TP53"], "TP53", "case"),
    ("KMT2A", ["mll"], "mll", "case"),
    (f"{TP53.lower()}.1", ["TP53"], "TP53", "case"),
    # Case tells these two apart, and only case.
    ("P40", ["IL9", "IL12B"], "IL9", "alias"),
    ("p40", ["IL9", "IL12B"], "IL12B", "alias"),
]


@pytest.mark.parametrize(("name", "known", "expected", "step"), STEPS)
def test_each_step(name, known, expected, step, aliases):
    match = match_genes([name], known, aliases=aliases)
    assert match.mapping == {name: expected}
    assert match.how == {name: step}
    assert (match.ambiguous, match.missing) == ({}, ())
    assert match.inverse == {expected: name}
    again = match_genes([name], known[::-1], aliases=aliases)
    assert (again.mapping, again.how) == (match.mapping, match.how)


def test_without_a_table_only_spelling_counts():
    names = ["TP53", f"{TP53}.1", "kmt2a", "MLL"]
    match = match_genes(names, ["TP53", TP53, "KMT2A", "MLL2"])
    assert match.mapping == {"TP53": "TP53", f"{TP53}.1": TP53, "kmt2a": "KMT2A"}
    assert match.missing == ("MLL",)


# A second TP53 of a matrix whose names were made unique, a clone, a copy on Y, a transcript.
@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("TP53-1", ["TP53"]),
        ("TP53.1", ["TP53"]),
        (f"{TP53}-1", [TP53]),
        ("AC004556.1", ["AC004556.3", "AC004556"]),
        ("ENSG00000182378.15_PAR_Y", ["ENSG00000182378"]),
        ("ENST00000269305.9", ["ENST00000269305"]),
        (f"{TP53}.x", [TP53]),
    ],
)
def test_what_is_no_version_is_kept(name, known, aliases):
    assert match_genes([name], known, aliases=aliases).missing == (name,)


def test_identifiers_of_other_species_have_versions():
    match = match_genes(["ENSMUSG00000059552.14"], ["ENSMUSG00000059552"])
    assert list(match.how.values()) == ["version"]


def test_an_alias_of_two_genes_is_ambiguous():
    aliases = AliasTable(("A", "B", "C"), alias={"both": ("B", "A"), "one": ("C",)})
    for known in (["A", "B"], ["A", "x"]):
        match = match_genes(["both"], known, aliases=aliases)
        assert match.ambiguous == {"both": ("A", "B")}
        assert (match.mapping, match.missing) == ({}, ())
    assert match_genes(["both"], ["C"], aliases=aliases).missing == ("both",)
    # On the known side it is no gene's name, but still itself.
    assert match_genes(["A", "B"], ["both"], aliases=aliases).missing == ("A", "B")
    assert match_genes(["both", "A"], ["both", "A"], aliases=aliases).counts["exact"] == 2


def test_an_identifier_of_two_genes_is_ambiguous():
    aliases = AliasTable(("A", "B"), ensembl={TP53: ("A", "B")})
    match = match_genes([f"{TP53}.1"], ["A", "B"], aliases=aliases)
    assert match.ambiguous == {f"{TP53}.1": ("A", "B")}


def test_two_names_of_one_gene_are_ambiguous_unless_one_is_written_so(aliases):
    match = match_genes(["MLL", "HRX", "p53", "TP53"], ["KMT2A", "TP53"], aliases=aliases)
    assert match.mapping == {"TP53": "TP53"}
    assert match.ambiguous == {"MLL": ("KMT2A",), "HRX": ("KMT2A",), "p53": ("TP53",)}


def test_two_known_names_of_one_rank_are_ambiguous(aliases):
    match = match_genes(["KMT2A", f"{TP53}.1"], ["HRX", "TRX1", f"{TP53}.2", TP53], aliases=aliases)
    assert match.ambiguous == {"KMT2A": ("HRX", "TRX1"), f"{TP53}.1": (TP53, f"{TP53}.2")}
    assert match_genes(["abc"], ["ABC", "Abc"]).ambiguous == {"abc": ("ABC", "Abc")}


def test_a_symbol_that_was_given_to_another_gene_is_that_gene():
    """The former symbol of NEW is now the symbol of another gene, as has happened."""
    aliases = AliasTable(("NEW", "SEP"), previous={"SEP": ("NEW",)}, alias={"x": ("SEP",)})
    assert match_genes(["NEW"], ["SEP"], aliases=aliases).missing == ("NEW",)
    assert match_genes(["SEP"], ["NEW"], aliases=aliases).missing == ("SEP",)
    assert match_genes(["SEP"], ["NEW", "x"], aliases=aliases).mapping == {"SEP": "x"}


def test_a_former_symbol_comes_before_an_alias():
    aliases = AliasTable(("A", "B"), previous={"old": ("A",)}, alias={"old": ("B",)})
    assert match_genes(["old"], ["A", "B"], aliases=aliases).mapping == {"old": "A"}


def test_case_does_not_join_what_the_table_tells_apart():
    aliases = AliasTable(("CAD", "ACAD8"), alias={"Cad": ("ACAD8",)})
    assert match_genes(["Cad"], ["CAD"], aliases=aliases).missing == ("Cad",)
    assert match_genes(["cad"], ["CAD"], aliases=aliases).how == {"cad": "case"}


def test_the_report():
    aliases = AliasTable(("A", "B", "C", "D"), alias={"ab": ("A", "B"), "c1": ("C",), "c2": ("C",)})
    names = ["D", "ab", "c1", "c2", "x", "d"]
    match = match_genes(names, ["A", "B", "C", "D"], aliases=aliases)
    assert match.names == tuple(names)
    assert match.counts == {
        **{"exact": 1, "version": 0, "ensembl": 0, "previous": 0, "alias": 0, "case": 0},
        **{"ambiguous": 4, "missing": 1},
    }
    assert match.summary().splitlines() == [
        "gene names: 1 of 6 matched (16.7 %): 1 as written",
        "ambiguous, not matched: 4: 'ab (A or B)', 'c1 (C, shared)', 'c2 (C, shared)', "
        "'d (D, shared)'",
        "not found: 1: 'x'",
    ]
    assert match_genes(["x"], ["y"]).summary() == (
        "gene names: 0 of 1 matched (0.0 %)\nnot found: 1: 'x'"
    )


def test_names_must_be_distinct_text():
    with pytest.raises(ValueError, match=r"gene names: .* 1 occur more than once: 'A'"):
        match_genes(["A", "A"], ["A"])
    with pytest.raises(ValueError, match="gene names: no names"):
        match_genes([], ["A"])
    with pytest.raises(ValueError, match="known gene names: no names"):
        match_genes(["A"], [])
    with pytest.raises(ValueError, match=r"1 of 3 names are empty .* first ' ' at position 1"):
        match_genes(["A", " ", "B"], ["A"])
    with pytest.raises(
        ValueError, match="known gene names must be a sequence of names; got the text 'TP53'"
    ):
        match_genes(["A"], "TP53")


def test_renaming_never_merges_two_genes():
    assert rename_genes(["a", "b", "a"], {"a": "A", "z": "b"}) == ("A", "b", "A")
    with pytest.raises(ValueError, match=r"1 names to several genes each: 'a, b -> b'"):
        rename_genes(["a", "b"], {"a": "b"})
    with pytest.raises(ValueError, match=r"a, b -> c"):
        rename_genes(["a", "b"], {"a": "c", "b": "c"})
    assert rename_genes(["a", "b"], {"a": "b", "b": "a"}) == ("b", "a")


def test_a_table_is_renamed():
    vectors = np.arange(4, dtype=np.float32).reshape(2, 2)
    renamed = EmbeddingTable(("A", "B"), vectors).renamed({"A": "X", "unknown": "B"})
    assert renamed.names == ("X", "B")
    np.testing.assert_array_equal(renamed.vectors, vectors)
    with pytest.raises(ValueError, match=r"A, B -> B"):
        EmbeddingTable(("A", "B"), vectors).renamed({"A": "B"})


def test_a_screen_of_identifiers_meets_priors_of_symbols(aliases):
    """The lines that a user writes, with a screen that keeps its names or takes the table's."""
    obs = pd.DataFrame({"condition": ["control", "MLL", "MLL+TP53"]}, index=pd.Index(list("abc")))
    var = pd.DataFrame(index=pd.Index([f"{TP53}.17", f"{IL9}.4", "ENSG00000999999.1"]))
    adata = anndata.AnnData(np.eye(3, dtype=np.float32), obs=obs, var=var)
    table = EmbeddingTable(("KMT2A", "TP53", "IL9"), np.eye(3, dtype=np.float32))
    graph = InteractionGraph(("TP53", "IL12B"), ("IL9", "IL9"))
    library = PathwayLibrary({"set": ("TP53", "IL9", "KMT2A")})

    # The screen takes the symbols; its conditions, of old symbols, likewise.
    match = match_genes(adata.var_names, aliases.symbols, aliases=aliases)
    adata.var_names = rename_genes(adata.var_names, match.mapping)
    labels = [label.split("+") for label in adata.obs["condition"]]
    perturbed = {name for label in labels for name in label} - {"control"}
    genes = match_genes(perturbed, table.names, aliases=aliases)
    adata.obs["condition"] = ["+".join(rename_genes(label, genes.mapping)) for label in labels]
    assert list(adata.var_names) == ["TP53", "IL9", "ENSG00000999999.1"]
    assert list(adata.obs["condition"]) == ["control", "KMT2A", "KMT2A+TP53"]
    assert "2 of 3 matched (66.7 %): 2 by Ensembl identifier" in match.summary()
    assert "not found: 1: 'ENSG00000999999.1'" in match.summary()
    found = tuple(adata.var_names[:2])
    np.testing.assert_array_equal(table.align(found).vectors, [[0, 1, 0], [0, 0, 1]])
    assert graph.align(found).coverage.found == library.align(found, min_genes=2).coverage.found
    assert graph.align(found).coverage.found == 2

    # Or every prior takes the names of the screen.
    screen = tuple(var.index[:2])
    back = match_genes(screen, table.names, aliases=aliases).inverse
    np.testing.assert_array_equal(table.renamed(back).align(screen).vectors, np.eye(3)[1:])
    ends = rename_genes((*graph.first, *graph.second), back)
    assert InteractionGraph(ends[:2], ends[2:]).align(screen).coverage.found == 2
    sets = {name: rename_genes(members, back) for name, members in library.sets.items()}
    assert PathwayLibrary(sets).align(screen, min_genes=2).coverage.found == 2


def test_former_symbols_of_a_real_screen_find_a_real_table(shared_file, tmp_path):
    with np.load(shared_file("data/norman19_effects_234x2000.npz")) as effects:
        genes = effects["genes"].tolist()
    path = shared_file("priors/enformer_tss_19685x32.npz")
    table = read_embeddings(path, duplicates="mean")
    plain = match_genes(genes, table.names)
    assert plain.counts["exact"] == len(plain.mapping) == len(set(genes) & set(table.names))
    (tmp_path / "old.csv").write_text("alias,symbol\nFAM132A,C1QTNF12\nFAM213B,PRXL2B\n")
    match = match_genes(genes, table.names, aliases=read_aliases(tmp_path / "old.csv"))
    assert {name for name, step in match.how.items() if step == "alias"} == {"FAM132A", "FAM213B"}
    aligned = table.renamed(match.inverse).align(genes, missing="zero")
    assert aligned.coverage.found == len(plain.mapping) + 2
    row = genes.index("FAM132A")
    np.testing.assert_array_equal(aligned.vectors[row], table.align(["C1QTNF12"]).vectors[0])


def test_graphs_and_gene_sets_take_the_screens_names():
    graph = InteractionGraph(("old", "B"), ("B", "C")).renamed({"old": "new", "absent": "X"})
    assert (graph.first, graph.second) == (("new", "B"), ("B", "C"))
    library = PathwayLibrary({"one": ("old", "B"), "two": ("C", "old")}).renamed({"old": "new"})
    assert library.sets == {"one": ("new", "B"), "two": ("C", "new")}
    assert library.genes == ("B", "C", "new")
    with pytest.raises(ValueError, match="several genes"):
        graph.renamed({"new": "B"})
    with pytest.raises(ValueError, match="several genes"):
        library.renamed({"new": "B"})


def test_the_nearest_name_is_found_in_any_case():
    known = ("GATA1", "KLF1", "NKX2-1")
    assert nearest(["Gata2", "KLFX", "ZZZZ", "klf1"], known, most=3) == (
        "'Gata2' (near 'GATA1'), 'KLFX' (near 'KLF1'), 'ZZZZ' and 1 more"
    )
