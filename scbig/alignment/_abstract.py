"""What every alignment loss is."""

import abc
from typing import Any, Protocol, runtime_checkable

import numpy as np

from scbig._typing import Array, Float, Int, PRNGKeyArray, Scalar
from scbig._value import Value
from scbig.priors import PathwayLibrary
from scbig.programs import AbstractPartition
from scbig.sampling import CellIndex


@runtime_checkable
class MeasuredCells(Protocol):
    """The cells that a loss compares with: a `Screen`, or one seen through the autoencoder."""

    @property
    def genes(self) -> tuple[str, ...]:
        """The names of the genes."""
        ...

    def project(
        self,
        matrix: Float[np.ndarray, "genes features"],
        rows: Int[np.ndarray, " rows"] | None = None,
    ) -> Float[np.ndarray, "rows features"]:
        """Expression of some rows, or of all cells, times a matrix, in that matrix's precision."""
        ...

    def dense(
        self, rows: Int[np.ndarray, " rows"] | None = None
    ) -> Float[np.ndarray, "rows genes"]:
        """Expression of some rows, or of all cells."""
        ...


class AbstractAlignment(Value):
    """A loss between transported, decoded cells and cached facts of the measured ones."""

    @abc.abstractmethod
    def prepare(
        self,
        screen: MeasuredCells,
        index: CellIndex,
        partition: AbstractPartition,
        pathways: PathwayLibrary | None,
    ) -> Any:
        """The facts of the measured cells that the loss compares with, made once on the host.

        **Arguments:** `screen`, the training cells, as they were measured or as the autoencoder
        has them; `index`, their groups; `partition`, the gene programs; `pathways`, gene sets, if
        there are any.
        """

    @abc.abstractmethod
    def __call__(
        self,
        predicted: Float[Array, "groups cells genes"],
        groups: Int[Array, " groups"],
        facts: Any,
        *,
        key: PRNGKeyArray,
    ) -> Scalar:
        """Returns the loss, averaged over groups.

        **Arguments:** `predicted`, log expression of the predicted cells of some groups; `groups`,
        which groups of the training cells these are; `facts`, what `prepare` returned; `key`, the
        same for all losses of a step, so that those that draw measured cells draw the same ones.
        """
