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
    share one. Of a single group it is a multiple of these, `SIZES`, as likely as its deviations
    say: perturbations that do next to nothing stand beside strong ones.

    **Arguments:** `expected`, what the other groups say of each, without its own cells; `cells`,
    on which it was measured; `kinds`, sets of groups that share variances, each group in one.

    Efron and Morris, Data analysis using Stein's estimator and its generalizations (1975); sizes as
    in Stephens, False discovery rates: a new deal (2017).
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
        weights = _sizes(along, own, spread)
        kept, other = np.zeros_like(along), np.zeros((len(along), 1))
        unsure, room, squared = np.zeros_like(along), np.zeros(len(along)), np.zeros_like(along)
        for size, weight in zip(SIZES, weights.T[..., None], strict=True):
            part, beyond = _share(size * spread, own), _share(size * others, rest)[:, None]
            kept, other = kept + weight * part, other + weight * beyond
            squared = squared + weight * part**2
            unsure, room = unsure + weight * part * own, room + (weight * beyond)[:, 0] * rest
        means[kind] += (kept * along) @ noise.axes + other * beside
        # How sure each size is, and how far the sizes are apart.
        unsure = unsure + np.maximum(squared - kept**2, 0.0) * along**2
        variances[kind] = unsure @ squares + room[:, None] * noise.room
    return Shrunk(means, variances)


SIZES = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Variances of deviations of single groups, as multiples of the mean over all."""


def _sizes(
    along: Float[np.ndarray, "groups components"],
    own: Float[np.ndarray, "groups components"],
    spread: Float[np.ndarray, " components"],
) -> Float[np.ndarray, "groups sizes"]:
    """How likely each group's deviations are of each size: some perturbations do next to nothing.

    The shares of the sizes are those that make all deviations most likely (EM).
    """
    used = spread > 0
    if not used.any():
        return np.tile(np.eye(len(SIZES))[0], (len(along), 1))
    total = own[:, None, used] + np.asarray(SIZES)[:, None] * spread[used]
    logs = -0.5 * (along[:, None, used] ** 2 / total + np.log(total)).sum(axis=2)
    likely = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares, found = np.full(len(SIZES), 1 / len(SIZES)), likely
    for _ in range(200):
        found = likely * shares
        found = found / found.sum(axis=1, keepdims=True)
        # One more of each size: a few groups do not rule out any.
        shares = (found.sum(axis=0) + 1) / (len(found) + len(SIZES))
    return found


def _share(
    spread: float | Float[np.ndarray, " components"], own: Float[np.ndarray, "..."]
) -> Float[np.ndarray, "..."]:
    """Of a measured deviation, the share that is no noise."""
    total = spread + own
    return np.divide(spread, total, out=np.zeros_like(total), where=total > 0)
