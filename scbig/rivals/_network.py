"""What every network of a rival is, and how it becomes a predictor."""

import abc
import itertools
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, final

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from anndata import AnnData

from scbig._typing import Bool, ExpressionBatch, Float, PRNGKeyArray, Scalar
from scbig._value import Value
from scbig.baselines import AbstractRecipe, move_controls, shift_cells
from scbig.data import Columns, Condition, Screen
from scbig.objective import Metrics
from scbig.sampling import population_key
from scbig.splits import Split
from scbig.train import Priors, hold_out_conditions

from ._cells import Batch, Encoded, Facts, TrainingCells, encoded
from ._training import Training, trained

AT_ONCE = 256
"""Control cells that a network carries in one compiled call."""
LEAST = 4
"""Training conditions that are set aside to choose parameters: fewer tell no gain from noise."""


class AbstractNetwork(eqx.Module):
    """A network that is trained by descent, and turns control cells into perturbed ones.

    Arrays that it reads and does not train are `Fixed`.

    **Fields:** `emits`, whether what it makes of each control is a cell, or of all of them only the
    mean counts: a network without noise of its own, whose cells would have no dispersion. Cells
    are made non-negative one by one; of others only their mean is, so that negative entries, such
    as those of a control's zero with a fall added, do not raise it. `anew`, whether it decodes
    cells anew, controls as well, rather than add to a control: it then puts the cells of a context
    that training had no perturbed cell of at the level of those that it had, and only what it
    changes from a decoded control counts there.
    """

    emits: ClassVar[Literal["cells", "mean"]]
    anew: ClassVar[bool]

    @abc.abstractmethod
    def loss(self, batch: Batch, *, key: PRNGKeyArray) -> tuple[Scalar, Metrics]:
        """The loss on a batch, and what to log beside it."""

    @abc.abstractmethod
    def carry(
        self, controls: ExpressionBatch, condition: Encoded, *, key: PRNGKeyArray
    ) -> ExpressionBatch:
        """Predicted log expression, a cell for each control, of one condition in one context."""


class AbstractNetworkRecipe(Value, AbstractRecipe):
    """How a network is built and trained, as a value.

    **Fields:** `training`, how it descends.
    """

    training: eqx.AbstractVar[Training]

    @abc.abstractmethod
    def build(self, facts: Facts, *, key: PRNGKeyArray) -> AbstractNetwork:
        """The untrained network.

        **Raises:** a ValueError that names the prior that it lacks.
        """

    def knows(self, facts: Facts) -> Bool[np.ndarray, " perturbations"]:
        """Of which perturbations a network is told more than a name that training never sees.

        Conditions of others cannot choose parameters. By default those of the training.
        """
        return facts.seen

    @final
    def fit(
        self,
        screen: Screen,
        split: Split,
        priors: Priors,
        *,
        progress: bool = True,
        key: PRNGKeyArray,
    ) -> "Rival":
        """Trains the network; validation conditions choose the best parameters.

        They are those of the split, or else some of the training conditions, drawn as `scbig.fit`
        draws them; where there are too few, or too few that can be known, the last parameters are
        taken.
        """
        build_key, train_key, draw_key = jr.split(key, 3)
        cells = split.cells(screen, "train")
        drawn = () if split.validation else hold_out_conditions(cells, 0.15, key=draw_key)
        judging = split.validation or drawn
        asked = [Condition.parse(name) for name in (*split.validation, *split.test)]
        kept = cells.without(drawn)
        facts = Facts.of(kept, [*asked, *map(Condition.parse, drawn)], priors)
        judging = able(facts, self.knows(facts), judging)
        if drawn and len(judging) < LEAST:
            judging = ()
        if drawn and judging != drawn:
            kept = cells.without(judging)
            facts = Facts.of(kept, [*asked, *map(Condition.parse, judging)], priors)
        judged = None
        if judging:
            known = split.cells(screen, "train", *(["validation"] if split.validation else []))
            judged = TrainingCells.of(known.select(judging), facts)
        network = trained(
            self.build(facts, key=build_key),
            TrainingCells.of(kept, facts),
            judged,
            self.training,
            progress=progress,
            key=train_key,
        )
        return Rival(screen.genes, facts.perturbations, facts.contexts, network)


def able(
    facts: Facts, known: Bool[np.ndarray, " perturbations"], names: Sequence[str]
) -> tuple[str, ...]:
    """The conditions of which all perturbations are known."""
    labels = set(itertools.compress(facts.perturbations, known))
    return tuple(name for name in names if labels.issuperset(Condition.parse(name).labels))


class Rival(eqx.Module):
    """A trained network as a predictor of cells.

    **Fields:** `genes`, of the cells; `perturbations`, all that can be asked for; `contexts`, of
    the training cells; `network`.
    """

    genes: tuple[str, ...]
    perturbations: tuple[str, ...]
    contexts: tuple[str, ...]
    network: AbstractNetwork

    def predict(
        self,
        controls: Screen | AnnData,
        conditions: Sequence[str],
        columns: Columns = Columns(),
        *,
        key: PRNGKeyArray,
        cells: int | None = None,
    ) -> AnnData:
        """What the network makes of control cells: see `scbig.baselines.predict_cells`.

        Of a network that emits means, the controls are moved to the mean of what it makes of them.
        Of one that decodes cells anew, in a context that training had no perturbed cell of, they
        are moved by what the perturbation changes of that mean.

        **Raises:** besides, a ValueError for perturbations that it was not told of.
        """

        def move(
            starts: Float[np.ndarray, "cells genes"],
            centre: Float[np.ndarray, " genes"],
            condition: Condition,
            context: str,
        ) -> Float[np.ndarray, "cells genes"]:
            if condition.is_control:
                return starts
            own = encoded(self.perturbations, self.contexts, [condition], [context])
            one = Encoded(own.counts[0], own.context[0])
            own_key = population_key(key, condition, context)
            made = carried(self.network, starts, one, key=own_key)
            if self.network.anew and context not in self.contexts:
                none = Encoded(jnp.zeros_like(one.counts), one.context)
                without = carried(self.network, starts, none, key=own_key)
                change = np.mean(made - without, axis=0, dtype=np.float64)
                return shift_cells(starts, starts.mean(axis=0, dtype=np.float64) + change)
            if self.network.emits == "mean":
                return shift_cells(starts, made.mean(axis=0, dtype=np.float64))
            return np.maximum(made, 0.0)

        given: Any = controls, conditions, columns
        return move_controls(move, self.genes, *given, key=key, cells=cells)


def carried(
    network: AbstractNetwork,
    starts: Float[np.ndarray, "cells genes"],
    condition: Encoded,
    *,
    key: PRNGKeyArray,
) -> Float[np.ndarray, "cells genes"]:
    """What a network makes of any number of controls."""
    parts = []
    for number, start in enumerate(range(0, len(starts), AT_ONCE)):
        # Whole blocks, so that one shape is compiled: the last is filled with cells from the start.
        rows = (start + np.arange(AT_ONCE)) % len(starts)
        block = jnp.asarray(starts[rows], jnp.float32)
        made = _carry(network, block, condition, jr.fold_in(key, number))
        parts.append(np.asarray(made)[: len(starts) - start])
    return np.concatenate(parts)


@eqx.filter_jit
def _carry(
    network: AbstractNetwork, starts: ExpressionBatch, condition: Encoded, key: PRNGKeyArray
) -> ExpressionBatch:
    return network.carry(starts, condition, key=key)
