"""Table 4: methods side by side on a drug screen, with doses and vectors of SMILES.

    python experiments/drug_screen.py --out runs/drugs
    python experiments/table4.py --data runs/drugs/screen.h5ad --split file \
        --split-files runs/drugs/split.json --perturbations runs/drugs/drugs.npz \
        --embeddings runs/drugs/genes.npz --interactions runs/drugs/pairs.csv \
        --pathways runs/drugs/sets.gmt --out runs/table4

The paper's screen is ComboSciPlex: `--split combosciplex`, and `--perturbations` as
`drug_embeddings.py` writes them.
"""

from tools.benchmark import Benchmark, Table, run
from tools.methods import CELLFLOW, OURS, PUBLISHED, claims, kind, methods, published, values

from scbig import cli, comparison

PAPER = published("combosciplex")
"""Of seven held-out conditions of ComboSciPlex."""
METRICS = (
    "pearson_delta", "pearson_delta_deg20", "mse", "discr_cos", "e_distance", "wasserstein",
)  # fmt: skip
ROWS = ("control", "perturbed mean", "additive", "STATE-like", "scGPT-style", CELLFLOW, PUBLISHED,
        OURS)  # fmt: skip


def main(bench: Benchmark):
    """Runs the experiment; returns its scores."""
    known = {**methods(bench), "CPA": comparison.native(bench.base)["CPA"]}
    table = Table(
        arms={name: known[name] for name in (*ROWS[:3], "CPA", *ROWS[3:])},
        whole=CELLFLOW,
        published=values(PAPER),
        paper={"Table 4, ComboSciPlex": PAPER},
        claims=claims(METRICS),
        shown=METRICS,
        apart=METRICS,
        scoring={"wasserstein": True},
        kind=kind,
    )
    return run(bench, table)


if __name__ == "__main__":
    main(cli.parse(Benchmark, __doc__))
