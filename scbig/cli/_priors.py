"""The files of what is known before a screen, as several commands take them."""

import pathlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from scbig.data import Covered
    from scbig.priors import AliasTable


@dataclass(frozen=True, kw_only=True)
class PriorFiles:
    """Files of priors, and how they are read."""

    embeddings: pathlib.Path | None = None
    """A vector for each gene: npz, csv, tsv, parquet, h5ad, pt or pickle. For 'fit' this and the
    next two are needed where the settings read them, as those of every preset do."""
    missing: Literal["error", "zero", "mean"] = "error"
    """What a gene without a vector gets: an error, zeros, or the mean of all vectors; where several
    predictors are compared, a perturbation too."""
    interactions: pathlib.Path | None = None
    """Pairs of genes that interact: two columns, or STRING's own files."""
    interaction_columns: tuple[str, str] | None = None
    """The two columns of --interactions with the genes, if they cannot be told."""
    interaction_score: str | None = None
    """The column of --interactions with the scores, if it has another name than score."""
    threshold: int | None = None
    """The least score of an interaction, times 1000 as STRING writes it: 700 for STRING's own
    files, and all edges of a table."""
    string_info: pathlib.Path | None = None
    """STRING's protein.info, where --interactions is its protein.links."""
    pathways: pathlib.Path | None = None
    """Gene sets, GMT."""
    perturbations: pathlib.Path | None = None
    """A vector for each perturbation (drugs, say); by default those of the genes."""
    aliases: pathlib.Path | None = None
    """Old and new gene names (HGNC's complete set, or two columns: alias, symbol), for files that
    name genes differently or by Ensembl identifiers. What matched is printed."""

    @property
    def paths(self) -> tuple[pathlib.Path | None, ...]:
        """The files, of which some are not given."""
        graph = self.interactions, self.string_info
        return self.embeddings, *graph, self.pathways, self.perturbations, self.aliases

    def read(self, genes: Sequence[str], perturbations: Sequence[str]) -> dict[str, Any]:
        """Fields of `scbig.Priors`, by the names of a screen's genes and perturbations."""
        from scbig import priors

        table = lambda path: path and priors.read_embeddings(path, duplicates="mean")
        found: dict[str, Any] = {
            "genes": table(self.embeddings),
            "perturbations": table(self.perturbations),
            "interactions": self._graph(),
            "pathways": self.pathways and priors.read_pathways(self.pathways),
        }
        if self.aliases is not None:
            known = priors.read_aliases(self.aliases)
            found = _renamed(found, known, genes=genes, perturbations=perturbations)
        return {**found, "missing": self.missing}

    def covers(self, genes: Sequence[str], perturbations: Sequence[str]) -> "tuple[Covered, ...]":
        """What the files know of a screen's genes and perturbations: see `Screen.report`."""
        from scbig import train

        found = self.read(genes, perturbations)
        found["embeddings"], found["tokens"] = found.pop("genes"), found.pop("perturbations")
        return train.covered(genes, perturbations, **found)

    def _graph(self) -> Any:
        from scbig import priors

        if self.interactions is None:
            columns = self.interaction_columns, self.interaction_score
            if self.threshold is not None or self.string_info or any(columns):
                raise ValueError(
                    "--threshold, --interaction-columns, --interaction-score and --string-info "
                    "say how --interactions FILE is read: give it, or leave them out."
                )
            return None
        graph = priors.read_interactions(
            self.interactions,
            info=self.string_info,
            threshold=self.threshold,
            columns=self.interaction_columns,
            score=self.interaction_score,
        )
        print(f"interactions: {len(graph.first)} edges; {graph.note}")
        return graph


def _renamed(
    found: dict[str, Any],
    aliases: "AliasTable",
    *,
    genes: Sequence[str],
    perturbations: Sequence[str],
) -> dict[str, Any]:
    """The priors by the screen's names, genes and perturbations apart.

    Rows and labels may call a gene by different names, and both mean it.
    """
    from scbig import priors

    def named(what: str, wanted: Iterable[str], known: Iterable[str]) -> dict[str, str]:
        match = priors.match_genes(sorted({*wanted}), known, aliases=aliases)
        print(f"{what}: {match.summary()}")
        return match.inverse

    table, graph, sets = found["genes"], found["interactions"], found["pathways"]
    new = dict(found)
    if table is not None:
        if found["perturbations"] is None and perturbations:
            of_perturbed = named("embeddings of perturbations", perturbations, table.names)
            new["perturbations"] = table.renamed(of_perturbed)
        new["genes"] = table.renamed(named("embeddings of genes", genes, table.names))
    if graph is not None:
        known = {*graph.first, *graph.second}
        new["interactions"] = graph.renamed(named("interactions", genes, known))
    if sets is not None:
        own = sets.renamed(named("pathways of genes", genes, sets.genes))
        if perturbations:
            theirs = named("pathways of perturbations", perturbations, sets.genes)
            own = own.joined(sets.renamed(theirs))
        new["pathways"] = own
    return new
