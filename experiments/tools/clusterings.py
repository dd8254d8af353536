"""The ways of clustering genes that the audit of gene programs compares."""

from collections.abc import Mapping

import jax.random as jr
from jaxtyping import PRNGKeyArray

from scbig import priors, programs
from scbig.method import but
from scbig.programs import GRC


def variants(grc: GRC) -> Mapping[str, programs.AbstractClustering]:
    """What is compared: Gene-Relation Clustering, what it can do without, and beyond it."""
    clusters, ten = grc.clusters, but(grc, runs=10, start=programs.KMeansStart(tries=1))
    return {
        "GRC": grc,
        "GRC without interactions": but(grc, interaction_weight=0.0),
        "GRC without embeddings": but(grc, semantic_weight=0.0, start=programs.RandomStart()),
        "k-means": programs.KMeans(clusters),
        "balanced k-means": programs.KMeans(clusters, balanced=True),
        "file order": programs.FileOrder(clusters),
        "GRC, exact rounding": but(grc, rounding=programs.ExactRounding()),
        "GRC, best of 10 starts": ten,
        "GRC, consensus of 10": but(ten, select=programs.Consensus()),
        "GRC, sizes within 20 %": but(grc, tolerance=0.2),
        "GRC, interactions x 10": but(grc, interaction_weight=10.0),
    }


def clustered(
    grc: GRC, vectors: priors.AlignedEmbeddings, graph: priors.AlignedGraph, *, key: PRNGKeyArray
) -> tuple[dict[str, programs.GenePartition], dict[str, float]]:
    """The programs of every variant, and random ones of the same sizes; and mean costs (Eq. 1)."""
    made, costs = {}, {}
    given = {"confidence": graph.weight if graph.weighted else None, "key": key}
    for name, clustering in variants(grc).items():
        edges = graph.source, graph.target
        found = programs.cluster_genes(vectors.vectors, *edges, clustering, **given)
        made[name], costs[name] = found.partition, float(found.mean_cost)
    mixed = jr.permutation(key, made["GRC"].labels)
    made["random"] = programs.GenePartition.from_labels(mixed, grc.clusters)
    return made, costs
