"""Table 6b: strategies of clustering, and what each prior is worth.

    python experiments/table6b.py --data screen.h5ad --split additive \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table6b

Without a prior it is missing everywhere: without the embeddings of genes nothing clusters by them,
and the encoder and the decoder read none (no second stream, learned positions). The embeddings of
what is perturbed stay.
"""

from typing import Any

from tools.benchmark import Benchmark, Table, run
from tools.methods import published
from tools.verdicts import Claim

import scbig
from scbig import cli, nn, programs

PAPER = published("clustering_strategies")
"""Additive split of the whole Norman screen; which two temperatures is not said."""
CLAIMS = (
    Claim("balanced programs are ahead of unbalanced k-means", "GRC", "k-means, unbalanced"),
    Claim("hard programs are ahead of soft ones", "GRC", "soft, 0.1"),
    Claim("the same at half the temperature", "GRC", "soft, 0.05"),
    Claim("programs that stay are ahead of updated ones", "GRC", "updated by perturbation"),
    Claim("embeddings of genes help", "GRC", "without embeddings"),
    Claim("interactions help", "GRC", "without interactions"),
    Claim("both priors together help", "GRC", "without any prior"),
)

BLIND: dict[str, Any] = {
    "encoder.semantics": None,
    "encoder.position": nn.LearnedPosition(),
    "decoder.position": nn.LearnedPosition(),
}
"""Networks that read no embeddings of genes."""
UNRELATED: dict[str, Any] = {
    "programs.semantic_weight": 0.0,
    "programs.start": programs.RandomStart(),
}
"""Programs of interactions alone: the usual start is k-means of the embeddings."""


def arms(base: scbig.ScBIGConfig) -> dict[str, scbig.ScBIGConfig]:
    """One strategy, or one prior less, at a time."""
    grc: Any = base.programs
    clusters = grc.clusters
    changed = lambda **changes: scbig.but(
        base, **{name.replace("__", "."): value for name, value in changes.items()}
    )
    blind = scbig.but(base, **BLIND)
    return {
        "k-means, unbalanced": changed(programs=programs.KMeans(clusters)),
        "soft, 0.05": changed(programs__soft=programs.Soft(0.05)),
        "soft, 0.1": changed(programs__soft=programs.Soft(0.1)),
        "updated by perturbation": changed(programs__feedback=programs.Feedback()),
        "without any prior": scbig.but(blind, programs=programs.RandomPrograms(clusters)),
        "without embeddings": scbig.but(blind, **UNRELATED),
        "without interactions": changed(programs__interaction_weight=0.0),
        "GRC": base,
    }


def main(bench: Benchmark):
    """Runs the experiment; returns its scores."""
    table = Table(arms=arms(bench.base), whole="GRC", paper={"Table 6b": PAPER}, claims=CLAIMS)
    return run(bench, table)


if __name__ == "__main__":
    main(cli.parse(Benchmark, __doc__))
