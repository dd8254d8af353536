"""What every alignment loss is."""

import abc

import equinox as eqx

from scbig._typing import Array, Float, Int, Scalar


class AbstractAlignment(eqx.Module):
    """A loss between transported, decoded cells and cached facts of the observed ones."""

    @abc.abstractmethod
    def __call__(
        self,
        predicted: Float[Array, "groups cells genes"],
        groups: Int[Array, " groups"],
        rows: Int[Array, "groups cells"],
    ) -> Scalar:
        """Returns the loss, averaged over groups.

        **Arguments:** `predicted`, log expression of the predicted cells of some groups; `groups`,
        which groups of the training cells these are; `rows`, as many observed cells of each.
        """
