"""What genes are annotated with, GO terms and protein families, and the priors that it makes."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scbig._names import examples, tidy

from ._aliases import AliasTable
from ._border import distinct, no_overlap
from ._embeddings import EmbeddingTable
from ._interactions import InteractionGraph
from ._pathways import PathwayLibrary
from ._term_sets import incidence, nearest_pairs, weighed_directions

_WHAT = "annotations"
_TERM = re.compile(r"GO:\d{7}")
_ROOTS = frozenset(("GO:0003674", "GO:0005575", "GO:0008150"))
_FACTOR = "GO:0003700"  # DNA-binding transcription factor activity


@dataclass(frozen=True, eq=False)
class Annotations:
    """GO terms and protein families of genes, and what else the genes are called.

    The three roots of GO are left out: they are true of every gene, and an annotation for want of
    data (evidence ND) is to one of them. So are genes without another term. Two spellings of one
    gene (blanks, dashes) are one gene with the terms of both.

    **Arguments:** `go`, from a gene's symbol to its GO terms (`GO:0003700`) and their ancestors;
    `aliases`, of these genes at least; `pfam`, from a symbol to Pfam accessions (`PF00096`).

    **Raises:** `ValueError` for no terms, what is no term of GO, and genes that `aliases` lacks.
    """

    go: dict[str, tuple[str, ...]]
    aliases: AliasTable
    pfam: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "go", _tidied(self.go, without=_ROOTS))
        object.__setattr__(self, "pfam", _tidied(self.pfam))
        if not self.go:
            raise ValueError(f"{_WHAT}: no gene has a GO term (the three roots do not count).")
        terms = {term for terms in self.go.values() for term in terms}
        wrong = sorted(term for term in terms if not _TERM.fullmatch(term))
        if wrong:
            raise ValueError(f"{_WHAT}: GO terms are written GO:0003700; got {examples(wrong)}.")
        unknown = sorted({*self.go, *self.pfam} - {*self.aliases.symbols})
        if unknown:
            raise ValueError(
                f"{_WHAT}: {len(unknown)} genes are none of the symbols of the aliases: "
                f"{examples(unknown)}."
            )

    @property
    def genes(self) -> tuple[str, ...]:
        """The genes with GO terms, sorted."""
        return tuple(self.go)

    @property
    def transcription_factors(self) -> tuple[str, ...]:
        """The genes with DNA-binding transcription factor activity (GO:0003700), sorted."""
        return tuple(gene for gene, terms in self.go.items() if _FACTOR in terms)

    def gene_sets(self, *, min_genes: int = 10, max_genes: int = 500) -> PathwayLibrary:
        """The genes of each GO term and of each Pfam family, named by their accessions.

        **Arguments:** `min_genes` and `max_genes`, the sizes of the sets that are kept: a term of
        few genes says little about a screen, one of very many little about a gene.

        **Raises:** `ValueError` if no set is of such a size.
        """
        if not 1 <= min_genes <= max_genes:
            raise ValueError(
                f"{_WHAT}: 1 <= min_genes <= max_genes; got {min_genes} and {max_genes}."
            )
        members: dict[str, list[str]] = defaultdict(list)
        for terms_of in (self.go, self.pfam):
            for gene, terms in terms_of.items():
                for term in terms:
                    members[term].append(gene)
        sizes = [len(genes) for genes in members.values()]
        kept = {
            term: tuple(members[term])
            for term in sorted(members)
            if min_genes <= len(members[term]) <= max_genes
        }
        if not kept:
            raise ValueError(
                f"{_WHAT}: none of the {len(sizes)} sets has {min_genes} to {max_genes} genes; "
                f"they have {min(sizes)} to {max(sizes)}. Lower min_genes or raise max_genes."
            )
        return PathwayLibrary(kept)

    def graph(
        self, genes: Sequence[str], *, threshold: float = 0.1, neighbours: int = 20
    ) -> InteractionGraph:
        """Genes that share GO terms, as GEARS links perturbations.

        The score of two genes is the Jaccard index of their terms, those of both divided by those
        of either. A gene is linked with the `neighbours` genes of largest index above
        `threshold`, of equal ones the first by name. As edges have no direction, a gene that is
        among the nearest of many has more. (GEARS's 21 nearest include the gene itself, and its
        edges lead from the nearest to the gene alone.)

        **Arguments:** `genes`, distinct, among which the nearest are sought; those without terms
        have no edge, and their order does not matter; `threshold`, in [0, 1), which the index
        exceeds; `neighbours`, at least 1.

        **Raises:** `ValueError` if none of the genes is known, or no two are similar enough.
        """
        genes = distinct(genes, "genes")
        if not 0 <= threshold < 1 or neighbours < 1:
            raise ValueError(
                f"{_WHAT}: threshold lies in [0, 1), and neighbours is at least 1; got "
                f"{threshold} and {neighbours}."
            )
        known = sorted(self.go.keys() & set(genes))
        if not known:
            raise no_overlap(_WHAT, genes, self.genes)
        low, high, index = nearest_pairs(
            incidence([self.go[gene] for gene in known]),
            threshold=threshold,
            neighbours=neighbours,
        )
        if not len(index):
            raise ValueError(
                f"{_WHAT}: no two of the {len(known)} genes with GO terms (of {len(genes)}) have "
                f"a Jaccard index above {threshold:g}. Lower the threshold, or take more genes."
            )
        name = np.array(known, object)
        note = f"Jaccard index of GO terms above {threshold:g}, {neighbours} nearest of each gene"
        return InteractionGraph(tuple(name[low]), tuple(name[high]), index, note)

    def embeddings(self, *, components: int = 64) -> EmbeddingTable:
        r"""Embeds the genes with GO terms by these: tf-idf, and a singular value decomposition.

        Of $N$ genes $n_t$ have the term $t$. A gene that has it gets the weight
        $\ln\frac{1 + N}{1 + n_t} + 1$ there, and the weights of each gene are divided by their
        Euclidean length. With the singular value decomposition $U S V^\top$ of these rows the
        vectors are those of $U S$, of the largest singular values: their inner products
        approximate the cosines of the weights, and the squared length of a vector is the share of
        the gene's weights that the components explain. In each component the gene of largest
        absolute value is positive, and components beyond the rank are zeros, so the result is a
        function of the annotations.

        **Arguments:** `components`, fewer than the genes and than the terms.

        **Returns:** a table of the genes, sorted, with that many features.

        **Raises:** `ValueError` for too many components.
        """
        matrix: Any = incidence(tuple(self.go.values()))
        genes, terms = matrix.shape
        if not 1 <= components < min(genes, terms):
            raise ValueError(
                f"{_WHAT}: components must be at least 1 and fewer than the {genes} genes and "
                f"the {terms} GO terms; got {components}."
            )
        vectors = weighed_directions(matrix, components).astype(np.float32)
        return EmbeddingTable(self.genes, vectors)


def _tidied(
    sets: dict[str, tuple[str, ...]], *, without: frozenset[str] = frozenset()
) -> dict[str, tuple[str, ...]]:
    """Tidy genes and their entries, both sorted, without genes that have none."""
    merged: dict[str, set[str]] = defaultdict(set)
    for gene, entries in sets.items():
        merged[tidy(gene)].update(entries)
    kept = {gene: merged[gene] - without for gene in sorted(merged)}
    return {gene: tuple(sorted(entries)) for gene, entries in kept.items() if entries}
