"""Screens of which each cell is the mean of its condition, so that every answer is known."""

from collections.abc import Mapping

import numpy as np
from scipy import sparse

from scbig.data import Condition, Screen

GENES = ("A", "B", "x", "y", "z", "w")
EFFECTS = {
    "A": [-2, 0, 1, 0, 0, 0],
    "B": [0, -1, 0, 1, 0, 0],
    "C": [0, 0, 0, 0, 1, 0.5],
    "A+B": [-2, -1, 1, 1, 0, 0],
    "B+C": [0, -1, 0, 1, 1, 2.5],
}
"""The change of each gene; B+C has 2.5 of w where its singles have 0.5 together."""


def screen(
    effects: Mapping[str, list[float]], genes: tuple[str, ...] = GENES, level: float = 3
) -> Screen:
    """Four cells of each condition and of the controls, which are at one level."""
    conditions = tuple(sorted([Condition(), *map(Condition.parse, effects)], key=lambda c: c.name))
    shift = {Condition.parse(name).name: np.array(own) for name, own in effects.items()}
    means = np.array([level + shift.get(c.name, np.zeros(len(genes))) for c in conditions])
    group = np.repeat(np.arange(len(conditions)), 4)
    return Screen(
        expression=sparse.csr_matrix(means[group].astype(np.float32)),
        genes=genes,
        cells=tuple(map(str, range(len(group)))),
        conditions=conditions,
        condition_index=group.astype(np.int32),
        context_index=np.zeros(len(group), np.int32),
    )
