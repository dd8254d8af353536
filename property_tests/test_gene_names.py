"""Laws of matching gene names: one to one, without regard to order, inventing nothing."""

import numpy as np
from hypothesis import given, strategies as st

from scbig.priors import AliasTable, EmbeddingTable, match_genes, rename_genes

SYMBOLS = ("TP53", "KMT2A", "IL9", "Il9", "SEPT2")
IDENTIFIERS = ("ENSG00000000001", "ENSG00000000002")
POOL = [
    *SYMBOLS,
    *IDENTIFIERS,
    *(f"{identifier}.{version}" for identifier in IDENTIFIERS for version in (1, 2)),
    *("MLL", "HRX", "p40", "P40", "tp53", "mll", "TP53.1", "ensg00000000001", "unknown"),
]
names = st.lists(st.sampled_from(POOL), min_size=1, unique=True)
meanings = st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=2, unique=True).map(tuple)


def entries(keys):
    return st.dictionaries(st.sampled_from(keys), meanings, max_size=4)


others = ["MLL", "HRX", "p40", "P40", "TP53", "mll", "SEPT2"]
tables = st.none() | st.tuples(entries(IDENTIFIERS), entries(others), entries(others))


def table_of(drawn) -> AliasTable | None:
    return None if drawn is None else AliasTable(SYMBOLS, *drawn)


def outcome(match):
    return match.mapping, match.how, match.ambiguous, set(match.missing)


@given(names, names, tables)
def test_matching_is_one_to_one_and_invents_nothing(wanted, known, drawn):
    match = match_genes(wanted, known, aliases=table_of(drawn))
    assert len(set(match.mapping.values())) == len(match.mapping)
    assert set(match.mapping.values()) <= set(known)
    assert match.mapping.keys() == match.how.keys()
    parts = [*match.mapping, *match.ambiguous, *match.missing]
    assert sorted(parts) == sorted(wanted)
    assert sum(match.counts.values()) == len(wanted)


@given(names, names, tables)
def test_a_name_that_is_known_is_itself(wanted, known, drawn):
    match = match_genes(wanted, known, aliases=table_of(drawn))
    same = {name: name for name in wanted if name in known}
    assert {name: match.mapping[name] for name in same} == same
    assert {name for name, step in match.how.items() if step == "exact"} == set(same)


@given(names, names, tables, st.data())
def test_the_order_of_names_does_not_matter(wanted, known, drawn, data):
    table = table_of(drawn)
    turned = data.draw(st.permutations(wanted))
    repeated = data.draw(st.permutations([*known, known[0]]))
    assert outcome(match_genes(turned, repeated, aliases=table)) == outcome(
        match_genes(wanted, known, aliases=table)
    )


@given(names, names, tables)
def test_a_second_match_changes_nothing(wanted, known, drawn):
    table = table_of(drawn)
    match = match_genes(wanted, known, aliases=table)
    again = match_genes(rename_genes(wanted, match.mapping), known, aliases=table)
    matched = set(match.mapping.values())
    assert again.mapping == {name: name for name in matched}
    assert again.counts["exact"] == len(matched)
    assert (again.ambiguous, again.missing) == (match.ambiguous, match.missing)


@given(names, names, tables)
def test_a_name_alone_is_matched_or_not_as_among_others(wanted, known, drawn):
    """Others take nothing from it but what they would share with it."""
    table = table_of(drawn)
    match = match_genes(wanted, known, aliases=table)
    for name in wanted:
        alone = match_genes([name], known, aliases=table)
        if name in match.mapping:
            assert alone.mapping == {name: match.mapping[name]}
        elif name in match.missing:
            assert alone.missing == (name,)
        elif len(match.ambiguous[name]) > 1:
            assert alone.ambiguous == {name: match.ambiguous[name]}
        else:
            (shared,) = match.ambiguous[name]
            assert alone.mapping == {name: shared}
            rivals = [match_genes([other], known, aliases=table).mapping for other in wanted]
            assert [shared in rival.values() for rival in rivals].count(True) > 1


@given(names, names, tables)
def test_renaming_there_and_back_is_nothing(wanted, known, drawn):
    match = match_genes(wanted, known, aliases=table_of(drawn))
    renamed = rename_genes(wanted, match.mapping)
    assert len(set(renamed)) == len(wanted)
    assert rename_genes(renamed, match.inverse) == tuple(wanted)
    vectors = np.arange(len(known), dtype=np.float32)[:, None]
    table = EmbeddingTable(tuple(known), vectors).renamed(match.inverse)
    assert table.renamed(match.mapping).names == tuple(known)
    found = tuple(match.mapping)
    if found:
        rows = [known.index(match.mapping[name]) for name in found]
        np.testing.assert_array_equal(table.select(found).vectors, vectors[rows])
