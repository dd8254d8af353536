"""Partitions side by side: each column, counted in another way."""

import jax.random as jr
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from scbig import analysis, priors, programs

GENES = [f"g{i}" for i in range(60)]


@pytest.fixture(scope="module")
def planted():
    """Four programs of 15 that are four sets and four cliques; and others to compare with."""
    true = (np.arange(60) // 15).astype(np.int32)
    pairs = [(a, b) for a in range(60) for b in range(a) if true[a] == true[b]]
    sets = {f"s{k}": tuple(GENES[15 * k : 15 * k + 15]) for k in range(4)}
    sets |= {"few": tuple(GENES[:3]), "wide": tuple(GENES[10:50:2])}
    membership = priors.PathwayLibrary(sets).align(GENES)
    graph = priors.InteractionGraph(
        tuple(GENES[a] for a, _ in pairs), tuple(GENES[b] for _, b in pairs)
    ).align(GENES)
    uneven = np.where(true == 3, 2, true).astype(np.int32)
    shuffled = np.random.default_rng(0).permutation(true)
    labels = {"true": true, "uneven": uneven, "random": shuffled}
    made = {name: programs.GenePartition.from_labels(one, 4) for name, one in labels.items()}
    return made, membership, graph


def test_the_audit_row_by_row(planted):
    made, membership, graph = planted
    table = analysis.audit(made, GENES, membership, graph, permutations=20, key=jr.key(0))
    assert table.index.tolist() == ["true", "uneven", "random"]
    assert table["programs"].tolist() == [4, 3, 4]  # "uneven" has an empty one
    assert table["smallest"].tolist() == [15, 15, 15]
    assert table["largest"].tolist() == [15, 30, 15]
    assert table["enriched"].tolist() == [4, 3, 0]
    assert table["enriched_share"].tolist() == [1, 1, 0]
    assert table["best_odds_ratio"]["true"] == np.inf
    assert table["best_fold"]["true"] == 4
    # Folds of the best sets of "uneven": 4, 4, and 2 for its program of 30.
    assert table["best_fold"]["uneven"] == 4
    assert table["inside_share"][["true", "uneven"]].tolist() == [1, 1]
    for name, partition in made.items():
        whole = analysis.enrichment(partition, GENES, membership)
        assert table["significant_pairs"][name] == (whole["q_value"] <= 0.05).sum()
        density = analysis.interaction_density(
            partition, graph.source, graph.target, permutations=20, key=jr.key(0)
        )
        assert table["density_z"][name] == density.z_score
        assert table["inside_share"][name] == density.inside / density.interactions
        odds, folds, p_values = [], [], []
        for _, rows in whole.groupby("program"):
            lowest = rows["p_value"].min()
            least = [row for row in rows.to_dict("records") if row["p_value"] == lowest]
            best = max(least, key=lambda row: row["odds_ratio"])
            odds.append(best["odds_ratio"])
            folds.append(best["fold"])
            p_values.append(lowest)
        assert table["best_odds_ratio"][name] == np.median(odds)
        assert table["best_fold"][name] == np.median(folds)
        assert table["best_p"][name] == np.median(p_values)
    assert table["density_z"]["true"] > 20
    assert abs(table["density_z"]["random"]) < 4


def test_the_audit_passes_its_options_on(planted):
    made, membership, graph = planted
    one = {"random": made["random"]}
    options = {"permutations": 20, "key": jr.key(0)}
    strict = analysis.audit(one, GENES, membership, graph, **options)
    loose = analysis.audit(one, GENES, membership, graph, alpha=0.99, **options)
    assert loose["significant_pairs"]["random"] > strict["significant_pairs"]["random"]
    part = priors.PathwayLibrary({"wide": tuple(GENES[10:50:2])}).align(GENES)
    inner = analysis.audit(one, GENES, part, graph, background="annotated", **options)
    expected = analysis.enrichment(made["random"], GENES, part, background="annotated")
    assert inner["best_p"]["random"] == expected["p_value"].median() == 1


def test_one_program_of_all_genes_has_nothing_to_say(planted):
    _, membership, graph = planted
    whole = {"whole": programs.GenePartition.from_labels(np.zeros(60, np.int32), 1)}
    table = analysis.audit(whole, GENES, membership, graph, permutations=5, key=jr.key(0))
    row = table.loc["whole"]
    assert row[["enriched", "significant_pairs", "best_p", "inside_share"]].tolist() == [0, 0, 1, 1]
    assert row[["best_odds_ratio", "density_z"]].isna().all()


def test_agreement_of_every_two_partitions(planted):
    made, _, _ = planted
    table = analysis.adjusted_rand(made)
    assert table.index.tolist() == table.columns.tolist() == list(made)
    np.testing.assert_allclose(np.diag(table), 1)
    labels = {name: np.asarray(partition.labels) for name, partition in made.items()}
    for one, other in [("true", "uneven"), ("uneven", "random")]:
        expected = adjusted_rand_score(labels[one], labels[other])
        np.testing.assert_allclose([table[one][other], table[other][one]], expected)
    smaller = programs.GenePartition.from_labels(np.zeros(5, np.int32), 1)
    with pytest.raises(ValueError, match="'true': 60.*'smaller': 5"):
        analysis.adjusted_rand({**made, "smaller": smaller})


def test_the_table_of_genes_by_hand(toy):
    genes, _, _, graph = toy  # a chain from a to e, and f alone
    labels = np.array([1, 0, 1, 0, 0, 1], np.int32)
    table = analysis.program_table(programs.GenePartition.from_labels(labels, 2), genes, graph)
    expected = {
        "gene": list("bdeacf"),
        "program": [0, 0, 0, 1, 1, 1],
        "slot": [0, 1, 2, 0, 1, 2],
        "interactions": [2, 2, 1, 1, 2, 0],
        "inside": [0, 1, 1, 0, 0, 0],
    }
    pd.testing.assert_frame_equal(table, pd.DataFrame(expected), check_dtype=False)


def test_other_genes_are_refused(planted, toy):
    made, membership, graph = planted
    genes, partition, small, short = toy
    options = {"permutations": 20, "key": jr.key(0)}
    with pytest.raises(ValueError, match="No partition"):
        analysis.audit({}, GENES, membership, graph, **options)
    with pytest.raises(ValueError, match="6 genes, but 60 names"):
        analysis.audit({**made, "toy": partition}, GENES, membership, graph, **options)
    with pytest.raises(ValueError, match="interactions are aligned to 6 genes.*has 60"):
        analysis.audit(made, GENES, membership, short, **options)
    with pytest.raises(ValueError, match="pathways are aligned to 6 genes.*has 60"):
        analysis.audit(made, GENES, small, graph, **options)
    with pytest.raises(ValueError, match="60 genes, but the partition has 6|aligned to 60"):
        analysis.program_table(partition, genes, graph)
    with pytest.raises(ValueError, match=r"another order: 6 of 6 are not.*'a'"):
        analysis.program_table(partition, genes[::-1], short)
    # Genes that all have interactions, of which two have changed places.
    chain = priors.InteractionGraph(tuple("abcde"), tuple("bcdef")).align(genes)
    with pytest.raises(ValueError, match=r"another order: 2 of 6 are not.*'b', 'c'"):
        analysis.program_table(partition, [*"acbdef"], chain)
    shared = programs.SoftPartition.from_shares(np.array([[0, 1]] * 6), np.ones((6, 2)), 2)
    with pytest.raises(ValueError, match="share genes cannot be audited"):
        analysis.audit({"soft": shared}, genes, small, short, **options)


def test_of_equally_likely_sets_the_larger_odds_ratio_counts(toy):
    genes, _, _, graph = toy
    partition = programs.GenePartition.from_labels(np.array([0, 0, 0, 1, 1, 1], np.int32), 2)
    # In three of six genes: one of one, and two of three, are both an even chance.
    for sets in ({"two": tuple("abd"), "one": ("a",)}, {"one": ("a",), "two": tuple("abd")}):
        membership = priors.PathwayLibrary(sets).align(genes, min_genes=1)
        table = analysis.enrichment(partition, genes, membership)
        np.testing.assert_allclose(table["p_value"][:2], 0.5, rtol=1e-12)
        row = analysis.audit(
            {"it": partition}, genes, membership, graph, permutations=1, key=jr.key(0)
        ).loc["it"]
        # The second program's best is "two", an odds ratio of 1/4 in it.
        assert row["best_odds_ratio"] == np.inf
        assert row["best_fold"] == np.mean([2, 2 / 3])
