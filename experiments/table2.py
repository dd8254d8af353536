"""Table 2: methods side by side where genes were never perturbed in training.

    python experiments/table2.py --data screen.h5ad --split holdout --annotations go.tsv.gz \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table2

Singles and doubles are scored together and shown apart, as in the paper.
"""

from tools.benchmark import Benchmark, Table, run
from tools.methods import METRICS, PUBLISHED, claims, kind, methods

from scbig import cli

PAPER = {
    "doubles": {"GEARS": 0.5087, "CellFlow": 0.7404, "scBIG": 0.8026},
    "singles": {"GEARS": 0.4539, "CellFlow": 0.5930, "scBIG": 0.6507},
}
"""Pearson delta of some rows, holdout split of the whole Norman screen."""


def main(bench: Benchmark):
    """Runs the experiment; returns its scores."""
    table = Table(
        arms=methods(bench),
        whole=PUBLISHED,
        claims=claims(),
        shown=METRICS,
        scoring={"changed": "bh"},
        kind=kind,
    )
    return run(bench, table)


if __name__ == "__main__":
    main(cli.parse(Benchmark, __doc__))
