"""Cells of every condition that are held out from stage 1."""

import itertools

import jax.random as jr
import numpy as np
from jaxtyping import Int

from scbig._names import examples
from scbig._typing import PRNGKeyArray
from scbig.data import Screen


def hold_out_cells(screen: Screen, share: float, *, key: PRNGKeyArray) -> tuple[Screen, Screen]:
    """Splits the cells of every condition in every context, at random, by the same share.

    **Returns:** the kept and the held-out screen. Each gets at least one cell of every condition.

    **Raises:** `ValueError` naming conditions, or contexts of controls, that have a single cell.
    """
    group = screen.condition_index.astype(np.int64) * len(screen.contexts) + screen.context_index
    noise = np.asarray(jr.uniform(key, (screen.num_cells,)))
    order = np.lexsort((noise, group))
    _, start, size = np.unique(group[order], return_index=True, return_counts=True)
    _check_pairs(screen, order[start[size < 2]])
    held = np.clip(np.round(share * size).astype(int), 1, size - 1)
    rank = np.arange(screen.num_cells) - np.repeat(start, size)
    is_held = np.zeros(screen.num_cells, bool)
    is_held[order] = rank < np.repeat(held, size)
    return screen.take(np.flatnonzero(~is_held)), screen.take(np.flatnonzero(is_held))


def _check_pairs(screen: Screen, alone: Int[np.ndarray, " alone"]) -> None:
    """Raises for rows whose cell is the only one of its condition in its context."""
    where = [screen.contexts[place] for place in screen.context_index[alone]]
    is_control = screen.is_control[alone]
    controls = [context or "the screen" for context in itertools.compress(where, is_control)]
    if controls:
        raise ValueError(
            f"{len(controls)} context(s) have a single control cell, which cannot be both trained "
            f"and validated on: {examples(controls)}. Drop those contexts, or merge each with one "
            "that has more."
        )
    names = [screen.conditions[place].name for place in screen.condition_index[alone]]
    single = [f"{n} in {c}" if c else n for n, c in zip(names, where, strict=True)]
    if single:
        raise ValueError(
            f"{len(single)} conditions have a single cell, which cannot be both trained and "
            f"validated on: {examples(single)}. Drop them with `screen.at_least(2)`."
        )


def hold_out_conditions(
    screen: Screen, share: float, *, key: PRNGKeyArray, least: int = 8
) -> tuple[str, ...]:
    """Conditions drawn at random to select by, of the kind that is to be predicted.

    **Arguments:** `share` of the conditions of their kind, but four at least, and at most half;
    `least`, how many of a kind there must be, so that what is left can be learned from.

    **Returns:** names of combinations, or of single perturbations if there are too few of those;
    none if there are too few of both.
    """
    perturbed = [c for c in screen.conditions if not c.is_control]
    combined = [c.name for c in perturbed if len(c.perturbations) > 1]
    single = [c.name for c in perturbed if len(c.perturbations) == 1]
    for names in (combined, single):
        if len(names) >= least:
            # Fewer than four cannot tell a gain from noise.
            number = min(max(round(share * len(names)), 4), len(names) // 2)
            drawn = np.asarray(jr.permutation(key, len(names)))[:number]
            return tuple(names[place] for place in sorted(drawn))
    return ()
