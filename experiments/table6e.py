"""Table 6e: which embeddings tell the flow what was perturbed.

    python experiments/table6e.py --data screen.h5ad --split additive --annotations go.tsv.gz \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt \
        --tables ESM2=esm2.npz --out runs/table6e

Programs and autoencoder are those of `--embeddings` in every arm. The paper's two tables,
GeneCompass and ESM2, are read where one has them; GO terms and random vectors need none.
"""

from tools.benchmark import Table, run
from tools.embeddings import GIVEN, GO, RANDOM, WithTables, tables
from tools.methods import published
from tools.verdicts import Claim

from scbig import baselines, cli, comparison

PAPER = published("perturbation_vectors")
"""Additive split of the whole Norman screen."""
CLAIMS = (
    Claim("ESM2 tells perturbations better than GeneCompass", "ESM2", "GeneCompass"),
    Claim("a gene model's vectors tell them better than random ones", GIVEN, RANDOM),
    Claim("a gene model's vectors tell them better than GO terms", GIVEN, GO),
)


def arms(bench: WithTables) -> dict[str, baselines.AbstractRecipe]:
    """The same run on each table of what was perturbed."""
    arm = baselines.Arm(bench.base, bench.folder / "autoencoders")
    return {
        name: comparison.WithPriors(arm, perturbations=table)
        for name, table in tables(bench).items()
    }


def main(bench: WithTables):
    """Runs the experiment; returns its scores."""
    table = Table(arms=arms(bench), whole=GIVEN, paper={"Table 6e": PAPER}, claims=CLAIMS)
    return run(bench, table)


if __name__ == "__main__":
    main(cli.parse(WithTables, __doc__))
