"""Audits gene programs of the Norman 2019 genes: what they are enriched in, and how dense they are.

    python experiments/programs.py --effects norman19_effects_234x2000.npz \
        --embeddings enformer_tss_19685x32.npz --interactions string_v12_ge800.tsv.gz \
        --pathways ReactomePathways.gmt --out runs/programs

STRING imports Reactome: the enrichment of programs made with interactions is partly circular; that
of "GRC without interactions" and of k-means is not. GRC's density is of the graph it was given.
"""

import pathlib
from dataclasses import dataclass, field
from typing import Literal

import jax.random as jr
import numpy as np
import pandas as pd
from tools import markdown
from tools.clusterings import clustered
from tools.recorded import record

from scbig import analysis, cli, plotting, priors, programs
from scbig.data import Condition
from scbig.method import plain
from scbig.programs import GRC


@dataclass(frozen=True, kw_only=True)
class Programs:
    """Real genes and real priors."""

    effects: pathlib.Path
    """npz with `genes` (the variable ones), `single_conditions` and `double_conditions`."""
    embeddings: pathlib.Path
    """Gene embeddings: npz, csv, tsv, parquet or h5ad. A gene without one gets zeros."""
    interactions: pathlib.Path
    """Gene pairs, two columns."""
    pathways: pathlib.Path
    """Gene sets, GMT."""
    out: pathlib.Path
    """Folder for the tables and the figures."""
    programs: GRC = field(default_factory=GRC)
    seeds: int = 5
    """Keys that every variant is made from; tables and figures of single genes are of the first."""
    background: Literal["all", "annotated"] = "all"
    """Enrichment against all genes, or against those in any set."""


def main(run: Programs) -> pd.DataFrame:
    """Runs the experiment; returns the audit of every variant and seed."""
    with np.load(run.effects) as effects:
        labels = [*effects["single_conditions"], *effects["double_conditions"]]
        perturbed = {gene for label in labels for gene in Condition.parse(str(label)).perturbations}
        genes = list(dict.fromkeys([*effects["genes"].tolist(), *sorted(perturbed)]))
    table = priors.read_embeddings(run.embeddings, duplicates="mean")
    links = priors.read_interactions(run.interactions)
    library = priors.read_pathways(run.pathways)
    vectors, graph = table.align(genes, missing="zero"), links.align(genes)
    sets = library.align(genes)
    options = {"background": run.background, "permutations": 1}
    audits, made = [], {}
    for seed in reversed(range(run.seeds)):
        made, costs = clustered(run.programs, vectors, graph, key=jr.key(seed))
        audit = analysis.audit(made, genes, sets, graph, **options, key=jr.key(seed))
        audits.append(audit.assign(cost=pd.Series(costs), seed=seed).set_index("seed", append=True))
    audit, grc = pd.concat(audits), made["GRC"]
    fine = analysis.enrichment(grc, genes, sets)
    # Figure 3: the most general sets alone, corrected for no more tests than these.
    top = {name: library.sets[name] for name in analysis.top_sets(sets)}
    coarse = analysis.enrichment(grc, genes, priors.PathwayLibrary(top).align(genes))
    made_with = {"config": plain(run.programs), "embeddings": table.checksum}
    named = programs.ProgramTable.of(genes, grc, {**made_with, "interactions": links.checksum})
    named.save(run.out / "programs.csv")
    audit.to_csv(run.out / "audit.csv")
    analysis.adjusted_rand(made).to_csv(run.out / "agreement.csv")
    described = analysis.program_table(grc, genes, graph)
    for frame, name in ((fine, "fine"), (coarse, "coarse"), (described, "genes")):
        frame.to_csv(run.out / f"{name}.csv", index=False)
    for frame, name in ((fine, "fine"), (coarse, "coarse")):
        shown = list(top) if name == "coarse" else None
        plotting.save(plotting.enrichment_heatmap(frame, sets=shown), run.out / f"{name}.png")
    folds = plotting.interaction_heatmap(
        analysis.interaction_folds(grc, graph.source, graph.target)
    )
    plotting.save(folds, run.out / "interactions.png")
    print(vectors.coverage.summary(), graph.coverage.summary(), sets.summary(), sep="\n")
    by_variant = audit.groupby("partition", sort=False)
    for name in ("mean", "std"):
        print(f"\n{name} of {run.seeds} seeds\n{by_variant.agg(name).round(3).to_string()}")
    seeds = f"Means of {run.seeds} seeds, {len(genes)} genes, {run.programs.clusters} programs."
    shown = markdown.frame(pd.DataFrame(by_variant.mean()).round(3))
    (run.out / "summary.md").write_text(f"{seeds}\n\n{shown}")
    record(run.out, run, {})
    print(f"\nTables and figures: {run.out}")
    return audit


if __name__ == "__main__":
    main(cli.parse(Programs, __doc__))
