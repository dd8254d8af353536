"""What annotations make, against loops over Python's sets and a dense decomposition in NumPy."""

import functools
import itertools
import json
import math

import numpy as np
import pytest

import scbig
from scbig.priors import AliasTable, Annotations, match_genes, read_aliases, read_annotations

GO = "priors/go_annotations_human.tsv.gz"
ALIASES = "priors/gene_aliases_human.tsv.gz"


# Reading the whole files under the checks of types takes some seconds.
whole = functools.cache(read_annotations)
names = functools.cache(read_aliases)


def annotations(go, **also) -> Annotations:
    return Annotations(go, AliasTable(tuple(dict.fromkeys([*go, *also.get("pfam", {})]))), **also)


def term(number) -> str:
    return f"GO:{number:07d}"


@pytest.fixture(scope="module")
def drawn():
    """Genes with 3 to 39 of 150 terms, more than are compared at a time; equal sets among them."""
    draw = np.random.default_rng(0)
    go = {
        f"G{gene}": tuple(map(term, draw.choice(150, draw.integers(3, 40), replace=False) + 1))
        for gene in range(300)
    }
    return annotations(go | {"twin": go["G7"], "other twin": go["G7"]})


def jaccard(go, one, other):
    return len({*go[one]} & {*go[other]}) / len({*go[one]} | {*go[other]})


def naive(go, genes, threshold, neighbours):
    """GEARS's recipe in a double loop: pairs, and their index."""
    found = {}
    for gene in genes:
        pairs = [(-jaccard(go, gene, other), other) for other in genes if other != gene]
        near = sorted(pair for pair in pairs if -pair[0] > threshold)[:neighbours]
        found |= {frozenset((gene, other)): -index for index, other in near}
    return found


def edges_of(graph):
    ends = map(frozenset, zip(graph.first, graph.second, strict=True))
    return dict(zip(ends, graph.score.tolist(), strict=True))


@pytest.mark.parametrize(("threshold", "neighbours"), [(0.1, 20), (0.15, 3), (0.0, 1), (0.05, 999)])
def test_the_graph_is_that_of_a_double_loop(drawn, threshold, neighbours):
    graph = drawn.graph(drawn.genes, threshold=threshold, neighbours=neighbours)
    expected = naive(drawn.go, drawn.genes, threshold, neighbours)
    found = edges_of(graph)
    assert len(found) == len(graph.first)  # each pair once
    assert found.keys() == expected.keys()
    assert all(found[pair] == np.float32(index) for pair, index in expected.items())
    assert found[frozenset(("twin", "G7"))] == 1


def test_the_nearest_are_sought_among_the_genes_that_were_asked_for(drawn):
    genes = [*drawn.genes[::3], "without terms"]
    graph = drawn.graph(genes, neighbours=2)
    assert edges_of(graph).keys() == naive(drawn.go, drawn.genes[::3], 0.1, 2).keys()
    assert graph.note == "Jaccard index of GO terms above 0.1, 2 nearest of each gene"
    again = drawn.graph(genes[::-1], neighbours=2)
    assert (again.first, again.second) == (graph.first, graph.second)


def test_the_threshold_itself_is_not_above():
    go = {"A": (term(1), term(2)), "B": (term(1), term(3), term(4)), "C": (term(1), term(2))}
    graph = annotations(go).graph(["A", "B", "C"], threshold=0.25)
    assert (graph.first, graph.second, edges_of(graph)[frozenset("AC")]) == (("A",), ("C",), 1)
    with pytest.raises(ValueError, match=r"no two of the 2 genes .* \(of 3\) .* above 0\.25"):
        annotations(go).graph(["A", "B", "Z"], threshold=0.25)
    with pytest.raises(ValueError, match="no two of the 1 genes"):
        annotations(go).graph(["A"])


def test_of_equal_neighbours_the_first_by_name_is_kept():
    go = dict.fromkeys("CBA", (term(1),))
    assert edges_of(annotations(go).graph(["C", "B", "A"], neighbours=1)).keys() == {
        frozenset("AB"),
        frozenset("AC"),
    }


WRONG_GRAPHS = {
    "threshold": (["A"], {"threshold": 1.0}, r"threshold lies in \[0, 1\)"),
    "nan": (["A"], {"threshold": math.nan}, r"threshold lies in \[0, 1\)"),
    "neighbours": (["A"], {"neighbours": 0}, "neighbours is at least 1"),
    "repeated": (["A", "A"], {}, "occur more than once"),
    "unknown": (["ENSG00000141510"], {}, "none of the 1 genes"),
}


@pytest.mark.parametrize("case", WRONG_GRAPHS)
def test_a_graph_that_cannot_be_is_explained(case):
    genes, options, message = WRONG_GRAPHS[case]
    with pytest.raises(ValueError, match=message):
        annotations({"A": (term(1),)}).graph(genes, **options)


def weighed(go):
    """Dense tf-idf rows of unit length, by a loop: genes sorted, terms sorted."""
    terms = sorted({one for terms in go.values() for one in terms})
    rows = np.zeros((len(go), len(terms)))
    for column, one in enumerate(terms):
        having = [row for row, gene in enumerate(sorted(go)) if one in go[gene]]
        rows[having, column] = math.log((1 + len(go)) / (1 + len(having))) + 1
    return rows / np.sqrt((rows**2).sum(axis=1, keepdims=True))


def test_vectors_are_the_leading_part_of_a_dense_decomposition(drawn):
    table = drawn.embeddings(components=12)
    u, s, _ = np.linalg.svd(weighed(drawn.go), full_matrices=False)
    expected = u[:, :12] * s[:12]
    expected *= np.sign(expected[np.abs(expected).argmax(axis=0), range(12)])
    assert table.names == drawn.genes == tuple(sorted(drawn.go))
    np.testing.assert_allclose(table.vectors, expected, atol=1e-6)


def test_many_components_give_back_the_cosines_of_the_weights(drawn):
    vectors = drawn.embeddings(components=149).vectors.astype(np.float64)
    rows = weighed(drawn.go)
    error = np.abs(vectors @ vectors.T - rows @ rows.T).max()
    assert error < 0.05
    few = drawn.embeddings(components=20).vectors.astype(np.float64)
    assert np.abs(few @ few.T - rows @ rows.T).max() > 4 * error


def test_components_beyond_the_rank_are_zeros_and_equal_genes_have_equal_rows(drawn):
    groups = itertools.product(range(3), range(10))
    go = {f"{group}-{copy}": (term(group + 1), term(9 + group)) for group, copy in groups}
    table = annotations(go).embeddings(components=5)
    np.testing.assert_array_equal(table.vectors[:, 3:], 0)
    np.testing.assert_allclose(np.linalg.norm(table.vectors, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(table.vectors[:10], table.vectors[:1].repeat(10, 0), atol=1e-6)


def test_the_table_is_a_function_of_the_annotations(drawn):
    turned = {gene: drawn.go[gene][::-1] for gene in reversed(drawn.genes)}
    one, other = drawn.embeddings(components=8), annotations(turned).embeddings(components=8)
    assert one.checksum == other.checksum == drawn.embeddings(components=8).checksum


@pytest.mark.parametrize("components", [0, 2])
def test_too_many_components_are_explained(components):
    go = {"A": (term(1),), "B": (term(2), term(3))}
    with pytest.raises(ValueError, match="fewer than the 2 genes and the 3 GO terms; got"):
        annotations(go).embeddings(components=components)


def test_gene_sets_are_terms_and_families_of_some_size():
    go = {"A": (term(3), term(2)), "B": (term(2), term(1)), "C": (term(2), term(3))}
    both = annotations(go, pfam={"C": ("PF00096", "PF00001"), "D": ("PF00096",)})
    sets = both.gene_sets(min_genes=2, max_genes=2).sets
    assert sets == {term(3): ("A", "C"), "PF00096": ("C", "D")}
    assert [*both.gene_sets(min_genes=1).sets] == [
        *map(term, (1, 2, 3)),
        "PF00001",
        "PF00096",
    ]
    with pytest.raises(ValueError, match=r"none of the 5 sets has 4 to 9 genes; they have 1 to 3"):
        both.gene_sets(min_genes=4, max_genes=9)
    for wrong in ({"min_genes": 0}, {"min_genes": 9, "max_genes": 8}):
        with pytest.raises(ValueError, match="1 <= min_genes <= max_genes"):
            both.gene_sets(**wrong)


def test_transcription_factors_are_the_genes_of_one_term():
    found = annotations({"B": (term(3700),), "C": (term(3677),), "A": (term(3700), term(1))})
    assert found.transcription_factors == ("A", "B")


def test_roots_and_genes_without_other_terms_are_left_out():
    roots = tuple(map(term, (3674, 5575, 8150)))
    found = Annotations(
        {"A": (*roots, term(1)), "B": roots, "C": ()}, AliasTable(("A", "B", "C")), {"B": ()}
    )
    assert (found.go, found.pfam, found.genes) == ({"A": (term(1),)}, {}, ("A",))
    with pytest.raises(ValueError, match="no gene has a GO term"):
        annotations({"B": roots})


def test_two_spellings_are_one_gene():
    found = Annotations({"HLA\u2011A ": (term(2),), "HLA-A": (term(1),)}, AliasTable(("HLA-A",)))
    assert found.go == {"HLA-A": (term(1), term(2))}


def test_what_is_no_annotation_is_explained():
    with pytest.raises(ValueError, match="written GO:0003700; got '3700', 'kinase'"):
        annotations({"A": ("3700", "kinase", term(1))})
    with pytest.raises(ValueError, match="2 genes are none of the symbols .*: 'B', 'C'"):
        Annotations({"A": (term(1),), "C": (term(1),)}, AliasTable(("A",)), {"B": ("PF00001",)})


def test_the_human_table(shared_file):
    found = whole(shared_file(GO))
    assert len(found.aliases.symbols) == 20_728
    without = set(found.aliases.symbols) - set(found.genes)
    assert len(without) == 36  # which have nothing but the roots
    assert {"TP53", "KLF1", "SP1"} < set(found.transcription_factors)
    assert not {"EGFR", "ACTB"} & set(found.transcription_factors)
    sets = found.gene_sets(min_genes=20, max_genes=200).sets
    assert "CDK1" in sets["GO:0000086"]  # G2/M transition of the mitotic cell cycle
    assert 20 <= min(map(len, sets.values())) <= max(map(len, sets.values())) <= 200


def test_three_genes_of_norman_have_no_terms(shared_file):
    found = whole(shared_file(GO))
    aliases = found.aliases.joined(names(shared_file(ALIASES)))
    genes = json.loads(shared_file("splits/norman19_conditions.json").read_text())["single_genes"]
    match = match_genes(genes, found.genes, aliases=aliases)
    assert match.missing == ("IER5L", "KIAA1804", "RHOXF2BB")
    assert (len(genes), match.ambiguous) == (105, {})


def test_the_human_graph_of_some_hundred_genes(shared_file):
    found = whole(shared_file(GO))
    some = found.genes[::50]
    assert edges_of(found.graph(some)).keys() == naive(found.go, some, 0.1, 20).keys()


def test_annotations_make_priors(shared_file):
    """The lines of docs/data.md, on a part of the genes."""
    human = whole(shared_file(GO))
    aliases = human.aliases.joined(names(shared_file(ALIASES)))
    some = (*human.genes[::40], "CBARP", "TP53", "KLF1", "CEBPA", "KMT2A")
    found = Annotations({gene: human.go[gene] for gene in some}, aliases)
    genes = ("C19orf26", "TP53", "KLF1", "CEBPA", "MLL", "IER5L")
    match = match_genes(genes, found.genes, aliases=found.aliases)
    priors = scbig.Priors(
        genes=found.embeddings().renamed(match.inverse),
        interactions=found.graph(tuple(match.mapping.values())).renamed(match.inverse),
        pathways=found.gene_sets().renamed(match.inverse),
        missing="mean",
    )
    assert priors.genes is not None
    assert priors.interactions is not None
    assert priors.pathways is not None
    assert priors.genes.align(genes, missing="mean").coverage.missing == ("IER5L",)
    graph = priors.interactions.align(genes)
    assert {"KLF1", "CEBPA"} <= {genes[row] for row in graph.source.tolist()}
    assert "IER5L" in graph.coverage.missing
    assert priors.pathways.align(genes, min_genes=1).coverage.missing == ("IER5L",)
