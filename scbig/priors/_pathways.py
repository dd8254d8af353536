"""Pathways: named sets of genes, and their membership matrix."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from scbig._names import examples, tidied, tidy

from ._border import Coverage, content_checksum, distinct, format_of, no_overlap, open_text
from ._gene_names import rename_genes

_WHAT = "pathways"


@dataclass(frozen=True, eq=False)
class PathwayMembership:
    """Which of the genes that were asked for belong to which pathway.

    `genes` are those genes, in their order; `names` the pathways kept, `dropped` those with fewer
    than `min_genes` of the genes; `coverage` counts the genes in at least one kept pathway.
    """

    genes: tuple[str, ...]
    names: tuple[str, ...]
    matrix: Bool[np.ndarray, "pathways genes"]
    coverage: Coverage
    dropped: tuple[str, ...]
    min_genes: int

    def summary(self) -> str:
        """One line: the number of pathways kept and dropped, then the coverage of the genes."""
        return (
            f"{_WHAT}: {len(self.names)} of {len(self.names) + len(self.dropped)} sets have at "
            f"least {self.min_genes} of the genes; {self.coverage.summary()}"
        )


@dataclass(frozen=True, eq=False)
class PathwayLibrary:
    """Named sets of genes.

    **Arguments:** `sets`, from the name of each set to its genes, at least one.

    **Raises:** `ValueError` for no sets, or sets without genes.
    """

    sets: dict[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        # A gene that two spellings name counts once.
        sets = {tidy(n): tuple(dict.fromkeys(tidied(genes))) for n, genes in self.sets.items()}
        if len(sets) < len(self.sets):
            raise ValueError(f"{_WHAT}: two sets have one name but for blanks and the like.")
        object.__setattr__(self, "sets", sets)
        empty = [name for name, genes in self.sets.items() if not genes]
        if empty or not self.sets:
            raise ValueError(
                f"{_WHAT}: {len(self.sets)} sets, of which {len(empty)} have no genes"
                f"{': ' if empty else ''}{examples(empty)}."
            )

    @property
    def genes(self) -> tuple[str, ...]:
        """The genes of all sets, sorted, each once."""
        return tuple(sorted({gene for genes in self.sets.values() for gene in genes}))

    def renamed(self, mapping: Mapping[str, str]) -> "PathwayLibrary":
        """The same sets under other gene names; see `EmbeddingTable.renamed`.

        **Arguments:** `mapping`, from this library's gene names to the new ones.

        **Raises:** `ValueError` if two names would become one.
        """
        new = dict(zip(self.genes, rename_genes(self.genes, mapping), strict=True))
        return PathwayLibrary(
            {name: tuple(new[gene] for gene in genes) for name, genes in self.sets.items()}
        )

    def joined(self, other: "PathwayLibrary") -> "PathwayLibrary":
        """The sets of both; one that both have has the genes of both."""
        names = dict.fromkeys((*self.sets, *other.sets))
        both = {name: (*self.sets.get(name, ()), *other.sets.get(name, ())) for name in names}
        return PathwayLibrary({name: tuple(dict.fromkeys(genes)) for name, genes in both.items()})

    @property
    def checksum(self) -> str:
        """SHA-256 (64 hexadecimal digits) of the sets and their genes, in their order."""
        return content_checksum("pathways", names=(tuple(self.sets), *self.sets.values()))

    def align(self, genes: Sequence[str], *, min_genes: int = 3) -> PathwayMembership:
        """The sets restricted to `genes`, without those of which fewer than `min_genes` remain.

        **Arguments:** `genes`, distinct names; `min_genes`, at least 1.

        **Returns:** the membership of `genes` in the sets that remain.

        **Raises:** `ValueError` if no set remains.
        """
        genes = distinct(genes, "genes")
        if min_genes < 1:
            raise ValueError(f"min_genes must be at least 1; got {min_genes}.")
        row = {gene: position for position, gene in enumerate(genes)}
        members = {
            name: sorted({row[gene] for gene in one if gene in row})
            for name, one in self.sets.items()
        }
        largest = max(map(len, members.values()))
        if largest == 0:
            known = tuple(dict.fromkeys(gene for one in self.sets.values() for gene in one))
            raise no_overlap(_WHAT, genes, known)
        if largest < min_genes:
            raise ValueError(
                f"{_WHAT}: no set has {min_genes} of the {len(genes)} genes; the best has "
                f"{largest}. Lower min_genes, or take more genes."
            )
        names = tuple(name for name, rows in members.items() if len(rows) >= min_genes)
        dropped = tuple(name for name, rows in members.items() if len(rows) < min_genes)
        matrix = np.zeros((len(names), len(genes)), bool)
        for pathway, name in enumerate(names):
            matrix[pathway, members[name]] = True
        covered = {column for name in names for column in members[name]}
        lonely = tuple(gene for gene in genes if row[gene] not in covered)
        coverage = Coverage(_WHAT, len(covered), lonely)
        return PathwayMembership(genes, names, matrix, coverage, dropped, min_genes)


def read_pathways(path: str | os.PathLike[str]) -> PathwayLibrary:
    """Reads a GMT file: on each line a name, a description and the genes, between tabs; also gz.

    A gene that a line repeats counts once. Blank lines, those that begin with `#`, and tabs at the
    end of a line are ignored; blanks and quotation marks around a name do not count.

    **Arguments:** `path`, with the suffix gmt or gmt.gz.

    **Returns:** the sets in the order of the file.

    **Raises:** `FileNotFoundError`; `ValueError` for another format, or with the line's number for
    a line without genes, an empty gene or name, or a name that was there before; also for genes
    in the place of descriptions.
    """
    path = pathlib.Path(path)
    format_of(path, (".gmt",), "pathways")
    sets: dict[str, tuple[str, ...]] = {}
    described: dict[str, str] = {}
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            name, about, genes = _gmt_line(f"{path}, line {number}", line)
            if name in sets:
                raise ValueError(f"{path}, line {number}: the set {name!r} was there before.")
            sets[name], described[name] = genes, about
    if not sets:
        raise ValueError(f"{path}: no sets.")
    _check_described(path, sets, described)
    return PathwayLibrary(sets)


def _check_described(
    path: pathlib.Path, sets: Mapping[str, tuple[str, ...]], described: Mapping[str, str]
) -> None:
    """Raises if what stands for descriptions are genes: each set would lose its first."""
    genes = {gene for own in sets.values() for gene in own}
    given = {name: about for name, about in described.items() if about and about != name}
    taken = [about for about in given.values() if about in genes]
    if len(taken) > 1 and len(taken) > len(given) / 2:
        raise ValueError(
            f"{path}: the descriptions of {len(taken)} of {len(sets)} sets are genes of other "
            f"sets: {examples(taken)}. The second column of a GMT is a description, and no gene: "
            "write one, or leave it empty."
        )


def _gmt_line(where: str, line: str) -> tuple[str, str, tuple[str, ...]]:
    """The name of a set, its description and its genes."""
    name, *rest = (tidy(cell).strip('"') for cell in line.strip("\r\n").rstrip().split("\t"))
    genes = tuple(dict.fromkeys(rest[1:]))
    if not name or not genes or "" in genes:
        raise ValueError(
            f"{where}: not GMT, which is a name, a description and at least one gene, between "
            f"tabs; got {line[:60].rstrip()!r}."
        )
    return name, rest[0], genes
