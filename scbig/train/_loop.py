"""The loop that both stages share: compiled calls, validation, selection, checkpoints."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scbig._errors import NumericalFailure
from scbig._names import examples
from scbig._typing import Array, Float, Int
from scbig.objective import Metrics

from ._record import Recorder
from ._state import Keys, PyTree, RunState, TrainState


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of training, compiled.

    **Fields:** `advance`, a compiled call of `steps_per_call` steps on (state, data, key); `feed`,
    the data of each call from a given one on; `validate`, from parameters to a score, higher is
    better, and what to log beside it; `selects`, whether the best are taken, by that score, or
    the last ones, without it; `first`, whether those before the first step are validated too;
    `calls`, how often to advance; `validate_every`, calls between validations; `patience`,
    validations without improvement after which the stage ends early, or `None`; `groups` and
    `judged`, names of the groups that metrics with an axis are of, in training and in validation;
    `ends`, without selection the step after which each member is taken;
    `fields`, for a metric `..._unsolved` the field of the configuration with the solve's most
    steps.
    """

    name: str
    advance: Callable[[TrainState, PyTree, Keys], tuple[TrainState, Metrics]]
    feed: Callable[[int], Iterator[PyTree]]
    validate: Callable[[PyTree], tuple[Float[Array, "*members"], Metrics]]
    calls: int
    steps_per_call: int
    validate_every: int = 1
    patience: int | None = None
    selects: bool = True
    first: bool = False
    ends: Int[np.ndarray, "*members"] | None = None
    groups: tuple[str, ...] = ()
    judged: tuple[str, ...] = ()
    fields: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.calls * self.steps_per_call


def run(stage: Stage, state: RunState, recorder: Recorder, *, key: Keys) -> RunState:
    """Runs a stage to its end, or on from the recorder's checkpoint.

    **Returns:** the state with the best parameters; after the last call they have been validated.

    A single solve that does not reach its end must not end a run of days: the run ends if none of
    a term did in all calls since a validation, or none in a validation.

    **Raises:** `FloatingPointError` if a loss or a validation is not finite; `NumericalFailure`
    naming the step, the conditions and the field to change, if solves do not reach their end.
    """
    state = recorder.restore(stage.name, state)
    done = int(state.train.step) // stage.steps_per_call
    # What was logged before the first step is logged again if nothing was saved after it.
    recorder.log.rewind(stage.name, int(state.train.step) if done else -1)
    feed = stage.feed(done)
    unsolved: dict[str, Unsolved] = {}
    if stage.first and done == 0:
        state, beside = _select(stage, state)
        _check_solved(stage, 0, _unsolved(beside, stage.judged, {}), most=1)
        values = _numbers(beside)
        _check_finite(stage.name, 0, {"validation": values["validation"]})
        recorder.log.write({"stage": stage.name, "step": 0, **values})
    with recorder.bar(stage.name, stage.steps, start=int(state.train.step)) as bar:
        for call in range(done, stage.calls):
            if stage.patience is not None and int(np.min(state.stale)) >= stage.patience:
                break
            begun = time.perf_counter()
            train, metrics = stage.advance(state.train, next(feed), key)
            # The only time at which the host waits for the device.
            values = _numbers(metrics)
            rate = stage.steps_per_call / (time.perf_counter() - begun)
            step = (call + 1) * stage.steps_per_call
            unsolved = _unsolved(metrics, stage.groups, unsolved)
            _check_solved(stage, step, unsolved, most=stage.validate_every)
            _check_finite(stage.name, step, values)
            row: dict[str, Any] = {"stage": stage.name, "step": step, **values}
            state = dataclasses.replace(state, train=train)
            due = call + 1 == stage.calls or (call + 1) % stage.validate_every == 0
            due = due or (stage.ends is not None and bool(np.any(stage.ends == step)))
            if due:
                state, beside = _select(stage, state)
                _check_solved(stage, step, _unsolved(beside, stage.judged, {}), most=1)
                row |= _numbers(beside)
                _check_finite(stage.name, step, {"validation": row.get("validation", 0.0)})
            recorder.log.write({**row, "steps_per_second": rate})
            bar.show(step, values, rate)
            if due:
                recorder.save(stage.name, state)
    return state


def _select(stage: Stage, state: RunState) -> tuple[RunState, Metrics]:
    """The state with what is now best, of each member, and what validation logs."""
    chosen, step = state.train.chosen, state.train.step
    if stage.selects:
        score, beside = stage.validate(chosen)
        beside = {"validation": jnp.mean(score), **beside}
        better = score > state.score
        # A member that would have ended by itself is done, however long the others go on.
        better = better if stage.patience is None else better & (state.stale < stage.patience)
    else:
        score, beside = state.score, {}
        ends = step if stage.ends is None else jnp.asarray(stage.ends)
        better = jnp.broadcast_to(step <= ends, score.shape)
    # Copies, because the next call is given the training state's own buffers to overwrite.
    spread = lambda x: better.reshape(better.shape + (1,) * (x.ndim - better.ndim))
    take = lambda new, old: jnp.where(spread(new), new, old)
    found = RunState(
        train=state.train,
        best=jax.tree.map(take, chosen, state.best),
        score=jnp.where(better, score, state.score),
        best_step=jnp.where(better, step, state.best_step),
        stale=jnp.where(better, 0, state.stale + 1),
    )
    return found, beside


def _numbers(metrics: Metrics) -> dict[str, float]:
    """Metrics as numbers: of those with an axis their sum."""
    return {name: float(np.sum(value)) for name, value in jax.device_get(metrics).items()}


@dataclasses.dataclass(frozen=True)
class Unsolved:
    """Solves of one kind, none of which reached its end.

    **Fields:** `calls`, in a row, of which that is so; `groups`, the names of those concerned.
    """

    calls: int
    groups: tuple[str, ...]


def _unsolved(
    metrics: Metrics,
    names: tuple[str, ...],
    before: Mapping[str, Unsolved],
) -> dict[str, Unsolved]:
    """By metric, the solves that all failed, in a call and in those right before it."""
    found = {}
    for name, value in jax.device_get(metrics).items():
        kind = name.removesuffix("_share")
        # A mean of ones may come out below one.
        if not name.endswith("_unsolved_share") or float(value) < 1 - 1e-4:
            continue
        counts = np.atleast_1d(np.asarray(metrics.get(kind, ())))
        which = tuple(names[i] for i in np.flatnonzero(counts) if i < len(names))
        last = before.get(kind, Unsolved(0, ()))
        found[kind] = Unsolved(last.calls + 1, tuple(dict.fromkeys((*last.groups, *which))))
    return found


def _check_solved(stage: Stage, step: int, unsolved: Mapping[str, Unsolved], *, most: int) -> None:
    for kind, own in unsolved.items():
        if own.calls >= most:
            what = kind.removesuffix("_unsolved")
            field = stage.fields.get(kind, "the max_steps of its transport")
            among = f" The conditions: {examples(own.groups)}." if own.groups else ""
            raise NumericalFailure(
                f"Stage {stage.name!r}, by step {step}: no solve of {what} reaches its end.{among} "
                f"Raise {field}, or the tolerances of its controller. If the run has a folder, its "
                "checkpoint is from the validation before; other settings are another run."
            )


def _check_finite(stage: str, step: int, values: dict[str, float]) -> None:
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if bad:
        raise FloatingPointError(
            f"Stage {stage!r}, by step {step}: {', '.join(bad)} not finite. Lower the learning "
            "rate. If the run has a folder, its checkpoint is from the validation before."
        )
