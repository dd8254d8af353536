"""Laws of the audit: order and names do not matter, counts add up, corrections keep the order."""

import jax.random as jr
import numpy as np
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from scbig import analysis, priors, programs

GENES, CLUSTERS = 12, 4  # few shapes: each one compiles
NAMES = [f"g{i}" for i in range(GENES)]
labellings = hnp.arrays(np.int32, GENES, elements=st.integers(0, CLUSTERS - 1))
set_lists = st.lists(st.sets(st.sampled_from(NAMES), min_size=1), min_size=1, max_size=6)
orders = st.permutations(range(GENES))
some = st.integers(0, GENES - 1)
edge_lists = st.lists(st.tuples(some, some).filter(lambda pair: pair[0] != pair[1]), min_size=1)


def partition_of(labels):
    return programs.GenePartition.from_labels(labels, CLUSTERS, slots=GENES)


def membership_of(sets, genes=NAMES):
    library = priors.PathwayLibrary({f"s{i}": tuple(sorted(one)) for i, one in enumerate(sets)})
    return library.align(genes, min_genes=1)


def graph_of(edges, genes=NAMES):
    first, second = zip(*edges, strict=True)
    return priors.InteractionGraph(
        tuple(NAMES[a] for a in first), tuple(NAMES[b] for b in second)
    ).align(genes)


def density_of(labels, graph):
    return analysis.interaction_density(
        partition_of(labels), graph.source, graph.target, permutations=3, key=jr.key(0)
    )


@given(labellings, set_lists, orders, st.sampled_from(["all", "annotated"]))
def test_enrichment_follows_names_and_not_positions(labels, sets, order, background):
    genes = [NAMES[i] for i in order]
    straight = analysis.enrichment(
        partition_of(labels), NAMES, membership_of(sets), background=background
    )
    turned = analysis.enrichment(
        partition_of(labels[list(order)]), genes, membership_of(sets, genes), background=background
    )
    assert straight.drop(columns="genes").equals(turned.drop(columns="genes"))
    for one, other in zip(straight["genes"], turned["genes"], strict=True):
        assert set(one.split(";")) == set(other.split(";"))


@given(labellings, set_lists, st.permutations(range(CLUSTERS)))
def test_enrichment_does_not_depend_on_the_numbers_of_programs(labels, sets, names):
    membership = membership_of(sets)
    straight = analysis.enrichment(partition_of(labels), NAMES, membership)
    renamed = np.array(names, np.int32)[labels]
    turned = analysis.enrichment(partition_of(renamed), NAMES, membership)
    straight["program"] = np.array(names)[straight["program"]]
    expected = straight.sort_values("program", kind="stable", ignore_index=True)
    assert expected.equals(turned)


@given(labellings, set_lists)
def test_overlaps_add_up_and_corrections_keep_the_order(labels, sets):
    table = analysis.enrichment(partition_of(labels), NAMES, membership_of(sets))
    totals = table.groupby("set")["overlap"].sum()
    assert totals.to_dict() == {f"s{i}": len(one) for i, one in enumerate(sets)}
    p_values, q_values = table["p_value"].to_numpy(), table["q_value"].to_numpy()
    assert (p_values > 0).all()
    assert (q_values <= 1).all()
    assert (q_values >= p_values * (1 - 1e-12)).all()
    assert (np.diff(q_values[np.argsort(p_values)]) >= -1e-12).all()
    np.testing.assert_array_equal(p_values[table["overlap"] == 0], 1)


@given(labellings, set_lists)
def test_every_set_lies_within_a_most_general_one(labels, sets):
    membership = membership_of(sets)
    top = [set(sets[int(name[1:])]) for name in analysis.top_sets(membership)]
    assert all(any(one <= general for general in top) for one in sets)
    assert not any(a <= b for i, a in enumerate(top) for j, b in enumerate(top) if i != j)


@given(labellings, edge_lists, orders)
def test_density_follows_names_and_not_positions(labels, edges, order):
    genes = [NAMES[i] for i in order]
    straight = density_of(labels, graph_of(edges))
    turned = density_of(labels[list(order)], graph_of(edges, genes))
    exact = ["program", "size", "inside", "possible", "density", "expected", "z_score"]
    assert straight.programs[exact].equals(turned.programs[exact])
    assert (straight.inside, straight.expected) == (turned.inside, turned.expected)


@given(labellings, edge_lists)
def test_parts_of_the_density_make_up_the_whole(labels, edges):
    graph = graph_of(edges)
    result = density_of(labels, graph)
    table = result.programs
    assert result.interactions == len({frozenset(edge) for edge in edges})
    assert table["inside"].sum() == result.inside
    np.testing.assert_allclose(table["expected"].sum(), result.expected)
    assert (table["inside"] <= table["possible"]).all()
    sizes = table["size"].to_numpy()
    pairs = np.outer(sizes, sizes) - np.diag(sizes)
    folds = analysis.interaction_folds(partition_of(labels), graph.source, graph.target).to_numpy()
    np.testing.assert_array_equal(np.isfinite(folds), pairs > 0)
    # Weighted by the pairs of genes, folds average to one.
    np.testing.assert_allclose(np.nansum(folds * pairs), GENES * (GENES - 1))
    members = analysis.program_table(partition_of(labels), NAMES, graph)
    np.testing.assert_array_equal(
        members.groupby("program")["inside"].sum().reindex(range(CLUSTERS), fill_value=0),
        2 * table["inside"],
    )


@given(labellings, edge_lists)
def test_joining_two_programs_loses_no_interaction(labels, edges):
    graph = graph_of(edges)
    joined = np.where(labels == 1, np.int32(0), labels)
    assert density_of(joined, graph).inside >= density_of(labels, graph).inside
