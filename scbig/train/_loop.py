"""The loop that both stages share: compiled calls, validation, selection, checkpoints."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from scbig._typing import PRNGKeyArray, Scalar

from ._record import Recorder
from ._state import Metrics, PyTree, RunState, TrainState


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of training, compiled.

    **Fields:** `advance`, a compiled call of `steps_per_call` steps on (state, data, key); `feed`,
    the data of each call from a given one on; `validate`, from parameters to a score, higher is
    better; `calls`, how often to advance; `validate_every`, calls between validations;
    `patience`, validations without improvement after which the stage ends early, or `None`.
    """

    name: str
    advance: Callable[[TrainState, PyTree, PRNGKeyArray], tuple[TrainState, Metrics]]
    feed: Callable[[int], Iterator[PyTree]]
    validate: Callable[[PyTree], Scalar]
    calls: int
    steps_per_call: int
    validate_every: int = 1
    patience: int | None = None

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.calls * self.steps_per_call


def run(stage: Stage, state: RunState, recorder: Recorder, *, key: PRNGKeyArray) -> RunState:
    """Runs a stage to its end, or on from the recorder's checkpoint.

    **Returns:** the state with the best parameters; after the last call they have been validated.

    **Raises:** `FloatingPointError` if a loss or a validation is not finite.
    """
    state = recorder.restore(stage.name, state)
    done = int(state.train.step) // stage.steps_per_call
    recorder.log.rewind(stage.name, int(state.train.step))
    feed = stage.feed(done)
    with recorder.bar(stage.name, stage.steps, start=int(state.train.step)) as bar:
        for call in range(done, stage.calls):
            if stage.patience is not None and int(state.stale) >= stage.patience:
                break
            begun = time.perf_counter()
            train, metrics = stage.advance(state.train, next(feed), key)
            # The only time at which the host waits for the device.
            values = {name: float(value) for name, value in jax.device_get(metrics).items()}
            rate = stage.steps_per_call / (time.perf_counter() - begun)
            step = (call + 1) * stage.steps_per_call
            _check_finite(stage.name, step, values)
            row: dict[str, Any] = {"stage": stage.name, "step": step, **values}
            state = dataclasses.replace(state, train=train)
            if (call + 1) % stage.validate_every == 0 or call + 1 == stage.calls:
                state, row["validation"] = _select(stage, state)
                _check_finite(stage.name, step, {"validation": row["validation"]})
            recorder.log.write({**row, "steps_per_second": rate})
            bar.show(step, values, rate)
            if "validation" in row:
                recorder.save(stage.name, state)
    return state


def _select(stage: Stage, state: RunState) -> tuple[RunState, float]:
    chosen = state.train.chosen
    score = stage.validate(chosen)
    if not bool(score > state.score):
        return dataclasses.replace(state, stale=state.stale + 1), float(score)
    # Copies, because the next call is given the training state's own buffers to overwrite.
    better = RunState(
        train=state.train,
        best=jax.tree.map(jnp.copy, chosen),
        score=score,
        best_step=jnp.copy(state.train.step),
        stale=jnp.zeros((), jnp.int32),
    )
    return better, float(score)


def _check_finite(stage: str, step: int, values: dict[str, float]) -> None:
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if bad:
        raise FloatingPointError(
            f"Stage {stage!r}, by step {step}: {', '.join(bad)} not finite. Lower the learning "
            "rate. If the run has a folder, its checkpoint is from the validation before."
        )
