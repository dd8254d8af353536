"""A learned vector beside the pretrained one of each perturbation of the training."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from scbig._typing import Array, Bool, Float, Int, TokenMask


class Identities(eqx.Module):
    """What was learned of single perturbations: a vector of each, and one of it in combination.

    Zeros for a perturbation that no training condition has, and in place of the second vector
    where it stands alone. All are zero before training: then nothing tells a known perturbation
    from an unknown one but its pretrained vector.

    **Fields:** `row`, of each perturbation in the two tables, past their end if it has none;
    `alone` and `combined`, the tables.
    """

    row: Int[Array, " perturbations"]
    alone: Float[Array, "known width"]
    combined: Float[Array, "known width"]

    @classmethod
    def of(cls, known: Bool[np.ndarray, " perturbations"], width: int) -> "Identities":
        """Untrained ones of the known perturbations."""
        number = max(int(np.count_nonzero(known)), 1)  # an empty table could not be read
        row = np.where(known, np.cumsum(known) - 1, number)
        blank = jnp.zeros((number, width))
        return cls(jnp.asarray(row, jnp.int32), blank, blank)

    def __call__(
        self, rows: Int[Array, " tokens"], mask: TokenMask
    ) -> Float[Array, "tokens entries"]:
        """Both vectors of each token of one condition."""
        own = self.row[rows]
        known = (own < self.alone.shape[0]) & mask
        together = jnp.where(jnp.sum(mask) > 1, self.combined[own], 0)
        vectors = jnp.concatenate([self.alone[own], together], axis=1)
        return jnp.where(known[:, None], vectors, 0)
