"""Figure 5: which embeddings cluster the genes.

    python experiments/figure5.py --data screen.h5ad --split additive --annotations go.tsv.gz \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt \
        --tables GeneCompass=genecompass.npz ESM2=esm2.npz --out runs/figure5

The encoder reads the table that clusters; what tells the flow what was perturbed is `--embeddings`
in every arm. `comparison.png` is the figure.
"""

from tools.benchmark import Table, run
from tools.embeddings import GIVEN, GO, RANDOM, WithTables, tables
from tools.verdicts import Claim

from scbig import baselines, cli, comparison

CLAIMS = (
    Claim("GeneCompass clusters genes better than ESM2", "GeneCompass", "ESM2"),
    Claim("GeneCompass clusters genes better than GO terms", "GeneCompass", GO),
    Claim("a gene model's vectors cluster better than GO terms", GIVEN, GO),
    Claim("a gene model's vectors cluster better than random ones", GIVEN, RANDOM),
)


def arms(bench: WithTables) -> dict[str, baselines.AbstractRecipe]:
    """The same run on the programs of each table."""
    found, folder = tables(bench), bench.measured.out / "autoencoders"
    return {
        name: comparison.WithPriors(
            baselines.Arm(bench.base, folder / f"table{place}"),
            genes=table,
            perturbations=found[GIVEN],
        )
        for place, (name, table) in enumerate(found.items())
    }


def main(bench: WithTables):
    """Runs the experiment; returns its scores."""
    return run(bench, Table(arms=arms(bench), whole=GIVEN, claims=CLAIMS))


if __name__ == "__main__":
    main(cli.parse(WithTables, __doc__))
