"""Tables 1, 13 and 14: methods side by side on unseen combinations.

    python experiments/table1.py --data screen.h5ad --split additive --annotations go.tsv.gz \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table1

Table 13 is its distances between populations of cells, Table 14 its intervals and paired tests
against CellFlow. What needs pretrained weights is a row of `compare.py --tables`.
"""

from tools.benchmark import Benchmark, Table, run
from tools.methods import CELLFLOW, METRICS, claims, methods, published, values

from scbig import cli

PAPER = published("norman_additive")
DISTANCES = ("discr_cos", "e_distance", "wasserstein")


def main(bench: Benchmark):
    """Runs the experiment; returns its scores."""
    table = Table(
        arms=methods(bench),
        whole=CELLFLOW,
        published=values(PAPER),
        paper={
            "Table 1": PAPER,
            "Table 13": published("norman_additive_distances"),
        },
        claims=claims((*METRICS, *DISTANCES)),
        shown=(*METRICS, *DISTANCES),
        apart=(*METRICS, *DISTANCES),
        scoring={"changed": "bh", "wasserstein": True},
    )
    return run(bench, table)


if __name__ == "__main__":
    main(cli.parse(Benchmark, __doc__))
