"""Programs without optimal transport: k-means, the order of the file, chance, and one's own."""

import functools

import jax
import numpy as np

from .. import ot
from .._typing import Array, Float, Int, PRNGKeyArray
from .._value import whole
from ..data import Screen
from ._clustering import AbstractClustering, Clustering, labelled, require_room
from ._cost import Relations, centroids, semantic_cost
from ._features import AbstractFeatures, Pretrained
from ._partition import balanced_capacities
from ._rounding import round_to_capacities
from ._starts import RandomStart, blocks


class KMeans(AbstractClustering):
    """k-means on the embeddings (Table 6a).

    **Fields:** `clusters`; `balanced`, whether programs are filled to equal sizes, once, from the
    final centroids, the nearest pairs of gene and program first; `tries`, starts of k-means++;
    `features`, what is compared.
    """

    clusters: int = whole(32)
    balanced: bool = False
    tries: int = whole(10)
    features: AbstractFeatures = Pretrained()

    def features_of(
        self, screen: Screen, embeddings: Float[np.ndarray, "genes embedding"] | None
    ) -> Float[np.ndarray, "genes features"]:
        return self.features(screen, embeddings)

    @property
    def reads(self) -> tuple[str, ...]:
        """The priors that it needs."""
        return self.features.needs

    def cluster(
        self,
        relations: Relations,
        *,
        start: Int[Array, " genes"] | None = None,
        throw: bool = True,
        key: PRNGKeyArray,
    ) -> Clustering:
        _refuse(self, relations, start)
        require_room(self, self.clusters, relations)
        labels = ot.kmeans_labels(relations.unit, self.clusters, starts=self.tries, key=key)
        if self.balanced:
            labels = _filled(relations, labels, self.clusters)
        return labelled(relations, labels, self.clusters)


class FileOrder(AbstractClustering):
    """Balanced programs of genes that stand beside each other in the file (Table 6a).

    **Fields:** `clusters`, how many programs.
    """

    clusters: int = whole(32)

    def cluster(
        self,
        relations: Relations,
        *,
        start: Int[Array, " genes"] | None = None,
        throw: bool = True,
        key: PRNGKeyArray,
    ) -> Clustering:
        _refuse(self, relations, start)
        require_room(self, self.clusters, relations)
        return labelled(relations, blocks(relations.num_genes, self.clusters), self.clusters)


class RandomPrograms(AbstractClustering):
    """Balanced programs of random genes: no prior at all (Table 6b).

    **Fields:** `clusters`, how many programs.
    """

    clusters: int = whole(32)

    def cluster(
        self,
        relations: Relations,
        *,
        start: Int[Array, " genes"] | None = None,
        throw: bool = True,
        key: PRNGKeyArray,
    ) -> Clustering:
        _refuse(self, relations, start)
        require_room(self, self.clusters, relations)
        drawn = RandomStart()(relations, self.clusters, 1, key=key)[0]
        return labelled(relations, drawn, self.clusters)


class Given(AbstractClustering):
    """Programs that `fit` is given as a table, such as one's own from `read_programs`."""

    def cluster(
        self,
        relations: Relations,
        *,
        start: Int[Array, " genes"] | None = None,
        throw: bool = True,
        key: PRNGKeyArray,
    ) -> Clustering:
        raise ValueError("The programs are Given(): pass them to `fit` as programs=.")


def _refuse(
    owner: AbstractClustering, relations: Relations, start: Int[Array, " genes"] | None
) -> None:
    if start is not None or relations.errors is not None:
        raise ValueError(f"errors and start are for GRC, not for {type(owner).__name__}.")


@functools.partial(jax.jit, static_argnames="clusters")
def _filled(
    relations: Relations, labels: Int[Array, " genes"], clusters: int
) -> Int[Array, " genes"]:
    cost = semantic_cost(relations.unit, centroids(relations.unit, labels, clusters))
    return round_to_capacities(-cost, cost, balanced_capacities(labels, clusters))
