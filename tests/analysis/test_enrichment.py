"""Enrichment: counts, Fisher's test, the false discovery rate, and what is refused."""

import dataclasses
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy import stats

from scbig import analysis, priors, programs

COLUMNS = [
    "program",
    "set",
    "overlap",
    "program_size",
    "set_size",
    "background",
    "odds_ratio",
    "fold",
    "p_value",
    "q_value",
    "significant",
    "genes",
]


def drawn(seed, genes=40, clusters=4, sets=12):
    """Random programs and sets, with sets of one gene and of all."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, clusters, genes).astype(np.int32)
    names = [f"g{i}" for i in range(genes)]
    sizes = [1, genes, *rng.integers(2, genes, sets - 2).tolist()]
    chosen = {
        f"s{i}": tuple(names[j] for j in rng.choice(genes, size, replace=False))
        for i, size in enumerate(sizes)
    }
    library = priors.PathwayLibrary(chosen)
    return programs.GenePartition.from_labels(labels, clusters), names, library


def exact(overlap, drawn, marked, total):
    """P(X >= overlap), by counting the draws."""
    ways = sum(comb(marked, k) * comb(total - marked, drawn - k) for k in range(overlap, drawn + 1))
    return float(Fraction(ways, comb(total, drawn)))


def test_a_table_by_hand(toy):
    genes, partition, membership, _ = toy
    table = analysis.enrichment(partition, genes, membership)
    assert list(table.columns) == COLUMNS
    # The third program is empty: it is not tested, and does not count among the tests.
    assert table["program"].tolist() == [0] * 4 + [1] * 4
    assert table["set"].tolist() == ["left", "pair", "mixed", "single"] * 2
    assert table["overlap"].tolist() == [3, 2, 1, 0, 0, 0, 1, 1]
    assert table["genes"].tolist() == ["a;b;c", "a;b", "c", "", "", "", "d", "f"]
    assert set(table["program_size"]) == {3}
    assert table["set_size"].tolist() == [3, 2, 2, 1] * 2
    assert set(table["background"]) == {6}
    np.testing.assert_allclose(table["p_value"], [0.05, 0.2, 0.8, 1, 1, 1, 0.8, 0.5])
    np.testing.assert_allclose(table["odds_ratio"], [np.inf, np.inf, 1, 0, 0, 0, 1, np.inf])
    np.testing.assert_allclose(table["fold"], [2, 2, 1, 0, 0, 0, 1, 2])
    # Eight tests; sorted 0.05, 0.2, 0.5, 0.8, 0.8, 1, 1, 1, times 8 over the rank, then minima.
    np.testing.assert_allclose(table["q_value"], [0.4, 0.8, 1, 1, 1, 1, 1, 1])
    assert table["significant"].tolist() == [False] * 8
    loose = analysis.enrichment(partition, genes, membership, alpha=0.41)
    assert loose["significant"].tolist() == [True] + [False] * 7


@pytest.mark.parametrize("seed", range(3))
def test_against_fishers_exact_test_row_by_row(seed):
    partition, genes, library = drawn(seed)
    table = analysis.enrichment(partition, genes, library.align(genes, min_genes=1))
    labels = np.asarray(partition.labels)
    for row in table.to_dict("records"):
        program = {genes[g] for g in np.flatnonzero(labels == row["program"])}
        one = set(library.sets[row["set"]])
        both = program & one
        assert row["overlap"] == len(both)
        assert row["genes"] == ";".join(gene for gene in genes if gene in both)
        counts = [
            [len(both), len(program - one)],
            [len(one - program), len(set(genes) - program - one)],
        ]
        expected = stats.fisher_exact(counts, alternative="greater")
        result = [row["odds_ratio"], row["p_value"]]
        np.testing.assert_allclose(result, np.array(expected), rtol=1e-9)
        np.testing.assert_allclose(row["fold"], len(both) / (len(program) * len(one) / len(genes)))
    assert len(table) == partition.clusters * len(library.sets)


def test_q_values_are_those_of_all_tests_together():
    partition, genes, library = drawn(7, genes=60)
    first = tuple(genes[g] for g in np.flatnonzero(np.asarray(partition.labels) == 0))
    library = priors.PathwayLibrary({**library.sets, "planted": first, "half": first[::2]})
    table = analysis.enrichment(partition, genes, library.align(genes, min_genes=1), alpha=0.3)
    p_values = table["p_value"].to_numpy()
    order, tests = np.argsort(p_values), len(table)
    smallest = 1.0
    by_hand = np.empty(tests)
    for rank in range(tests, 0, -1):
        smallest = min(smallest, p_values[order[rank - 1]] * tests / rank)
        by_hand[order[rank - 1]] = smallest
    np.testing.assert_allclose(table["q_value"], by_hand)
    assert 0 < table["significant"].sum() < tests
    np.testing.assert_array_equal(table["significant"], by_hand <= 0.3)


def test_far_tails_keep_their_digits():
    genes = [f"g{i}" for i in range(2000)]
    labels = (np.arange(2000) // 100).astype(np.int32)
    library = priors.PathwayLibrary({"same": tuple(genes[:100]), "most": tuple(genes[:150])})
    partition = programs.GenePartition.from_labels(labels, 20)
    table = analysis.enrichment(partition, genes, library.align(genes))
    expected = [exact(100, 100, marked, 2000) for marked in (100, 150)]
    assert max(expected) < 1e-100
    np.testing.assert_allclose(table["p_value"][:2], expected, rtol=1e-9)


def test_the_annotated_background_is_the_table_without_the_other_genes():
    partition, genes, library = drawn(3)
    some = {name: one for name, one in library.sets.items() if len(one) < 15}
    library = priors.PathwayLibrary(some)
    known = [gene for gene in genes if any(gene in one for one in some.values())]
    assert 20 < len(known) < len(genes)
    labels = np.asarray(partition.labels)[[genes.index(gene) for gene in known]]
    inner = programs.GenePartition.from_labels(labels, partition.clusters)
    expected = analysis.enrichment(inner, known, library.align(known, min_genes=1))
    membership = library.align(genes, min_genes=1)
    table = analysis.enrichment(partition, genes, membership, background="annotated")
    assert expected.equals(table)
    assert set(table["background"]) == {len(known)}


def test_a_program_without_annotated_genes_is_not_tested(toy):
    genes, _, _, _ = toy
    membership = priors.PathwayLibrary({"left": tuple("abc")}).align(genes)
    partition = programs.GenePartition.from_labels(np.array([0, 0, 0, 1, 1, 1], np.int32), 2)
    table = analysis.enrichment(partition, genes, membership, background="annotated")
    assert table["program"].tolist() == [0]
    assert table["p_value"].tolist() == [1.0]
    assert np.isnan(table["odds_ratio"][0])


def test_the_most_general_sets():
    genes = list("abcdef")
    sets = {"ab": "ab", "abc": "abc", "cab": "cab", "cd": "cd", "d": "d", "ef": "efxyz", "fe": "ef"}
    library = priors.PathwayLibrary({name: tuple(one) for name, one in sets.items()})
    membership = library.align(genes, min_genes=1)
    # Of equal sets the first; equality is that of the genes at hand.
    assert analysis.top_sets(membership) == ("abc", "cd", "ef")


def test_the_most_general_sets_of_reactome(shared_file):
    library = priors.read_pathways(shared_file("priors/ReactomePathways.gmt"))
    genes = sorted({gene for one in library.sets.values() for gene in one})
    top = analysis.top_sets(library.align(genes))
    assert {"Cell Cycle", "Metabolism", "Immune System", "Signal Transduction"} <= set(top)
    assert not {"Mitotic Prophase", "Metabolism of lipids", "Innate Immune System"} & set(top)
    whole = {name: set(one) for name, one in library.sets.items()}
    assert not [a for a in top for b in top if whole[a] < whole[b]]
    covered = set().union(*(whole[name] for name in top))
    assert {gene for one in whole.values() if len(one) >= 3 for gene in one} == covered


def test_reactome_as_gseapy_counts_it(shared_file):
    """gseapy's enrich: hypergeometric on set sizes after intersection with the background."""
    library = priors.read_pathways(shared_file("priors/ReactomePathways.gmt"))
    genes = list(dict.fromkeys(gene for one in library.sets.values() for gene in one))[:1200]
    labels = (np.arange(1200) // 50).astype(np.int32)  # neighbours in the file share sets
    partition = programs.GenePartition.from_labels(labels, 24)
    membership = library.align(genes)
    table = analysis.enrichment(partition, genes, membership)
    assert len(table) == 24 * len(membership.names)
    assert table["significant"].sum() > 24
    universe = set(genes)
    for row in table.iloc[:: len(table) // 300].to_dict("records"):
        members = set(library.sets[row["set"]]) & universe
        program = set(genes[row["program"] * 50 : (row["program"] + 1) * 50])
        hits = len(members & program)
        expected = stats.hypergeom(1200, len(members), 50).sf(hits - 1)
        np.testing.assert_allclose(row["p_value"], expected, rtol=1e-9)
        assert row["overlap"] == hits


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_alpha_is_a_rate(toy, alpha):
    genes, partition, membership, _ = toy
    with pytest.raises(ValueError, match="between 0 and 1"):
        analysis.enrichment(partition, genes, membership, alpha=alpha)


def test_other_genes_are_refused(toy):
    genes, partition, membership, _ = toy
    with pytest.raises(ValueError, match=r"6 genes, but 5 names"):
        analysis.enrichment(partition, genes[:5], membership)
    with pytest.raises(ValueError, match=r"unique; 1 occur.*'a'"):
        analysis.enrichment(partition, ["a", *genes[:5]], membership)
    smaller = priors.PathwayLibrary({"left": tuple("abc")}).align(genes[:5])
    with pytest.raises(ValueError, match=r"aligned to 5 genes, but the partition has 6"):
        analysis.enrichment(partition, genes, smaller)
    turned = priors.PathwayLibrary({"left": tuple("abc")}).align(genes[::-1])
    with pytest.raises(ValueError, match=r"another order: 6 of 6 are not.*'f', 'e', 'd'"):
        analysis.enrichment(partition, genes, turned)
    empty = dataclasses.replace(membership, names=(), matrix=membership.matrix[:0])
    with pytest.raises(ValueError, match="no sets"):
        analysis.enrichment(partition, genes, empty)
