"""Table 2: methods side by side where genes were never perturbed in training.

    python experiments/table2.py --data screen.h5ad --split holdout --annotations go.tsv.gz \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table2

Singles and doubles are scored together and shown apart, as in the paper.
"""

from tools.benchmark import Benchmark, Table, run
from tools.methods import METRICS, PUBLISHED, claims, kind, methods, published, values

from scbig import cli

PAPER = {kind: published(f"norman_holdout_{kind}") for kind in ("doubles", "singles")}


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
        paper={f"Table 2, {name}": own for name, own in PAPER.items()},
    )
    return run(bench, table)


if __name__ == "__main__":
    main(cli.parse(Benchmark, __doc__))
