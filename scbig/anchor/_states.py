"""What a perturbation does to cells of different states, and to their proportions."""

import equinox as eqx
import jax
import jax.numpy as jnp

from scbig._typing import Array, Float, Int


class States(eqx.Module):
    """Changes that differ between the states in which control cells are, for each group.

    A cell belongs to states by how near it is to their places, and moves by what its states do. A
    perturbation may also make states rarer: then fewer of their cells are started from.

    **Fields:** `places`, scores less those of the mean control; `width`, the squared distance at
    which a state has lost most of its share; `local`, by which cells of a state move beside all
    others; `weights`, logarithms of how many of a state's cells are left.
    """

    places: Float[Array, "*groups states components"]
    width: Float[Array, "*groups"]
    local: Float[Array, "*groups states components"]
    weights: Float[Array, "*groups states"]

    def __getitem__(self, groups: int | Int[Array, "..."]) -> "States":
        """One of many groups, or some of them."""
        return jax.tree.map(lambda values: values[groups], self)

    def shares(self, scores: Float[Array, "cells components"]) -> Float[Array, "cells states"]:
        """How much each cell is of each state of one group."""
        # Squared distances but for what all states of a cell have in common.
        apart = jnp.sum(self.places**2, axis=1)[None] - 2 * scores @ self.places.T
        return jax.nn.softmax(-apart / self.width, axis=1)

    def changes(self, scores: Float[Array, "cells components"]) -> Float[Array, "cells components"]:
        """By how much each cell moves beside all others."""
        return self.shares(scores) @ self.local

    def kept(self, scores: Float[Array, "cells components"]) -> Float[Array, " cells"]:
        """How many of cells like each are left, up to a factor."""
        return self.shares(scores) @ jnp.exp(self.weights)
