"""What a network of a rival is told of conditions, and the cells that it trains on."""

from collections.abc import Sequence
from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from scbig._names import examples
from scbig._typing import Array, Float, Int, PRNGKeyArray
from scbig.data import Condition, Screen
from scbig.sampling import CellIndex
from scbig.train import Priors


class Encoded(eqx.Module):
    """A condition in a context, as numbers.

    **Fields:** `counts`, one for each perturbation that is in it; `context`, one for its context,
    zeros for one that training had not.
    """

    counts: Float[Array, "*drawn perturbations"]
    context: Float[Array, "*drawn contexts"]


class Batch(eqx.Module):
    """Cells of some groups, and as many controls of their contexts.

    **Fields:** `controls` and `perturbed`, log expression; `condition`, of each group; `group`, its
    place among those of the training cells.
    """

    controls: Float[Array, "drawn cells genes"]
    perturbed: Float[Array, "drawn cells genes"]
    condition: Encoded
    group: Int[Array, " drawn"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Facts:
    """What the data decide of a network, and what it may read before it is trained.

    **Fields:** `screen`, the training cells; `perturbations`, every label that can be asked for,
    with its dose, sorted; `seen`, whether each is in a training condition; `contexts`, of perturbed
    training cells: one that has only controls trains nothing, and is as unknown as any other;
    `priors`.
    """

    screen: Screen
    perturbations: tuple[str, ...]
    seen: np.ndarray
    contexts: tuple[str, ...]
    priors: Priors

    @classmethod
    def of(cls, screen: Screen, asked: Sequence[Condition], priors: Priors) -> "Facts":
        """Collects the perturbations of training conditions and of those that will be asked for."""
        own = {label for condition in screen.conditions for label in condition.labels}
        names = tuple(sorted({*own, *(label for c in asked for label in c.labels)}))
        seen = np.array([name in own for name in names])
        trained = np.unique(screen.context_index[~screen.is_control])
        return cls(
            screen=screen,
            perturbations=names,
            seen=seen,
            contexts=tuple(screen.contexts[place] for place in trained),
            priors=priors,
        )

    def encode(self, conditions: Sequence[Condition], contexts: Sequence[str]) -> Encoded:
        """Conditions, each in its context, as numbers: see `encoded`."""
        return encoded(self.perturbations, self.contexts, conditions, contexts)


def encoded(
    perturbations: tuple[str, ...],
    known: tuple[str, ...],
    conditions: Sequence[Condition],
    contexts: Sequence[str],
) -> Encoded:
    """Conditions, each in its context, as numbers.

    **Raises:** a ValueError for a perturbation that is not among those known, named.
    """
    place = {name: i for i, name in enumerate(perturbations)}
    lacking = sorted({label for c in conditions for label in c.labels} - place.keys())
    if lacking:
        raise ValueError(
            f"{len(lacking)} perturbations are in neither the training nor the split: "
            f"{examples(lacking)}. Name them among the test conditions of the split."
        )
    counts = np.zeros((len(conditions), len(perturbations)), np.float32)
    for row, condition in enumerate(conditions):
        counts[row, [place[label] for label in condition.labels]] = 1.0
    one_hot = np.array([[own == name for name in known] for own in contexts], np.float32)
    return Encoded(jnp.asarray(counts), jnp.asarray(one_hot.reshape(len(contexts), len(known))))


class TrainingCells(eqx.Module):
    """The cells of a screen on the device, and their groups: each a condition in a context.

    **Fields:** `expression`, log expression; `index`, the rows of each group and of its controls;
    `condition`, of each group.
    """

    expression: Float[Array, "cells genes"]
    index: CellIndex
    condition: Encoded

    @classmethod
    def of(cls, screen: Screen, facts: Facts) -> "TrainingCells":
        """Puts the cells of a screen on the device.

        **Raises:** a ValueError if it has only controls.
        """
        index = CellIndex.from_screen(screen)
        conditions = [screen.conditions[int(place)] for place in index.condition]
        contexts = [screen.contexts[int(place)] for place in index.context]
        return cls(jnp.asarray(screen.dense()), index, facts.encode(conditions, contexts))

    def draw(self, groups: int, cells: int, *, key: PRNGKeyArray) -> Batch:
        """Cells of some groups, all drawn uniformly with replacement."""
        return self.of_groups(self.index.draw_groups(groups, key=key), cells, key=key)

    def of_groups(self, groups: Int[Array, " drawn"], cells: int, *, key: PRNGKeyArray) -> Batch:
        """Cells of these groups, drawn uniformly with replacement."""
        own, other = jr.split(jr.fold_in(key, 1))
        return Batch(
            controls=self.expression[self.index.draw_controls(groups, cells, key=own)],
            perturbed=self.expression[self.index.draw_cells(groups, cells, key=other)],
            condition=Encoded(self.condition.counts[groups], self.condition.context[groups]),
            group=groups,
        )
