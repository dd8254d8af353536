"""How cells scatter around the mean of their group, and how that changes."""

from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from scbig.data import Screen
from scbig.metrics import fit_projection

from ._shape import covariances, shrunk, transport_map
from ._shrink import Noise


class Displaced(eqx.Module):
    """By how much covariances of controls change as their states move.

    **Fields:** `groups`, for each group; `common`, for one that was not seen, by context.
    """

    groups: Float[np.ndarray, "groups components components"]
    common: Float[np.ndarray, "contexts components components"]


class Spread(eqx.Module):
    """Products of scores around the mean of their group, a condition in a context.

    **Fields:** `noise`, of single cells; `products` and `sizes` of each group of cells; `control`,
    the condition that is the control; `contexts`, how many; groups are numbered by condition, then
    by context.
    """

    noise: Noise
    products: Float[np.ndarray, "groups components components"]
    sizes: Int[np.ndarray, " groups"]
    control: int
    contexts: int

    @classmethod
    def of(cls, screen: Screen, components: int) -> "Spread":
        """Along principal components of all cells of a screen."""
        axes = fit_projection(screen.blocks(), components).axes
        scores = screen.project(axes.T)
        contexts = len(screen.contexts)
        groups = screen.condition_index.astype(np.int64) * contexts + screen.context_index
        products, sizes = covariances(scores, groups, len(screen.conditions) * contexts)
        # Of cells around the mean of their group in all genes, from sums of squares.
        used, place = np.unique(groups, return_inverse=True)
        means = screen.means(place, len(used)).astype(np.float64)
        squares = sum(float(block.power(2).sum(dtype=np.float64)) for block in screen.blocks())
        within = squares - float(sizes[used] @ (means**2).sum(axis=1))
        freedom = max(screen.num_cells - len(used), 1)
        along = np.einsum("gcc->c", products) / freedom
        noise = Noise(axes, along, max(within / freedom - along.sum(), 0.0))
        control = next(i for i, c in enumerate(screen.conditions) if c.is_control)
        return cls(noise, products, sizes, control, contexts)

    def stretches(
        self, pairs: Sequence[tuple[int, int]], weight: float, displaced: "Displaced"
    ) -> tuple[
        Float[np.ndarray, "pairs components components"],
        Float[np.ndarray, "contexts components components"],
    ]:
        """Maps from the controls' covariance to that of groups, less the identity.

        **Arguments:** `pairs`, the condition and the context of each group; `weight`, cells that
        the common covariance counts as; `displaced`, the controls as their states have moved.

        **Returns:** the map of each pair, and that to the common covariance: by context, and last
        over all contexts.
        """
        width = self.products.shape[1]
        grid = self.products.reshape(-1, self.contexts, width, width)
        sizes = self.sizes.reshape(-1, self.contexts)
        perturbed = np.arange(len(grid)) != self.control
        total = np.einsum("pcij->ij", grid[perturbed])
        overall = total / max((sizes[perturbed] - 1).clip(0).sum(), 1)
        common, starts, cells = [], [], []
        for context in range(self.contexts):
            own = grid[perturbed, context].sum(axis=0)
            freedom = (sizes[perturbed, context] - 1).clip(0).sum()
            common.append(shrunk(own, int(freedom) + 1, overall, weight))
            cells.append(int(sizes[self.control, context]))
            controls = grid[self.control, context] + cells[-1] * displaced.common[context]
            starts.append(shrunk(controls, cells[-1], common[-1], weight))
        # Few controls look less alike the others than they are: both sides shrink to one point.
        first = shrunk(
            grid[self.control].sum(axis=0), int(sizes[self.control].sum()), overall, weight
        )
        one = np.eye(width)
        shared = [transport_map(a, b) - one for a, b in zip(starts, common, strict=True)]
        seen = [
            transport_map(
                shrunk(
                    grid[self.control, context] + cells[context] * displaced.groups[group],
                    cells[context],
                    common[context],
                    weight,
                ),
                shrunk(
                    grid[condition, context],
                    int(sizes[condition, context]),
                    common[context],
                    weight,
                ),
            )
            - one
            for group, (condition, context) in enumerate(pairs)
        ]
        return np.stack(seen), np.stack([*shared, transport_map(first, overall) - one])
