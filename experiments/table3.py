"""Table 3: methods side by side on a screen of singles, by GEARS' split.

    python experiments/table3.py --data rpe1.h5ad --split gears --annotations go.tsv.gz \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table3

The paper's screen is Replogle 2022, RPE1; any screen of singles is read. On few perturbations
`--split singles` tests every one of them once.
"""

from tools.benchmark import Benchmark, Table, run
from tools.methods import METRICS, PUBLISHED, claims, methods, published, values

from scbig import cli

PAPER = published("replogle_rpe1")
"""Of 384 perturbations of Replogle 2022, RPE1."""


def main(bench: Benchmark):
    """Runs the experiment; returns its scores."""
    table = Table(
        arms=methods(bench),
        whole=PUBLISHED,
        published=values(PAPER),
        paper={"Table 3, RPE1": PAPER},
        claims=claims(),
        shown=METRICS,
        scoring={"changed": "bh"},
    )
    return run(bench, table)


if __name__ == "__main__":
    main(cli.parse(Benchmark, __doc__))
