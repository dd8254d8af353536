"""Rank perturbations that you have not done, by their predicted effect on a program.

    python docs/tutorials/own_cells.py --out runs/tutorial
    python docs/tutorials/rank_pairs.py --out runs/tutorial

Two trainings from two keys, so that the ranking has a spread. Before you trust it, see whether it
ranks the doubles that were measured and not trained on.
"""

import jax
import pandas as pd
from own_cells import Tutorial, cells_and_priors
from scipy.stats import spearmanr

import scbig
from scbig import analysis, cli, report


def main(run: Tutorial) -> pd.DataFrame:
    """Writes the ranks; returns them."""
    screen, known = cells_and_priors(run)
    first = report.Run.read(run.out / "model")
    assert first.split is not None
    training = first.split.cells(screen, "train", "validation")
    # Another flow on the same programs: a program has one meaning in both.
    second = scbig.fit(
        training, known, run.model, validation=first.split.validation, autoencoder=first.model,
        out=run.out / "second", key=jax.random.key(run.seed + 1),
    ).model  # fmt: skip

    # A program by its genes: any list of genes will do.
    program = 0
    genes = [g for g, p in zip(first.programs.genes, labels(first), strict=True) if p == program]
    singles = [c.name for c in screen.conditions if len(c.perturbations) == 1]
    effects = analysis.predicted_effects(
        [first.model, second], screen, analysis.pairs_of(singles), genes, key=jax.random.key(2)
    )
    table = analysis.ranked(effects)
    table["trained"] = table["condition"].isin(first.split.train)
    table.to_csv(run.out / "ranks.csv", index=False)
    print(table.head(10).round(3).to_string(index=False))

    # Does the ranking hold where it can be checked?
    partition = first.model.pure.partition
    measured = analysis.program_response(screen, partition, first.split.test)
    truth = measured[measured["program"] == program].set_index("condition")["response"]
    guess = table.set_index("condition")["effect"].reindex(truth.index)
    rho = spearmanr(guess, truth)[0]
    print(
        f"Rank correlation with {len(truth)} measured doubles that were not trained on: {rho:.2f}"
    )
    return table


def labels(run: report.Run) -> list[int]:
    """The program of each gene."""
    return [int(x) for x in run.model.pure.partition.averaging().argmax(axis=1)]


if __name__ == "__main__":
    main(cli.parse(Tutorial, __doc__))
