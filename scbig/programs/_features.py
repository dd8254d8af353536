"""What genes are grouped by: pretrained embeddings, co-expression, or both."""

import abc

import numpy as np
from jaxtyping import Float, Float32

from scbig.data import Screen
from scbig.priors import EmbeddingTable, coexpression

from .._value import Value, require, whole

Vectors = Float32[np.ndarray, "genes features"]


class AbstractFeatures(Value):
    """Makes one row of features for each gene of a screen.

    A class that needs pretrained embeddings says so by `needs = ("genes",)`.
    """

    needs = ()

    @abc.abstractmethod
    def __call__(
        self, screen: Screen, embeddings: Float[np.ndarray, "genes embedding"] | None
    ) -> Vectors:
        """Returns a row for each gene; a zero row is a gene of which nothing is known.

        **Arguments:** `screen`, the training cells; `embeddings`, pretrained, of the screen's
        genes, if there are any.
        """


class Pretrained(AbstractFeatures):
    """The embeddings as given; without any, a zero for each gene."""

    needs = ("genes",)

    def __call__(
        self, screen: Screen, embeddings: Float[np.ndarray, "genes embedding"] | None
    ) -> Vectors:
        if embeddings is None:
            return np.zeros((screen.num_genes, 1), np.float32)
        return embeddings


class Coexpression(AbstractFeatures):
    """Principal components of the training controls ("from data", Table 6b).

    **Fields:** `components`, how many.
    """

    components: int = whole(50)

    def __call__(
        self, screen: Screen, embeddings: Float[np.ndarray, "genes embedding"] | None
    ) -> Vectors:
        return self.table(screen).align(screen.genes).vectors

    def table(self, screen: Screen) -> EmbeddingTable:
        """The components by gene."""
        controls = screen.expression[np.flatnonzero(screen.is_control)]
        return coexpression(controls, screen.genes, components=self.components)


class SideBySide(AbstractFeatures):
    """The embeddings and the principal components of the training controls, side by side.

    **Fields:** `coexpression`, how the second half is made.
    """

    needs = ("genes",)

    coexpression: Coexpression = Coexpression()

    def __call__(
        self, screen: Screen, embeddings: Float[np.ndarray, "genes embedding"] | None
    ) -> Vectors:
        require(embeddings is not None, self, "there are no embeddings: give Priors genes=")
        assert embeddings is not None
        both = EmbeddingTable(screen.genes, embeddings).joined(self.coexpression.table(screen))
        return both.align(screen.genes).vectors
