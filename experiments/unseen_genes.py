"""Do relations between genes help where one was never perturbed? Norman 2019, pseudobulk.

    python experiments/unseen_genes.py --effects norman19_effects_234x2000.npz \
        --interactions string_v12_ge800.tsv.gz --pathways ReactomePathways.gmt

A fifth of the genes is held out with all their conditions, five times, and these conditions are
predicted from the rest: with each relation, with none, and with the names of each shuffled.
"""

import pathlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scbig import cli, priors, response, simulate


@dataclass(frozen=True, kw_only=True)
class UnseenGenes:
    """Files and folds."""

    effects: pathlib.Path
    """npz: `genes`, `single_conditions`, `single_lfc`, `double_conditions`, `double_lfc`."""
    interactions: pathlib.Path
    """Edges between gene symbols."""
    pathways: pathlib.Path
    """GMT with gene symbols."""
    seeds: tuple[int, ...] = (6, 7, 8, 9, 10)
    """Of the random folds; of Norman's additive protocol 1 to 5 are for testing models."""
    share: float = 0.2
    """Of the genes, held out."""
    log_means: bool = True
    """Changes of log1p of counts per 10,000 in place of the log fold changes of the file."""
    out: pathlib.Path | None = None
    """Folder for the table of all conditions; by default only means are printed."""


def changes_of(run: UnseenGenes) -> tuple[simulate.Effects, np.ndarray]:
    """The effects as they are given, and the changes to predict."""
    given = simulate.read_effects(run.effects)
    if not run.log_means:
        return given, given.changes
    found = simulate.recover_pseudobulk(given)
    means = np.log1p(1e4 * found.counts / found.totals[:, None])
    return given, means - np.log1p(1e4 * found.control_counts / found.control_total)


def main(run: UnseenGenes) -> pd.DataFrame:
    """Pearson correlation of every tested condition with every relation; prints their means."""
    given, changes = changes_of(run)
    genes = sorted({name for c in given.conditions for name in c.perturbations})
    graph = priors.read_interactions(run.interactions)
    library = priors.read_pathways(run.pathways)
    rows = []
    for seed in run.seeds:
        random = np.random.default_rng(seed)
        held = {*random.permutation(genes)[: round(run.share * len(genes))].tolist()}
        renamed = dict(zip(genes, random.permutation(genes).tolist(), strict=True))
        relations = {
            "none": None,
            "interactions": response.GraphRelation(graph),
            "pathways": response.PathwayRelation(library),
            "interactions, shuffled": response.GraphRelation(graph.renamed(renamed)),
            "pathways, shuffled": response.PathwayRelation(library.renamed(renamed)),
        }
        unseen = np.array([len(held & {*c.perturbations}) for c in given.conditions])
        sizes = np.array([len(c.perturbations) for c in given.conditions])
        seen = np.flatnonzero(unseen == 0)
        for name, relation in relations.items():
            fitted = response.MixedEffects().fit(
                [given.conditions[i] for i in seen], changes[seen], relation=relation
            )
            bands = (fitted.singles, fitted.combinations) if fitted.new is None else fitted.new
            related = [band[0].strengths.related for band in bands]
            for place in np.flatnonzero(unseen):
                condition, kind = given.conditions[place], (sizes[place], unseen[place])
                guess = fitted.means([condition])[0]
                rows.append(
                    {
                        "relation": name,
                        "seed": seed,
                        "kind": {(1, 1): "single", (2, 1): "one of two", (2, 2): "both"}[kind],
                        "condition": condition.name,
                        "pearson": np.corrcoef(guess, changes[place])[0, 1],
                        "related": related[int(sizes[place] > 1)],
                    }
                )
    table = pd.DataFrame(rows)
    wide = table.pivot_table("pearson", ["kind", "seed", "condition"], "relation")
    ahead = wide.sub(wide["none"], axis=0).groupby("kind")
    print(table.groupby(["kind", "relation"])["pearson"].mean().unstack().round(4).to_string())
    print(f"\nahead of none:\n{ahead.mean().round(4).to_string()}")
    print(f"\nstandard error over conditions:\n{ahead.sem().round(4).to_string()}")
    chosen = table.groupby(["kind", "relation", "seed"])["related"].first().unstack()
    print(f"\nhow much was chosen, by seed:\n{chosen.to_string()}")
    if run.out is not None:
        run.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(run.out / "unseen_genes.csv", index=False)
    return table


if __name__ == "__main__":
    main(cli.parse(UnseenGenes, __doc__))
