"""Laws of what annotations make: bounds, symmetry, order, and what more neighbours change."""

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

from scbig.priors import AliasTable, Annotations

POOL = tuple(f"G{gene}" for gene in range(9))
TERMS = tuple(f"GO:{term:07d}" for term in range(1, 8))
some = st.lists(st.sampled_from(TERMS), max_size=6).map(tuple)
annotated = st.dictionaries(st.sampled_from(POOL), some).filter(lambda go: any(go.values()))
# Of few terms, so that many neighbours are equally near.
alike = st.fixed_dictionaries(
    dict.fromkeys(POOL, st.lists(st.sampled_from(TERMS[:2]), min_size=1).map(tuple))
)
thresholds = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9])
numbers = st.integers(1, 10)


def edges(go, genes=POOL, **options) -> dict[frozenset[str], float]:
    """The graph's pairs and their index; none where that is an error."""
    try:
        graph = Annotations(go, AliasTable(POOL)).graph(genes, **options)
    except ValueError as error:
        if "no two of" in str(error) or "none of the" in str(error):
            return {}
        raise
    assert graph.score is not None
    pairs = map(frozenset, zip(graph.first, graph.second, strict=True))
    found = dict(zip(pairs, graph.score.tolist(), strict=True))
    assert len(found) == len(graph.first)
    return found


@given(annotated, thresholds, numbers)
def test_an_index_is_that_of_two_genes_and_above_the_threshold(go, threshold, neighbours):
    for pair, index in edges(go, threshold=threshold, neighbours=neighbours).items():
        assert len(pair) == 2
        one, other = ({*go[gene]} for gene in pair)
        assert index == np.float32(len(one & other) / len(one | other))
        assert threshold < len(one & other) / len(one | other) <= 1


@given(alike, st.permutations(POOL), st.sampled_from([0.0, 0.25]), st.integers(1, 3), st.data())
def test_no_order_matters(go, genes, threshold, neighbours, data):
    options = {"threshold": threshold, "neighbours": neighbours}
    turned = {gene: go[gene][::-1] for gene in data.draw(st.permutations(list(go)))}
    assert edges(turned, genes, **options) == edges(go, **options)


@given(annotated, thresholds, numbers)
def test_more_neighbours_and_a_lower_threshold_only_add(go, threshold, neighbours):
    here = edges(go, threshold=threshold, neighbours=neighbours).items()
    assert here <= edges(go, threshold=threshold, neighbours=neighbours + 1).items()
    assert here <= edges(go, threshold=threshold / 2, neighbours=neighbours).items()


@given(annotated, thresholds, numbers)
def test_no_gene_is_left_out_that_has_a_neighbour(go, threshold, neighbours):
    linked = {gene for pair in edges(go, threshold=threshold, neighbours=99) for gene in pair}
    near = edges(go, threshold=threshold, neighbours=neighbours)
    assert {gene for pair in near for gene in pair} == linked
    assert len(near) <= neighbours * len(linked)


@given(annotated)
def test_a_term_of_all_genes_brings_them_together(go):
    known = [gene for gene in go if go[gene]]
    assume(len(known) > 1)
    shared = {gene: (*go[gene], "GO:0000099") for gene in known}
    before, after = (edges(one, threshold=0.0, neighbours=99) for one in (go, shared))
    assert len(after) == len(known) * (len(known) - 1) // 2
    assert all(after[pair] >= index for pair, index in before.items())


@given(annotated)
def test_sets_have_the_genes_that_have_the_term(go):
    annotations = Annotations(go, AliasTable(POOL))
    sets = annotations.gene_sets(min_genes=1).sets
    assert {term: {*genes} for term, genes in sets.items()} == {
        term: {gene for gene in go if term in go[gene]} for terms in go.values() for term in terms
    }
    largest = max(map(len, sets.values()))
    assert max(map(len, annotations.gene_sets(min_genes=largest).sets.values())) == largest
    with pytest.raises(ValueError, match="none of the"):
        annotations.gene_sets(min_genes=largest + 1)
