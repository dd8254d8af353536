"""Draws conditions, their cells and their controls on the device, inside a compiled step."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from scbig._typing import Array, Int, PRNGKeyArray
from scbig.data import Screen


class CellIndex(eqx.Module):
    """The rows of a screen, sorted by group: a group is a condition in a context.

    Drawing is integer arithmetic on a key, so it runs inside `jit` and never asks the host.
    Controls are no group; each group knows those of its own context.
    """

    order: Int[Array, " perturbed"]
    """Rows of perturbed cells, group after group."""
    start: Int[Array, " groups"]
    """Where each group begins in `order`."""
    size: Int[Array, " groups"]
    control_order: Int[Array, " controls"]
    """Rows of control cells, context after context."""
    control_start: Int[Array, " groups"]
    """Where the controls of each group's context begin in `control_order`."""
    control_size: Int[Array, " groups"]
    condition: Int[Array, " groups"]
    """For each group, its place in the screen's `conditions`."""
    context: Int[Array, " groups"]
    """For each group, its place in the screen's `contexts`."""

    @classmethod
    def from_screen(cls, screen: Screen) -> "CellIndex":
        """Sorts the rows of a screen, which must have perturbed cells."""
        is_control = screen.is_control
        perturbed, controls = np.flatnonzero(~is_control), np.flatnonzero(is_control)
        if len(perturbed) == 0:
            raise ValueError("The screen has no perturbed cells to draw from.")
        contexts = len(screen.contexts)
        group = screen.condition_index[perturbed].astype(np.int64) * contexts
        group += screen.context_index[perturbed]
        names, start, size = np.unique(np.sort(group), return_index=True, return_counts=True)
        condition, context = names // contexts, names % contexts
        control_context = screen.context_index[controls]
        control_size = np.bincount(control_context, minlength=contexts)
        control_start = np.cumsum(control_size) - control_size
        return cls(
            order=_int32(perturbed[np.argsort(group, kind="stable")]),
            start=_int32(start),
            size=_int32(size),
            control_order=_int32(controls[np.argsort(control_context, kind="stable")]),
            control_start=_int32(control_start[context]),
            control_size=_int32(control_size[context]),
            condition=_int32(condition),
            context=_int32(context),
        )

    @property
    def num_groups(self) -> int:
        """The number of (condition, context) pairs with perturbed cells."""
        return self.size.shape[0]

    def pooled(self, most: int) -> tuple["CellIndex", Int[np.ndarray, " pooled"]]:
        """At most so many perturbed cells of each group, spread evenly over it.

        **Returns:** an index whose perturbed rows count through the second value, the rows of the
        screen that were kept. Controls are as they were.
        """
        start, size = np.asarray(self.start), np.asarray(self.size)
        kept = np.minimum(size, most)
        places = [s + np.arange(k) * n // k for s, n, k in zip(start, size, kept, strict=True)]
        rows = np.asarray(self.order)[np.concatenate(places)]
        fewer = dataclasses.replace(
            self,
            order=_int32(np.arange(len(rows))),
            start=_int32(np.cumsum(kept) - kept),
            size=_int32(kept),
        )
        return fewer, rows

    def draw_groups(self, n: int, *, key: PRNGKeyArray) -> Int[Array, " {n}"]:
        """`n` groups, uniform with replacement: a condition counts once, however many its cells."""
        return jr.randint(key, (n,), 0, self.num_groups, jnp.int32)

    def draw_cells(
        self, groups: Int[Array, " drawn"], n: int, *, key: PRNGKeyArray
    ) -> Int[Array, "drawn {n}"]:
        """Rows of `n` perturbed cells of each group, uniform with replacement."""
        return _draw(self.order, self.start[groups], self.size[groups], n, key=key)

    def draw_controls(
        self, groups: Int[Array, " drawn"], n: int, *, key: PRNGKeyArray
    ) -> Int[Array, "drawn {n}"]:
        """Rows of `n` controls of each group's context, uniform with replacement."""
        start, size = self.control_start[groups], self.control_size[groups]
        return _draw(self.control_order, start, size, n, key=key)


def _draw(
    order: Int[Array, " rows"],
    start: Int[Array, " drawn"],
    size: Int[Array, " drawn"],
    n: int,
    *,
    key: PRNGKeyArray,
) -> Int[Array, "drawn {n}"]:
    offset = jr.randint(key, (start.shape[0], n), 0, size[:, None], jnp.int32)
    return order[start[:, None] + offset]


def _int32(values: np.ndarray) -> Int[Array, " rows"]:
    return jnp.asarray(values, jnp.int32)
