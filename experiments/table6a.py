"""Table 6a: gene programs by three ways of clustering, encoded by two kinds of layers.

    python experiments/table6a.py --data screen.h5ad --split additive \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table6a

Genes in the order of the file, balanced k-means on the embeddings, or Gene-Relation Clustering;
layers of a plain transformer ("Normal") or of inducing points (GCAE), in the encoder and in the
decoder, which mirrors it.
"""

from typing import Any

from tools.benchmark import Benchmark, Table, run
from tools.methods import published
from tools.verdicts import Claim

import scbig
from scbig import cli, nn, programs

PAPER = published("clustering_encoder")
"""Additive split of the whole Norman screen."""
CLAIMS = (
    Claim("GRC is ahead of balanced k-means", "GRC, GCAE", "k-means, GCAE"),
    Claim("GRC is ahead of no clustering", "GRC, GCAE", "none, GCAE"),
    Claim("GCAE is ahead of a plain transformer", "GRC, GCAE", "GRC, Normal"),
    Claim("the same without clustering", "none, GCAE", "none, Normal"),
)


def arms(base: scbig.ScBIGConfig) -> dict[str, scbig.ScBIGConfig]:
    """Each clustering with each kind of layer."""
    grc: Any = base.programs
    clusters = grc.clusters
    ways = {
        "none": programs.FileOrder(clusters),
        "k-means": programs.KMeans(clusters, balanced=True),
        "GRC": base.programs,
    }
    normal = {f"{part}.mixing": nn.SelfAttention() for part in ("encoder", "decoder")}
    layers = {"Normal": normal, "GCAE": {}}
    return {
        f"{way}, {layer}": scbig.but(base, programs=made, **changes)
        for way, made in ways.items()
        for layer, changes in layers.items()
    }


def main(bench: Benchmark):
    """Runs the experiment; returns its scores."""
    table = Table(
        arms=arms(bench.base), whole="GRC, GCAE", paper={"Table 6a": PAPER}, claims=CLAIMS
    )
    return run(bench, table)


if __name__ == "__main__":
    main(cli.parse(Benchmark, __doc__))
