"""Table 10: how the tokens of a cell's programs become one latent.

    python experiments/table10.py --data screen.h5ad --split additive \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table10
"""

from typing import Any

from tools.benchmark import Benchmark, Table, run
from tools.methods import published
from tools.verdicts import Claim

import scbig
from scbig import cli, nn

PAPER = published("pooling")
"""Additive split of the whole Norman screen."""
CLAIMS = (
    Claim("the mean is ahead of a Set Transformer's pooling", "mean", "Set Transformer"),
    Claim("the mean is ahead of attention", "mean", "attention"),
)


def arms(base: scbig.ScBIGConfig) -> dict[str, scbig.ScBIGConfig]:
    """The same run with each pooling of the encoder."""
    encoder: Any = base.encoder
    ways = {
        "Set Transformer": nn.SeedPooling(heads=encoder.heads),
        "attention": nn.AttentionPooling(),
        "mean": nn.MeanPooling(),
    }
    return {name: scbig.but(base, **{"encoder.pooling": way}) for name, way in ways.items()}


def main(bench: Benchmark):
    """Runs the experiment; returns its scores."""
    table = Table(arms=arms(bench.base), whole="mean", paper={"Table 10": PAPER}, claims=CLAIMS)
    return run(bench, table)


if __name__ == "__main__":
    main(cli.parse(Benchmark, __doc__))
