"""Pretrained gene embeddings: a table of named vectors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32

from scbig._names import examples, tidied

from ._border import Coverage, but_for, content_checksum, distinct, no_overlap, rows_of
from ._gene_names import rename_genes

_WHAT = "gene embeddings"


@dataclass(frozen=True, eq=False)
class AlignedEmbeddings:
    """One vector for each gene that was asked for, in that order.

    `found` is false where the vector was filled in by the policy for missing genes.
    """

    vectors: Float32[np.ndarray, "genes features"]
    found: Bool[np.ndarray, " genes"]
    coverage: Coverage


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """Named vectors, of genes or of drugs.

    **Arguments:** `names`, unique; `vectors`, one row for each name, finite.

    **Raises:** `ValueError` for anything else.
    """

    names: tuple[str, ...]
    vectors: Float32[np.ndarray, "names features"]

    def __post_init__(self) -> None:
        if self.vectors.ndim != 2 or len(self.names) != len(self.vectors) or not self.vectors.size:
            raise ValueError(
                f"{_WHAT}: {len(self.names)} names need vectors of shape (names, features), both "
                f"positive; got {self.vectors.shape}."
            )
        object.__setattr__(self, "names", tidied(distinct(self.names, _WHAT)))
        distinct(self.names, _WHAT)
        broken = np.flatnonzero(~np.isfinite(self.vectors).all(axis=1))
        if len(broken):
            raise ValueError(
                f"{_WHAT}: {len(broken)} names have NaN or infinite entries: "
                f"{examples(self.names[row] for row in broken)}. Remove or repair these rows."
            )

    @property
    def checksum(self) -> str:
        """SHA-256 (64 hexadecimal digits) of the names and vectors, in their order."""
        return content_checksum("embeddings", names=(self.names,), values=self.vectors)

    def align(
        self, genes: Sequence[str], *, missing: Literal["error", "zero", "mean"] = "error"
    ) -> AlignedEmbeddings:
        """The vectors of `genes`, in their order.

        **Arguments:** `genes`, distinct names; `missing`, what a gene without a vector gets:
        an error, zeros, or the mean of the whole table (which does not depend on `genes`).

        **Returns:** the vectors, and which of them the table has.

        **Raises:** `ValueError` that names the missing genes under `"error"`, and, whatever the
        policy, if the table has none of the genes.
        """
        genes = distinct(genes, "genes")
        if missing not in ("error", "zero", "mean"):
            raise ValueError(f'missing must be "error", "zero" or "mean"; got {missing!r}.')
        rows = rows_of(genes, self.names)
        found = rows >= 0
        if not found.any():
            raise no_overlap(_WHAT, genes, self.names)
        absent = tuple(gene for gene, known in zip(genes, found, strict=True) if not known)
        if absent and missing == "error":
            raise ValueError(
                f"{_WHAT}: {len(absent)} of {len(genes)} genes have no vector: {examples(absent)}. "
                'Drop these genes, or choose missing="zero" (a vector of zeros) or '
                f'missing="mean" (the mean of the table).{but_for(absent, self.names)}'
            )
        fill = self.vectors.mean(axis=0, dtype=np.float64) if missing == "mean" else 0.0
        vectors = np.where(found[:, None], self.vectors[rows], fill).astype(np.float32)
        return AlignedEmbeddings(vectors, found, Coverage(_WHAT, int(found.sum()), absent))

    def select(self, names: Sequence[str]) -> "EmbeddingTable":
        """The table of only these names, in this order.

        **Arguments:** `names`, distinct.

        **Raises:** `ValueError` that shows the names that the table lacks.
        """
        rows = rows_of(names, self.names)
        unknown = [name for name, row in zip(names, rows, strict=True) if row < 0]
        if unknown:
            raise ValueError(
                f"{_WHAT}: {len(unknown)} of {len(names)} names are unknown: {examples(unknown)}; "
                f"the table has {len(self.names)}, such as {examples(self.names)}."
            )
        return EmbeddingTable(tuple(names), self.vectors[rows])

    def renamed(self, mapping: Mapping[str, str]) -> "EmbeddingTable":
        """The same vectors under other names; a name that `mapping` lacks stays.

        `match_genes(genes, table.names, aliases=...).inverse` gives the table the names of a
        screen's genes.

        **Arguments:** `mapping`, from this table's names to the new ones.

        **Raises:** `ValueError` if two names would become one.
        """
        return EmbeddingTable(rename_genes(self.names, mapping), self.vectors)

    def standardised(self) -> "EmbeddingTable":
        """Every feature shifted and scaled to mean 0 and variance 1 over the table.

        A feature that is constant up to the rounding of float32 becomes 0.
        """
        wide = self.vectors.astype(np.float64)
        deviation = wide.std(axis=0)
        # Some eight units in the last place, which would otherwise be blown up to a variance of 1.
        constant = deviation <= 1e-6 * np.abs(wide).max(axis=0)
        standard = (wide - wide.mean(axis=0)) / np.where(constant, 1.0, deviation)
        return EmbeddingTable(self.names, np.where(constant, 0.0, standard).astype(np.float32))

    def joined(self, other: "EmbeddingTable") -> "EmbeddingTable":
        """Both tables side by side, each with rows of unit length.

        The names are this table's, then those that only `other` has. Where both know two names,
        the cosine of their joined rows is the mean of the two cosines. A table that lacks a name,
        or has zeros for it, gives zeros: towards such a name the other table's cosine stays, but
        divided by the square root of 2 if the other name is known to both.
        """
        new = [
            name
            for name, row in zip(other.names, rows_of(other.names, self.names), strict=True)
            if row < 0
        ]
        names = (*self.names, *new)
        return EmbeddingTable(names, np.hstack([_unit(self, names), _unit(other, names)]))


def _unit(table: EmbeddingTable, names: Sequence[str]) -> Float32[np.ndarray, "names features"]:
    """The rows of `names`, of length 1, or zeros where the table is silent."""
    wide = table.vectors.astype(np.float64)  # the square of a large float32 is not one
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    unit = (wide / np.where(length == 0, 1.0, length)).astype(np.float32)
    rows = rows_of(names, table.names)
    return np.where(rows[:, None] >= 0, unit[rows], np.float32(0))
