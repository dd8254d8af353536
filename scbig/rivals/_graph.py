"""Simple graph convolution on sparse edges, and the two graphs that GEARS reads."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from scbig._names import examples
from scbig._typing import Array
from scbig.data import Screen
from scbig.priors import InteractionGraph

from ._training import Fixed


class Edges(eqx.Module):
    """Edges from some nodes to others, with the weights of a convolution.

    **Fields:** `source` and `target`, a node at each end; `weight`; `targets`, how many nodes
    edges lead to.
    """

    source: Int[Array, " edges"]
    target: Int[Array, " edges"]
    weight: Fixed
    targets: int = eqx.field(static=True)

    @classmethod
    def normalised(
        cls,
        source: Int[np.ndarray, " edges"],
        target: Int[np.ndarray, " edges"],
        weight: Float[np.ndarray, " edges"],
        *,
        nodes: int,
    ) -> "Edges":
        """The operator of Kipf and Welling: loops of weight 1 added, then D^-1/2 (A + I) D^-1/2.

        **Arguments:** edges without loops; a node's degree D is the weight that leads to it.
        """
        loops = np.arange(nodes)
        starts, stops = (np.concatenate([end, loops]) for end in (source, target))
        full = np.concatenate([weight, np.ones(nodes)]).astype(np.float64)
        degree = np.bincount(stops, full, minlength=nodes)
        scaled = full / np.sqrt(degree[starts] * degree[stops])
        return cls._of(starts, stops, scaled, targets=nodes)

    @classmethod
    def _of(
        cls, source: np.ndarray, target: np.ndarray, weight: np.ndarray, *, targets: int
    ) -> "Edges":
        order = np.argsort(target, kind="stable")
        return cls(
            source=jnp.asarray(source[order], jnp.int32),
            target=jnp.asarray(target[order], jnp.int32),
            weight=Fixed(jnp.asarray(weight[order], jnp.float32)),
            targets=targets,
        )

    def into(self, first: int) -> tuple["Edges", Int[np.ndarray, " kept"]]:
        """Only the edges that lead to the first nodes, between the nodes that these still need.

        **Returns:** the edges, whose sources are places among the second value: the nodes that are
        kept, of which the first are those that edges lead to.
        """
        source, target = np.asarray(self.source), np.asarray(self.target)
        inside = target < first
        others = np.unique(source[inside])
        kept = np.concatenate([np.arange(first), others[others >= first]])
        place = np.zeros(int(kept.max()) + 1, np.int64)
        place[kept] = np.arange(len(kept))
        weight = np.asarray(self.weight.value)[inside]
        return self._of(place[source[inside]], target[inside], weight, targets=first), kept

    def __call__(self, x: Float[Array, "nodes width"]) -> Float[Array, "targets width"]:
        """The weighted sum over the edges that lead to each node."""
        carried = self.weight.value[:, None] * x[self.source]
        return jax.ops.segment_sum(
            carried, self.target, num_segments=self.targets, indices_are_sorted=True
        )


def coexpression_edges(screen: Screen, *, neighbours: int, above: float) -> Edges:
    """From each gene's most correlated genes to it, over controls and singly perturbed cells.

    **Arguments:** `neighbours`, at most, of largest absolute Pearson correlation, which is the
    edge's weight and exceeds `above`. A gene that does not vary has none.
    """
    few = [row for row, c in enumerate(screen.conditions) if len(c.perturbations) <= 1]
    rows = np.flatnonzero(np.isin(screen.condition_index, few))
    size = np.abs(_correlations(screen, rows))
    np.fill_diagonal(size, 0.0)
    nearest = np.argsort(-size, axis=1, kind="stable")[:, :neighbours]
    strength = np.take_along_axis(size, nearest, axis=1)
    target, column = np.nonzero(strength > above)
    return Edges.normalised(
        nearest[target, column], target, strength[target, column], nodes=screen.num_genes
    )


def _correlations(
    screen: Screen, rows: Int[np.ndarray, " rows"]
) -> Float[np.ndarray, "genes genes"]:
    """Pearson correlations of genes, 0 where one does not vary; the cells stay sparse."""
    taken = screen.take(rows)
    square = np.zeros((screen.num_genes,) * 2)
    total = np.zeros(screen.num_genes)
    for block in taken.blocks():
        wide = block.astype(np.float64)
        square += (wide.T @ wide).toarray()
        total += np.asarray(wide.sum(axis=0)).ravel()
    mean = total / len(rows)
    covariance = square / len(rows) - np.outer(mean, mean)
    variance = np.diagonal(covariance)
    # Below rounding of the squares it is no variance.
    varies = variance > 1e-10 * np.maximum(np.diagonal(square) / len(rows), 1e-30)
    scale = np.where(varies, np.sqrt(np.maximum(variance, 1e-300)), np.inf)
    return covariance / scale[:, None] / scale


def perturbation_edges(
    graph: InteractionGraph, names: Sequence[str], seen: Bool[np.ndarray, " names"]
) -> tuple[Edges, int]:
    """From the neighbours of each perturbation in a graph, and itself, to it.

    One convolution needs no nodes beyond these; degrees are of the whole graph.

    **Arguments:** `names`, distinct; `seen`, which of them training conditions have.

    **Returns:** the edges, and how many nodes they start from, the perturbations first.

    **Raises:** a ValueError if the graph names none of the perturbations, or for one that training
    has not and that no trained node leads to, named.
    """
    edges, many = _linked(graph, names)
    found = _reached(edges, many, seen)
    if not found.all():
        lost = [name for name, there in zip(names, found, strict=True) if not there]
        raise ValueError(
            f"{len(lost)} perturbations are in no training condition, and none of their neighbours "
            f"in the graph of perturbations is trained: {examples(lost)}. Leave out their "
            "conditions, or give a graph that links them."
        )
    return edges, many


def reached(
    graph: InteractionGraph, names: Sequence[str], seen: Bool[np.ndarray, " names"]
) -> Bool[np.ndarray, " names"]:
    """Whether training has a perturbation, or a trained node leads to it in the graph."""
    return _reached(*_linked(graph, names), seen)


def _linked(graph: InteractionGraph, names: Sequence[str]) -> tuple[Edges, int]:
    ends = tuple(dict.fromkeys((*graph.first, *graph.second)))
    if not set(ends) & set(names):
        raise ValueError(
            f"The graph of perturbations names none of the {len(names)} perturbations, such as "
            f"{examples(names)}; it has {examples(ends)}. Rename one of them."
        )
    own = set(names)
    nodes = (*names, *(name for name in ends if name not in own))
    found = graph.align(nodes, allow_empty=True)
    whole = Edges.normalised(
        found.source.astype(np.int64), found.target, found.weight, nodes=len(nodes)
    )
    edges, kept = whole.into(len(names))
    return edges, len(kept)


def _reached(
    edges: Edges, many: int, seen: Bool[np.ndarray, " names"]
) -> Bool[np.ndarray, " names"]:
    source, target = np.asarray(edges.source), np.asarray(edges.target)
    trained = np.zeros(many, bool)
    trained[source[seen[target]]] = True
    found = np.zeros(len(seen), bool)
    found[target[trained[source]]] = True
    return found
