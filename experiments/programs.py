"""Audits gene programs of the Norman 2019 genes: what they are enriched in, and how dense they are.

    python experiments/programs.py --effects norman19_effects_234x2000.npz \
        --embeddings enformer_tss_19685x32.npz --interactions string_v12_ge800.tsv.gz \
        --pathways ReactomePathways.gmt --out runs/programs

STRING imports Reactome: the enrichment of programs made with interactions is partly circular; that
of "GRC without interactions" and of k-means is not. GRC's density is of the graph it was given.
"""

import pathlib
from dataclasses import dataclass, field, replace

import jax.random as jr
import numpy as np
import pandas as pd
import tyro

from scbig import analysis, config as C, plotting, priors, programs
from scbig.data import Condition

VARIANTS = {
    "GRC": {"method": "grc"},
    "GRC without interactions": {"method": "grc", "priors": "embeddings"},
    "GRC without embeddings": {"method": "grc", "priors": "interactions"},
    "k-means": {"method": "kmeans"},
    "balanced k-means": {"method": "balanced_kmeans"},
    "file order": {"method": "order"},
}


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
    programs: C.ProgramsConfig = field(default_factory=C.ProgramsConfig)
    permutations: int = 1000
    seed: int = 0


def main(run: Programs) -> pd.DataFrame:
    """Runs the experiment; returns the audit."""
    cluster_key, random_key, audit_key = jr.split(jr.key(run.seed), 3)
    with np.load(run.effects) as effects:
        labels = [*effects["single_conditions"].tolist(), *effects["double_conditions"].tolist()]
        perturbed = {gene for label in labels for gene in Condition.parse(label).perturbations}
        genes = list(dict.fromkeys([*effects["genes"].tolist(), *sorted(perturbed)]))
    vectors = priors.read_embeddings(run.embeddings, duplicates="mean").align(genes, missing="zero")
    graph = priors.read_interactions(run.interactions).align(genes)
    edges = (graph.source, graph.target)
    library = priors.read_pathways(run.pathways)
    sets = library.align(genes)
    made = {}
    for name, changes in VARIANTS.items():
        chosen = replace(run.programs, **changes)
        clustering = programs.cluster_genes(vectors.vectors, *edges, chosen, key=cluster_key)
        made[name] = clustering.partition
    grc = made["GRC"]
    shuffled = jr.permutation(random_key, grc.labels)
    made["random"] = programs.GenePartition.from_labels(shuffled, grc.clusters)
    options = {"permutations": run.permutations, "key": audit_key}
    audit = analysis.audit(made, genes, sets, graph, **options)
    annotated = analysis.audit(made, genes, sets, graph, background="annotated", **options)
    audit = pd.concat({"all": audit, "annotated": annotated}, names=["background"])
    agreement = analysis.adjusted_rand(made)
    fine = analysis.enrichment(grc, genes, sets)
    # Figure 3: the most general sets alone, corrected for no more tests than these.
    top = {name: library.sets[name] for name in analysis.top_sets(sets)}
    coarse = analysis.enrichment(grc, genes, priors.PathwayLibrary(top).align(genes))
    members = analysis.program_table(grc, genes, graph)
    run.out.mkdir(parents=True, exist_ok=True)
    audit.to_csv(run.out / "audit.csv")
    agreement.to_csv(run.out / "agreement.csv")
    fine.to_csv(run.out / "enrichment.csv", index=False)
    coarse.to_csv(run.out / "enrichment_coarse.csv", index=False)
    members.to_csv(run.out / "programs.csv", index=False)
    plotting.save(plotting.enrichment_heatmap(fine), run.out / "fine.png")
    plotting.save(plotting.enrichment_heatmap(coarse, sets=list(top)), run.out / "coarse.png")
    folds = analysis.interaction_folds(grc, *edges)
    plotting.save(plotting.interaction_heatmap(folds), run.out / "interactions.png")
    print(vectors.coverage.summary(), graph.coverage.summary(), sets.summary(), sep="\n")
    print(audit.round(3).to_string(), agreement.round(2).to_string(), sep="\n\n")
    best = fine.query("significant").sort_values("q_value").groupby("program").head(1)
    print(best.drop(columns="genes").to_string(), f"Tables, figures: {run.out}", sep="\n\n")
    return audit


if __name__ == "__main__":
    main(tyro.cli(Programs, description=__doc__))
