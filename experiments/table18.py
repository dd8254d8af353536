"""Table 18: another cell line, known by its controls alone.

    python experiments/table18.py --data lines.h5ad --split contexts --context-key cell_type \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table18

Each line is held out once. The paper trains on Replogle 2022's K562 and tests its RPE1: that is
`--held RPE1` on a screen of the two.
"""

from tools.benchmark import Benchmark, Table, run
from tools.methods import CELLFLOW, OURS, PUBLISHED, claims, methods, published, values

from scbig import cli

PAPER = published("k562_to_rpe1")
METRICS = (
    "pearson_delta", "pearson_delta_deg20", "mse", "discr_cos", "e_distance", "wasserstein",
)  # fmt: skip
ROWS = ("control", "perturbed mean", "additive", "STATE-like", CELLFLOW, PUBLISHED, OURS)


def main(bench: Benchmark):
    """Runs the experiment; returns its scores."""
    known = methods(bench)
    table = Table(
        arms={name: known[name] for name in ROWS},
        whole=CELLFLOW,
        published=values(PAPER),
        paper={"Table 18, K562 to RPE1": PAPER},
        claims=claims(METRICS),
        shown=METRICS,
        apart=METRICS,
        scoring={"wasserstein": True},
    )
    return run(bench, table)


if __name__ == "__main__":
    main(cli.parse(Benchmark, __doc__))
