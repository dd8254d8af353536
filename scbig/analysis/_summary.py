"""Partitions side by side, and one partition gene by gene."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from scbig._typing import PRNGKeyArray
from scbig.priors import AlignedGraph, PathwayMembership
from scbig.programs import AbstractPartition, GenePartition

from ._checks import require_graph, require_names
from ._density import interaction_density
from ._enrichment import enrichment


def audit(
    partitions: Mapping[str, AbstractPartition],
    genes: Sequence[str],
    membership: PathwayMembership,
    graph: AlignedGraph,
    *,
    alpha: float = 0.05,
    background: Literal["all", "annotated"] = "all",
    permutations: int = 1000,
    key: PRNGKeyArray,
) -> pd.DataFrame:
    """Partitions of the same genes by the same measures: `enrichment`, `interaction_density`.

    **Arguments:** `partitions`, by the name that the table gives them; the rest as of the two
    functions. `key` is the same for every partition.

    **Returns:** a row for each partition:

    - `programs` that have genes, sizes of the `smallest` and the `largest`;
    - `enriched`, programs with a significant set, and their `enriched_share`; `significant_pairs`
      of program and set;
    - of each program's best set, the one with the lowest p-value (of several, with the largest
      odds ratio), the median over the programs tested: `best_odds_ratio` (NaN if a program has
      none), `best_fold` (never infinite) and `best_p`. The two ratios are large for random
      programs too, whose best sets are small: read them beside `best_p`;
    - `inside_share` of the interactions, and its `density_z`.

    **Raises:** `ValueError` if anything is about other genes, or there is no partition.
    """
    if not partitions:
        raise ValueError("No partition to audit; pass at least one, by name.")
    for partition in partitions.values():
        require_names(partition, genes)
    require_graph(graph, genes)
    rows = {}
    for name, partition in partitions.items():
        table = enrichment(partition, genes, membership, alpha=alpha, background=background)
        density = interaction_density(
            partition, graph.source, graph.target, permutations=permutations, key=key
        )
        sizes = np.asarray(partition.sizes)
        sizes = sizes[sizes > 0]
        best = _best(table)
        enriched = int(best["significant"].sum())
        rows[name] = {
            "programs": sizes.size,
            "smallest": int(sizes.min()),
            "largest": int(sizes.max()),
            "enriched": enriched,
            "enriched_share": enriched / sizes.size,
            "significant_pairs": int(table["significant"].sum()),
            "best_odds_ratio": best["odds_ratio"].median(skipna=False),
            "best_fold": best["fold"].median(),
            "best_p": best["p_value"].median(),
            "inside_share": density.share,
            "density_z": density.z_score,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("partition")


def _best(table: pd.DataFrame) -> pd.DataFrame:
    """Each program's row of the lowest p-value; of several, of the largest odds ratio."""
    # Two equal chances that were summed differently may differ in their last digits.
    chance = np.log(np.maximum(table["p_value"], np.finfo(float).tiny)).round(9)
    ordered = table.assign(chance=chance).sort_values(
        ["chance", "odds_ratio"], ascending=[True, False]
    )
    return ordered.groupby("program").head(1)


def adjusted_rand(partitions: Mapping[str, AbstractPartition]) -> pd.DataFrame:
    """Agreement of every two partitions: 1 if they are the same, about 0 by chance.

    **Returns:** partitions by partitions, the adjusted Rand index (Hubert and Arabie 1985).

    **Raises:** `ValueError` if they have different numbers of genes.
    """
    from sklearn.metrics import adjusted_rand_score

    counts = {name: partition.num_genes for name, partition in partitions.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"Partitions of the same genes are needed; numbers of genes: {counts}.")
    labels = [np.asarray(partition.labels) for partition in partitions.values()]
    scores = [[adjusted_rand_score(one, other) for other in labels] for one in labels]
    names = pd.Index(list(partitions), name="partition")
    return pd.DataFrame(scores, index=names, columns=names)


def program_table(
    partition: AbstractPartition, genes: Sequence[str], graph: AlignedGraph
) -> pd.DataFrame:
    """Which gene is in which program, and how it is connected there.

    **Arguments:** `partition`; `genes`, the names in its order; `graph`, aligned to them.

    **Returns:** a row for each gene, sorted by `program` and `slot`, with its `gene` name, its
    `interactions`, and those `inside` its program.

    **Raises:** `ValueError` if the arguments are not about the same genes.
    """
    require_names(partition, genes)
    require_graph(graph, genes)
    assert isinstance(partition, GenePartition)  # which require_names makes sure of
    labels = np.asarray(partition.labels)
    shared = graph.source[labels[graph.source] == labels[graph.target]]
    table = pd.DataFrame(
        {
            "gene": list(genes),
            "program": labels,
            "slot": np.asarray(partition.slot),
            "interactions": np.bincount(graph.source, minlength=len(genes)),
            "inside": np.bincount(shared, minlength=len(genes)),
        }
    )
    return table.sort_values(["program", "slot"], ignore_index=True)
