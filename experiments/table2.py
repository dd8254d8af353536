"""Table 2: methods side by side where genes were never perturbed in training.

    python experiments/table2.py --data screen.h5ad --split holdout --annotations go.tsv.gz \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table2

Singles and doubles are scored together and shown apart, as in the paper.
"""

from tools.benchmark import Benchmark, Table, run
from tools.methods import METRICS, PUBLISHED, claims, kind, methods, values

from scbig import cli

PAPER = {
    "doubles": {
        "Linear": 0.7179, "Linear-scGPT": 0.7351, "scGPT": 0.6350, "GEARS": 0.5087,
        "samsVAE": 0.6267, "STATE": 0.3786, "CellFlow": 0.7404, "scBIG": 0.8026,
    },
    "singles": {
        "Linear": 0.5924, "Linear-scGPT": 0.6072, "scGPT": 0.5172, "GEARS": 0.4539,
        "samsVAE": 0.4778, "STATE": 0.3085, "CellFlow": 0.5930, "scBIG": 0.6507,
    },
}  # fmt: skip
"""Pearson delta, holdout split of the whole Norman screen."""


def main(bench: Benchmark):
    """Runs the experiment; returns its scores."""
    table = Table(
        arms=methods(bench),
        whole=PUBLISHED,
        claims=claims(),
        shown=METRICS,
        scoring={"changed": "bh"},
        kind=kind,
        of_kind={name: values(own) for name, own in PAPER.items()},
    )
    return run(bench, table)


if __name__ == "__main__":
    main(cli.parse(Benchmark, __doc__))
