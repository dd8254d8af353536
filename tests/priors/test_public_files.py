"""Tables as public sources write them: read rightly, or refused in words that tell the repair."""

import numpy as np
import pytest

from scbig.priors import (
    EmbeddingTable,
    read_aliases,
    read_embeddings,
    read_interactions,
    read_pathways,
)
from scbig.train import Priors

GENES = ("KLF1", "GATA1", "TP53", "MDM2", "MYC")
EYE = np.eye(5, dtype=np.float32)
PAIRS = tuple(zip(GENES, GENES[1:], strict=False))


def test_semicolons_with_quotes_and_decimal_commas_are_not_divided_at_commas(tmp_path):
    path = tmp_path / "edges.csv"
    rows = "".join(f'"{a}";"{b}";0,{n + 1}\n' for n, (a, b) in enumerate(PAIRS))
    path.write_text('"gene_a";"gene_b";"score"\n' + rows)
    graph = read_interactions(path)
    assert tuple(zip(graph.first, graph.second, strict=True)) == PAIRS
    assert graph.score is not None
    np.testing.assert_allclose(graph.score, [0.1, 0.2, 0.3, 0.4], rtol=1e-6)


def test_symbols_beside_accessions_are_taken(tmp_path):
    path = tmp_path / "omnipath.tsv"
    rows = "".join(f"P{n}\tQ{n}\t{a}\t{b}\t1\n" for n, (a, b) in enumerate(PAIRS))
    path.write_text("source\ttarget\tsource_genesymbol\ttarget_genesymbol\tdirected\n" + rows)
    graph = read_interactions(path)
    assert tuple(zip(graph.first, graph.second, strict=True)) == PAIRS
    assert "'source_genesymbol' and 'target_genesymbol'" in graph.note
    chosen = read_interactions(path, columns=("source", "target"))
    assert chosen.first[0] == "P0"


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([g.lower() for g in GENES], "for upper and lower case 5 are: 'KLF1' is there as 'klf1'"),
        ([f"{g} (12)" for g in GENES], r"behind the name 5 are: 'KLF1' is .* 'KLF1 \(12\)'"),
        ([f"{g},1.0" for g in GENES], "behind the name 5 are: 'KLF1' is there as 'KLF1,1.0'"),
    ],
)
def test_what_stands_between_the_names_is_said(names, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        EmbeddingTable(tuple(names), EYE).align(GENES)
    path = tmp_path / "sets.gmt"
    path.write_text("a set\t\t" + "\t".join(names) + "\n")
    with pytest.raises(ValueError, match=said):
        read_pathways(path).align(GENES, min_genes=1)
    # A training that reads them would stop only later.
    priors = Priors(genes=EmbeddingTable(GENES, EYE), pathways=read_pathways(path))
    *_, found = priors.covers(GENES, GENES[:1])
    assert len(found.problems) == 1
    assert "pathways: none of the 5 genes" in found.problems[0]


def test_other_versions_of_identifiers_are_said():
    asked = tuple(f"ENSG{n:011d}.1" for n in range(5))
    table = EmbeddingTable((asked[0], *(f"{g[:-1]}7" for g in asked[1:])), EYE)
    with pytest.raises(ValueError, match=r"4 of 5 genes .* the version of their identifiers 4 are"):
        table.align(asked)
    other = EmbeddingTable((asked[0], "A", "B", "C", "D"), EYE)
    with pytest.raises(ValueError, match=r"4 of 5 genes have no vector") as error:
        other.align(asked)
    assert "But for" not in str(error.value)


def test_names_of_columns_may_be_marked_as_a_remark(tmp_path):
    path = tmp_path / "aliases.tsv"
    path.write_text("# of HGNC\n#alias\tsymbol\nP53\tTP53\n")
    assert read_aliases(path).alias == {"P53": ("TP53",)}
    path.write_text("# taken\tfrom it\nalias\tsymbol\nP53\tTP53\n")
    assert read_aliases(path).alias == {"P53": ("TP53",)}
    path.write_text("#string_protein_id\talias\tsource\n9606.ENSP1\tTP53\tHGNC\n")
    with pytest.raises(ValueError, match="got 'string_protein_id', 'alias', 'source'"):
        read_aliases(path)


def test_a_table_that_cannot_be_read_says_what_to_do(tmp_path):
    path = tmp_path / "table.npz"
    np.savez(path, genes=np.array(GENES), X=np.eye(5))
    with pytest.raises(ValueError, match=r"npz has no array 'names', .*it has 'genes', 'X'"):
        read_embeddings(path)
    path = tmp_path / "table.tsv"
    path.write_text("gene\tvector\n" + "".join(f"{gene}\t0.1 0.2 0.3\n" for gene in GENES))
    with pytest.raises(ValueError, match="several numbers there, with blanks between them"):
        read_embeddings(path)
    path.write_text("gene\tkind\tx\n" + "".join(f"{gene}\tchr1\t0.3\n" for gene in GENES))
    with pytest.raises(ValueError, match=r"do not hold numbers: 'kind'\. Drop them"):
        read_embeddings(path)
    path.write_text("gene\tx\ty\n" + "".join(f"{gene}\t0.5\t0.3\n" for gene in GENES))
    with pytest.warns(UserWarning, match="all 5 vectors are the same"):
        read_embeddings(path)
