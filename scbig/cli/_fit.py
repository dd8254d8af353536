"""`scbig fit`: from a prepared file and priors to a trained model."""

import pathlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ._options import (
    Labels,
    SplitName,
    check_writes,
    make_split,
    read_screen,
    report,
    split_file,
)

if TYPE_CHECKING:
    from scbig.data import Screen
    from scbig.method import ScBIGConfig
    from scbig.priors import EmbeddingTable
    from scbig.train import Priors


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Train on a prepared file. What was stopped goes on when the same command is called again.

    Example: scbig fit --data prepared.h5ad --embeddings genes.npz --interactions string.tsv.gz
    --pathways reactome.gmt --split additive --out runs/first
    """

    data: pathlib.Path
    """Log-normalised cells, as 'prepare' writes them: an h5ad file or zarr folder."""
    embeddings: pathlib.Path | None = None
    """A vector for each gene: npz, csv, tsv, parquet, h5ad, pt or pickle. This and the next two
    are needed where the settings read them, as those of every preset do."""
    interactions: pathlib.Path | None = None
    """Pairs of genes that interact: two columns, or STRING's own files."""
    interaction_columns: tuple[str, str] | None = None
    """The two columns of --interactions with the genes, if they cannot be told."""
    threshold: int | None = None
    """The least score of an interaction, times 1000 as STRING writes it: 700 for STRING's own
    files, and all edges of a table."""
    string_info: pathlib.Path | None = None
    """STRING's protein.info, where --interactions is its protein.links."""
    pathways: pathlib.Path | None = None
    """Gene sets, GMT."""
    aliases: pathlib.Path | None = None
    """Old and new gene names (HGNC's complete set, or two columns: alias, symbol), for files that
    name genes differently or by Ensembl identifiers. What matched is printed."""
    perturbations: pathlib.Path | None = None
    """A vector for each perturbation (drugs, say); by default those of the genes."""
    contexts: str = "none"
    """What the model knows of contexts: none; one-hot (which one it is); controls (a profile of
    its control cells, for contexts never seen perturbed too); or a file with a vector for each."""
    out: Annotated[pathlib.Path, tyro.conf.arg(aliases=["-o"])]
    """The folder for the model, the split and the logs."""
    labels: tyro.conf.OmitArgPrefixes[Labels] = field(default_factory=Labels)
    layer: str | None = None
    """The layer of the file with the log-normalised cells; by default X."""
    split: SplitName = "none"
    """Which perturbations are kept for testing: the JSON file that 'prepare --split' wrote; or
    none, additive, holdout or gears, drawn now (the genes were then chosen with the test cells).
    It is saved as split.json in the folder."""
    missing: Literal["error", "zero", "mean"] = "error"
    """What a gene without a vector gets: an error, zeros, or the mean of all vectors."""
    preset: Literal["anchored", "cpu", "paper", "released"] = "anchored"
    """Size of the model and of its training: cpu is small, and anchored the same with a flow that
    starts from what measured responses make one expect; paper and released want a GPU."""
    set: tuple[str, ...] = ()
    """Changes to the preset, such as stage1.epochs=50 stage2.steps=500: any field of
    scbig.ScBIGConfig. Algorithms too: flow.path=BrownianBridge(sigma=0.2)."""
    on_disk: bool = False
    """Leave the cells on disk: for files that are larger than memory."""
    seed: int = 0
    """Of the split, the programs and the training."""

    def run(self) -> None:
        """Trains and says where the model is."""
        import jax.random as jr

        from scbig import train

        files = (self.data, self.embeddings, self.interactions, self.string_info, self.pathways)
        more = (self.aliases, self.perturbations, split_file(self.split))
        check_writes(self.out, *files, *more, suffixes=())
        screen = read_screen(self.data, self.labels, on_disk=self.on_disk, layer=self.layer)
        print(report(screen))
        split = make_split(self.split, [c.name for c in screen.conditions], self.seed)
        validation: tuple[str, ...] = ()
        if split is not None:
            validation = split.validation
            print(
                f"split {split.name}, {split.hash}: {len(split.train)} training, "
                f"{len(validation)} validation and {len(split.test)} test conditions"
            )
            screen = split.cells(screen, "train", "validation")
        fit = train.fit(
            screen,
            self.priors(screen),
            self.config(),
            validation=validation,
            out=self.out,
            key=jr.key(self.seed),
        )
        # Now that the folder is known to be this run's: another run's split must stay.
        if split is not None:
            split.save(self.out / "split.json")
        print(*fit.coverage, sep="\n")
        print(f"The model is {self.out / 'model.scbig'}.")

    def config(self) -> "ScBIGConfig":
        """The preset with the changes; on disk, with a buffer."""
        from scbig import method

        from ._settings import changed

        small = lambda: method.anchored(method.cpu())
        presets = {"anchored": small, "cpu": method.cpu}
        base = {**presets, "paper": method.paper, "released": method.released}[self.preset]()
        if any(change.partition("=")[0] == "seed" for change in self.set):
            raise ValueError("--seed is an option of its own, and no setting of the preset.")
        return changed(method.on_disk(base) if self.on_disk else base, self.set)

    def priors(self, screen: "Screen") -> "Priors":
        """The files of priors, read."""
        from scbig import priors, train

        table, links, sets = self.embeddings, self.interactions, self.pathways
        genes = None if table is None else priors.read_embeddings(table, duplicates="mean")
        graph = None
        if links is not None:
            graph = priors.read_interactions(
                links,
                info=self.string_info,
                threshold=self.threshold,
                columns=self.interaction_columns,
            )
            print(f"interactions: {len(graph.first)} edges; {graph.note}")
        elif self.threshold is not None or self.interaction_columns or self.string_info:
            raise ValueError(
                "--threshold, --interaction-columns and --string-info say how --interactions FILE "
                "is read: give it, or leave them out."
            )
        pathways = None if sets is None else priors.read_pathways(sets)
        own = self.perturbations
        perturbations = None if own is None else priors.read_embeddings(own, duplicates="mean")
        if self.aliases is not None:
            aliases = priors.read_aliases(self.aliases)

            def named(what: str, wanted: Iterable[str], known: Iterable[str]) -> dict[str, str]:
                match = priors.match_genes(sorted({*wanted}), known, aliases=aliases)
                print(f"{what}: {match.summary()}")
                return match.inverse

            # Apart: rows and labels may call a gene by different names, and both mean it.
            if genes is not None and perturbations is None:
                wanted = screen.perturbations
                perturbations = genes.renamed(
                    named("embeddings of perturbations", wanted, genes.names)
                )
            if genes is not None:
                genes = genes.renamed(named("embeddings of genes", screen.genes, genes.names))
            if graph is not None:
                known = {*graph.first, *graph.second}
                graph = graph.renamed(named("interactions", screen.genes, known))
            if pathways is not None:
                known = pathways.genes
                both = (
                    named("pathways of genes", screen.genes, known),
                    named("pathways of perturbations", screen.perturbations, known),
                )
                pathways = pathways.renamed(both[0]).joined(pathways.renamed(both[1]))
        return train.Priors(
            genes=genes,
            interactions=graph,
            pathways=pathways,
            contexts=self._contexts(screen),
            perturbations=perturbations,
            missing=self.missing,
        )

    def _contexts(self, screen: "Screen") -> "EmbeddingTable | None":
        from scbig import priors, train

        match self.contexts:
            case "none":
                return None
            case "one-hot":
                return train.one_hot_contexts(screen.contexts)
            case "controls":
                most = min(len(screen.contexts) - 1, 8)
                return train.control_profiles(screen, components=most)
            case _:
                return priors.read_embeddings(self.contexts)
