"""How much a measured mean is worth beside what the other conditions say of it."""

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float


class Noise(eqx.Module):
    """The variance of single cells around their group's mean.

    **Fields:** `axes`, orthonormal; `along`, the variance along each; `beside`, that of all other
    directions together.
    """

    axes: Float[np.ndarray, "components genes"]
    along: Float[np.ndarray, " components"]
    beside: float

    @property
    def room(self) -> Float[np.ndarray, " genes"]:
        """The share of each gene in what lies beside the axes, as they leave room for it."""
        left = np.maximum(1 - (self.axes**2).sum(axis=0), 0.0)
        return left / max(left.sum(), np.finfo(float).tiny)

    def by_gene(self) -> Float[np.ndarray, " genes"]:
        """The variance of each gene."""
        return self.along @ self.axes**2 + self.beside * self.room


class Shrunk(eqx.Module):
    """Means of seen groups, and how sure they are.

    **Fields:** `means`, by gene; `variances` of the true mean around them, by gene.
    """

    means: Float[np.ndarray, "groups genes"]
    variances: Float[np.ndarray, "groups genes"]


def shrink(
    expected: Float[np.ndarray, "groups genes"],
    measured: Float[np.ndarray, "groups genes"],
    cells: Float[np.ndarray, " groups"],
    noise: Noise,
    kinds: list[Bool[np.ndarray, " groups"]],
) -> Shrunk:
    """The mean of each group given its cells, and what the others make one expect.

    Along each axis the deviation from what is expected has the variance that it is seen to have
    over the groups, less that of the mean of the group's cells; the directions beside the axes
    share one. Nothing else is chosen.

    **Arguments:** `expected`, what the other groups say of each, without its own cells; `cells`,
    on which it was measured; `kinds`, sets of groups that share variances, each group in one.

    Efron and Morris, Data analysis using Stein's estimator and its generalizations (1975).
    """
    means, variances = expected.copy(), np.zeros_like(expected)
    squares = noise.axes**2
    for kind in kinds:
        if not kind.any():
            continue
        surprise = measured[kind] - expected[kind]
        along = surprise @ noise.axes.T
        beside = surprise - along @ noise.axes
        own = noise.along / cells[kind][:, None]
        rest = noise.beside / cells[kind]
        spread = np.maximum((along**2 - own).mean(axis=0), 0.0)
        others = max(float(((beside**2).sum(axis=1) - rest).mean()), 0.0)
        weight, other = _share(spread, own), _share(others, rest)[:, None]
        means[kind] += (weight * along) @ noise.axes + other * beside
        variances[kind] = (weight * own) @ squares + other * rest[:, None] * noise.room
    return Shrunk(means, variances)


def _share(
    spread: float | Float[np.ndarray, " components"], own: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Of a measured deviation, the share that is no noise."""
    total = spread + own
    return np.divide(spread, total, out=np.zeros_like(total), where=total > 0)
