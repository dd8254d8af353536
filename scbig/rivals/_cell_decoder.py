"""From a latent to the distribution of a cell, for networks that draw cells."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from scbig._typing import Expression, Latent, PRNGKeyArray, Scalar

from ._cells import Facts
from ._likelihoods import AbstractLikelihood
from ._mlp import Perceptron
from ._training import Fixed

START = 10_000
"""Cells of which a start is taken: of all of a large screen, counts would not fit beside them."""


class CellDecoder(eqx.Module):
    """A perceptron whose outputs are the parameters of a likelihood.

    **Fields:** `network`; `origin`, outputs of the mean cell, to which it adds; `spread`, of each
    gene; `likelihood`.
    """

    network: Perceptron
    origin: Fixed
    spread: Expression
    likelihood: AbstractLikelihood

    @classmethod
    def of(cls, network: Perceptron, likelihood: AbstractLikelihood, facts: Facts) -> "CellDecoder":
        """With an untrained perceptron, about the mean of training cells, spread over all.

        **Raises:** a ValueError for cells that cannot have this likelihood.
        """
        likelihood.check(facts.screen)
        cells = facts.screen.num_cells
        rows = np.unique(np.linspace(0, cells - 1, min(cells, START)).astype(int))
        origin, spread = likelihood.start(jnp.asarray(facts.screen.dense(rows)))
        return cls(network, Fixed(origin), spread, likelihood)

    def log_prob(self, cell: Expression, latent: Latent, *, key: PRNGKeyArray | None) -> Scalar:
        """Log probability of a cell."""
        return self.likelihood.log_prob(cell, self._outputs(latent, key), self.spread)

    def draw(
        self, cell: Expression, origin: Latent, latent: Latent, *, key: PRNGKeyArray
    ) -> Expression:
        """What a cell whose latent is `origin` becomes at `latent`."""
        own, other = self._outputs(origin, None), self._outputs(latent, None)
        return self.likelihood.draw(cell, own, other, self.spread, key=key)

    def _outputs(self, latent: Latent, key: PRNGKeyArray | None) -> Expression:
        return self.origin.value + self.network(latent, key=key)
