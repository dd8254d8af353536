"""What every alignment loss is."""

import abc
from typing import Any

from scbig._typing import Array, Float, Int, PRNGKeyArray, Scalar
from scbig._value import Value
from scbig.data import Screen
from scbig.priors import PathwayLibrary
from scbig.programs import AbstractPartition
from scbig.sampling import CellIndex


class AbstractAlignment(Value):
    """A loss between transported, decoded cells and cached facts of the measured ones."""

    @abc.abstractmethod
    def prepare(
        self,
        screen: Screen,
        index: CellIndex,
        partition: AbstractPartition,
        pathways: PathwayLibrary | None,
    ) -> Any:
        """The facts of the measured cells that the loss compares with, made once on the host.

        **Arguments:** `screen`, the training cells; `index`, their groups; `partition`, the gene
        programs; `pathways`, gene sets, if there are any.
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
