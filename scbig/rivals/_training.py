"""How the networks of rivals are trained: one loop, selected by held-out conditions."""

from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, PRNGKeyArray, Scalar
from scbig._value import Value, real, whole
from scbig.objective import AbstractOptimiser, Adam, Metrics
from scbig.train import Part, Recorder, Stage, TrainState, compile_steps, initial_state, run, update

from ._cells import Encoded, TrainingCells

if TYPE_CHECKING:
    from ._network import AbstractNetwork


class Fixed(eqx.Module):
    """An array that a network reads and does not train."""

    value: Array


class Training(Value):
    """How a network descends.

    **Fields:**

    - `optimiser`: of every step.
    - `steps`: in all, rounded up to whole calls of `validate_every`.
    - `groups`, `cells`: of a batch: conditions in contexts, and cells of each.
    - `validate_every`: steps between two validations, which are one compiled call.
    - `patience`: validations without improvement after which training stops; `None` for never.
    - `ema`: decay of the parameters' average, which is then validated and kept; `None` for none.
    """

    optimiser: AbstractOptimiser = Adam(1e-3)
    steps: int = whole(2000)
    groups: int = whole(64)
    cells: int = whole(1)
    validate_every: int = whole(100)
    patience: int | None = whole(10)
    ema: float | None = real(None, above=0, below=1)


def trained(
    network: "AbstractNetwork",
    cells: TrainingCells,
    judged: TrainingCells | None,
    training: Training,
    *,
    progress: bool,
    key: PRNGKeyArray,
) -> Any:
    """The network with the best parameters by the means of held-out conditions, or the last ones.

    **Arguments:** `judged`, cells of the held-out conditions with the controls, if there are any.

    **Raises:** `FloatingPointError` for a loss that is not finite.
    """
    # What is fixed is no parameter, whatever the optimiser does to those.
    kept = jax.tree.map(
        lambda x: not isinstance(x, Fixed) and eqx.is_inexact_array(x),
        network,
        is_leaf=lambda x: isinstance(x, Fixed),
    )
    params, rest = eqx.partition(network, kept)
    judge_key, run_key = jr.split(key)
    judging = None if judged is None else Judging.of(judged, key=judge_key)
    stage = Stage(
        name="network",
        advance=compile_steps(_Descend(training), training.validate_every),
        feed=lambda _: iter(lambda: (rest, cells), None),
        validate=lambda found: (judging_score(found, rest, judging), {}),
        selects=judging is not None,
        calls=-(-training.steps // training.validate_every),
        steps_per_call=training.validate_every,
        patience=None if judging is None else training.patience,
    )
    state = initial_state(params, training.optimiser.build(), average=training.ema is not None)
    state = run(stage, state, Recorder(progress=progress), key=run_key)
    return eqx.combine(state.best, rest)


class _Descend(eqx.Module):
    """A step, whose data are what does not train, and the cells."""

    training: Training

    def __call__(
        self, state: TrainState, data: Any, _: None, key: PRNGKeyArray
    ) -> tuple[TrainState, Metrics]:
        rest, cells = data
        draw_key, loss_key = jr.split(key)
        batch = cells.draw(self.training.groups, self.training.cells, key=draw_key)

        def loss(params: Any) -> tuple[Scalar, Metrics]:
            return eqx.combine(params, rest).loss(batch, key=loss_key)

        part = Part("loss", 1.0, loss)
        return update(state, [part], self.training.optimiser.build(), ema=self.training.ema)


class Judging(eqx.Module):
    """Held-out conditions: controls of each, and the measured means.

    **Fields:** `controls`, drawn once; `changes`, measured from the mean of those of the context.
    """

    controls: Array
    condition: Encoded
    means: Array
    origins: Array
    key: PRNGKeyArray

    @classmethod
    def of(cls, judged: TrainingCells, *, starts: int = 64, key: PRNGKeyArray) -> "Judging":
        """Draws the controls and takes the means."""
        index = judged.index
        every = jnp.arange(index.num_groups)
        mean = lambda order, start, size: jnp.stack(
            [
                judged.expression[order[int(a) : int(a) + int(n)]].mean(axis=0)
                for a, n in zip(start, size, strict=True)
            ]
        )
        return cls(
            controls=judged.expression[index.draw_controls(every, starts, key=key)],
            condition=judged.condition,
            means=mean(index.order, index.start, index.size),
            origins=mean(index.control_order, index.control_start, index.control_size),
            key=key,
        )


@eqx.filter_jit
def judging_score(params: Any, rest: Any, judging: Judging | None) -> Scalar:
    """One less the squared error of predicted means, in units of that of no change; 1 is perfect.

    A prediction is the mean change of the controls that it starts from.
    """
    if judging is None:
        return jnp.zeros(())
    network = eqx.combine(params, rest)

    def error(own: tuple[Array, Encoded, Array, Array]) -> tuple[Scalar, Scalar]:
        controls, condition, mean, origin = own
        made = network.carry(controls, condition, key=judging.key)
        if network.emits == "cells":
            made = jnp.maximum(made, 0.0)
        change = mean - origin
        found = jnp.maximum(jnp.mean(made, axis=0), 0.0) - jnp.mean(controls, axis=0)
        return jnp.sum((found - change) ** 2), jnp.sum(change**2)

    given = judging.controls, judging.condition, judging.means, judging.origins
    errors, sizes = jax.lax.map(error, given)
    return 1.0 - jnp.sum(errors) / jnp.maximum(jnp.sum(sizes), jnp.finfo(jnp.float32).tiny)
