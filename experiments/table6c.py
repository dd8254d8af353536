"""Tables 6c and 6d: the two alignment losses, one at a time, and other weights of both.

    python experiments/table6c.py --data screen.h5ad --split additive \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table6c

All arms have the same programs and the same autoencoder.
"""

from tools.benchmark import Benchmark, Table, run
from tools.methods import published
from tools.verdicts import Claim

import scbig
from scbig import cli

WEIGHTS = {
    "no alignment": (0.0, 0.0),
    "correlation alone": (0.1, 0.0),
    "pathways alone": (0.0, 0.1),
    "0.1 and 1": (0.1, 1.0),
    "1 and 0.1": (1.0, 0.1),
    "both": (0.1, 0.1),
}
"""Of the correlation loss (Eq. 7) and of the pathway loss (Eq. 8)."""

PAPER = published("alignment_losses")
"""Additive split of the whole Norman screen. Which one loss alone is which was lost in print."""
CLAIMS = (
    Claim("the correlation loss helps", "correlation alone", "no alignment"),
    Claim("the pathway loss helps", "pathways alone", "no alignment"),
    Claim("both together are ahead of none", "both", "no alignment"),
    Claim("both are ahead of the correlation loss alone", "both", "correlation alone"),
    Claim("both are ahead of the pathway loss alone", "both", "pathways alone"),
    Claim("equal weights are ahead of more weight on pathways", "both", "0.1 and 1"),
    Claim("equal weights are ahead of more weight on correlations", "both", "1 and 0.1"),
)


def arms(base: scbig.ScBIGConfig) -> dict[str, scbig.ScBIGConfig]:
    """The same run under each pair of weights."""
    found = {}
    for name, (correlation, pathways) in WEIGHTS.items():
        weights = {"CorrelationAlignment": correlation, "PathwayAlignment": pathways}
        changes = {f"terms.Consistency.losses.{k}.weight": w for k, w in weights.items()}
        none = not any(weights.values())
        found[name] = scbig.but(base, terms=()) if none else scbig.but(base, **changes)
    return found


def main(bench: Benchmark):
    """Runs the experiment; returns its scores."""
    table = Table(
        arms=arms(bench.aligned), whole="both", paper={"Tables 6c and 6d": PAPER}, claims=CLAIMS
    )
    return run(bench, table)


if __name__ == "__main__":
    main(cli.parse(Benchmark, __doc__))
