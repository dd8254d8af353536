"""The labels that Gene-Relation Clustering starts from."""

import abc

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax

from .. import ot
from .._typing import Array, Float, Int, PRNGKeyArray
from .._value import Value, whole
from ._cost import Relations


class AbstractStart(Value):
    """Chooses a program for every gene, before the first round.

    A class whose starts compare the genes' features says so by `compares = True`.
    """

    compares = False

    @abc.abstractmethod
    def __call__(
        self, relations: Relations, clusters: int, count: int, *, key: PRNGKeyArray
    ) -> Int[Array, "{count} genes"]:
        """Returns `count` starts, in which programs may be of any size."""


class KMeansStart(AbstractStart):
    """k-means on the embeddings.

    **Fields:** `tries`, k-means++ starts of which the best by inertia is taken; `components`,
    leading principal components that wider embeddings are seen by, `None` for all features.
    """

    compares = True

    tries: int = whole(10)
    components: int | None = whole(128)

    def __call__(
        self, relations: Relations, clusters: int, count: int, *, key: PRNGKeyArray
    ) -> Int[Array, "{count} genes"]:
        points = leading_components(relations.unit, self.components, key=jr.fold_in(key, 2**31))
        one = lambda k: ot.kmeans_labels(points, clusters, starts=self.tries, key=k)
        if count == 1:
            return one(key)[None]
        return lax.map(one, jr.split(key, count))


class RandomStart(AbstractStart):
    """Random programs of equal sizes: for genes without embeddings."""

    def __call__(
        self, relations: Relations, clusters: int, count: int, *, key: PRNGKeyArray
    ) -> Int[Array, "{count} genes"]:
        shuffle = lambda k: jr.permutation(k, blocks(relations.num_genes, clusters))
        return jax.vmap(shuffle)(jr.split(key, count))


def blocks(genes: int, clusters: int) -> Int[Array, " {genes}"]:
    """Balanced programs of neighbouring genes."""
    sizes = np.full(clusters, genes // clusters) + (np.arange(clusters) < genes % clusters)
    return jnp.asarray(np.repeat(np.arange(clusters), sizes), jnp.int32)


# Turns of the subspace iteration: distances between genes need no more digits.
_TURNS = 3


def leading_components(
    rows: Float[Array, "rows features"], components: int | None, *, key: PRNGKeyArray
) -> Float[Array, "rows components"]:
    """Coordinates along the directions in which the rows are longest, or the rows themselves.

    Of all projections to so few directions this one loses least of the rows; a start of k-means
    among them takes a fraction of the time. Rows with no more features than that stay as they are.

    Randomised subspace iteration (Halko, Martinsson and Tropp 2011, algorithm 4.4).
    """
    features = rows.shape[1]
    if components is None or features <= components:
        return rows
    times = lambda x, y: jnp.matmul(x, y, precision=lax.Precision.HIGHEST)

    def turn(_, basis):
        return jnp.linalg.qr(times(rows.T, times(rows, basis)))[0]

    start = jr.normal(key, (features, components), rows.dtype)
    return times(rows, lax.fori_loop(0, _TURNS, turn, start))
