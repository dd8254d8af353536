"""How alike perturbations are by what was known before: kernels between their names."""

import abc
from collections.abc import Sequence
from typing import final

import equinox as eqx
import numpy as np
from jaxtyping import Float
from scipy import sparse
from scipy.sparse.linalg import expm_multiply

from scbig._value import require
from scbig.priors import EmbeddingTable, InteractionGraph, PathwayLibrary


class AbstractRelation(eqx.Module):
    """Says how alike perturbations are: a positive semi-definite matrix with a unit diagonal.

    A subclass gives a `kernel` of the names that it knows something of; a name that it knows
    nothing of is like itself and like no other.
    """

    @abc.abstractmethod
    def kernel(self, names: Sequence[str]) -> Float[np.ndarray, "names names"]:
        """Positive semi-definite, not scaled; rows of zeros for names that are not known.

        **Arguments:** `names`, distinct.
        """

    @final
    def similarity(
        self, left: Sequence[str], right: Sequence[str]
    ) -> Float[np.ndarray, "left right"]:
        """How alike each of some perturbations is to each of others; one to itself."""
        names = sorted({*left, *right})
        found = np.asarray(self.kernel(names), np.float64)
        size = np.sqrt(np.diag(found))
        unit = found / np.where(size > 0, size, 1.0)[:, None] / np.where(size > 0, size, 1.0)
        np.fill_diagonal(unit, 1.0)
        place = {name: row for row, name in enumerate(names)}
        rows, columns = ([place[name] for name in side] for side in (left, right))
        return unit[np.ix_(rows, columns)]


class GraphRelation(AbstractRelation):
    r"""Alike is what a walk along interactions soon reaches: $\exp(-t L)$.

    $L = I - D^{-1/2} A D^{-1/2}$ of the whole graph, also of the genes that nobody perturbed.

    **Fields:** `graph`; `time`, $t$, how far the walk goes.

    Kondor and Lafferty, Diffusion kernels on graphs and other discrete structures (2002).
    """

    graph: InteractionGraph
    time: float = 1.0

    def __check_init__(self) -> None:
        require(self.time > 0, self, f"time must be positive; got {self.time}")

    def kernel(self, names: Sequence[str]) -> Float[np.ndarray, "names names"]:
        """Between these nodes of the graph."""
        nodes = sorted({*self.graph.first, *self.graph.second})
        edges = self.graph.align(nodes, allow_empty=True)
        place = {name: node for node, name in enumerate(edges.genes)}
        number = len(place)
        weights = sparse.csr_matrix(
            (edges.weight.astype(np.float64), (edges.source, edges.target)), (number, number)
        )
        degree = np.asarray(weights.sum(axis=1)).ravel()
        scale = sparse.diags(1 / np.sqrt(np.where(degree > 0, degree, 1.0)))
        laplacian = sparse.identity(number) - scale @ weights @ scale
        found = [(row, place[name]) for row, name in enumerate(names) if name in place]
        starts = np.zeros((number, len(names)))
        for row, node in found:
            starts[node, row] = 1.0
        # Half of the way from both ends: what meets is symmetric and positive semi-definite.
        half = expm_multiply(-self.time / 2 * laplacian.tocsr(), starts)
        return half.T @ half


class PathwayRelation(AbstractRelation):
    """Alike is what belongs to the same pathways: the cosine between rows of membership.

    **Fields:** `library`.
    """

    library: PathwayLibrary

    def kernel(self, names: Sequence[str]) -> Float[np.ndarray, "names names"]:
        """The number of pathways that two have in common."""
        place = {name: row for row, name in enumerate(names)}
        member = np.zeros((len(names), len(self.library.sets)))
        for column, genes in enumerate(self.library.sets.values()):
            member[[place[gene] for gene in genes if gene in place], column] = 1.0
        return member @ member.T


class EmbeddingRelation(AbstractRelation):
    r"""Alike is what has embeddings of nearly one direction: $\exp((\cos - 1) / w)$.

    The cosine is between rows of the table after every feature was standardised. Cut at zero it
    would be no kernel; its exponential is one, and unrelated names have hardly anything in common.

    **Fields:** `table`; `width`, $w$.
    """

    table: EmbeddingTable
    width: float = 0.3

    def __check_init__(self) -> None:
        require(self.width > 0, self, f"width must be positive; got {self.width}")

    def kernel(self, names: Sequence[str]) -> Float[np.ndarray, "names names"]:
        """Between the names that the table has a vector of."""
        standard = self.table.standardised()
        place = {name: row for row, name in enumerate(standard.names)}
        vectors = np.zeros((len(names), standard.vectors.shape[1]))
        for row, name in enumerate(names):
            if name in place:
                vectors[row] = standard.vectors[place[name]]
        length = np.linalg.norm(vectors, axis=1)
        # One that was filled in with the mean has none, but for rounding.
        known = length > 1e-5 * np.linalg.norm(standard.vectors, axis=1).max(initial=0.0)
        unit = vectors / np.where(known, length, 1.0)[:, None]
        return np.exp((unit @ unit.T - 1) / self.width) * np.outer(known, known)
