"""Stage 2: all terms of the objective in one gradient (Eq. 6 to 9)."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax.random as jr
import numpy as np
import optax

from scbig._foreign import COMPILED_QUICKLY
from scbig._typing import Array, Int, LatentBatch, PRNGKeyArray, Scalar
from scbig._value import Weighted, label_of
from scbig.method import ScBIGConfig
from scbig.model import ScBIG
from scbig.objective import (
    AbstractCriterion,
    AbstractOptimiser,
    AbstractTerm,
    FlowData,
    HasReferences,
    HasShares,
    Metrics,
    Setting,
)

from ._loop import Stage
from ._members import for_members, stacked
from ._noise import warn_of_noise
from ._setting import flow_data
from ._starts import needs_starts, own_starts, starts_of
from ._state import (
    Part,
    PyTree,
    RunState,
    TrainState,
    accumulated,
    compile_steps,
    initial_state,
    side_by_side,
    trainable,
    update,
)


def term_key(key: PRNGKeyArray, place: int) -> PRNGKeyArray:
    """The key of a term in a step, by its place in the objective."""
    return jr.fold_in(key, place)


class Prepared(eqx.Module):
    """What stage 2 keeps on the device: cells, and what each term and the criterion read.

    **Fields:** `learn` and `judge`, the cells to train and to be judged on; `terms` and
    `criterion`, what each prepared; no `judge` where nothing is selected.
    """

    learn: FlowData
    judge: FlowData | None
    terms: tuple[Any, ...]
    criterion: Any

    @classmethod
    def of(
        cls,
        learn: Setting,
        judge: Setting | None,
        config: ScBIGConfig,
        *,
        latents: LatentBatch | None = None,
        key: PRNGKeyArray,
    ) -> "Prepared":
        """Prepares every term on the cells to learn from, and the criterion on the others.

        **Arguments:** `judge`, `None` where nothing is selected; `latents`, of `learn`.
        """
        known = flow_data(learn, config.stage2.trains, latents)
        if needs_starts(config):
            starts = starts_of(learn) if learn.moves is not None else own_starts(learn, known)
            known = dataclasses.replace(known, starts=starts)
            learn = dataclasses.replace(learn, latents=known.latents, starts=starts)
        return cls(
            learn=known,
            judge=None if judge is None else flow_data(judge, config.stage2.trains),
            terms=tuple(part.term.prepare(learn) for part in config.objective),
            criterion=None if judge is None else config.stage2.criterion.prepare(judge, key=key),
        )

    def of_term(self, place: int) -> FlowData:
        """The training cells, with what one term prepared."""
        return _with_own(self.learn, self.terms[place])

    def to_judge(self) -> FlowData:
        """The validation cells, with what the criterion prepared."""
        assert self.judge is not None
        return _with_own(self.judge, self.criterion)


def _with_own(data: FlowData, own: Any) -> FlowData:
    return dataclasses.replace(data, own=own)


def flow_stage(
    model: ScBIG,
    prepared: Prepared,
    config: ScBIGConfig,
    groups: tuple[str, ...] = (),
    judged: tuple[str, ...] = (),
    *,
    name: str = "flow",
    others: Sequence[ScBIG] = (),
    ends: Int[np.ndarray, "*members"] | None = None,
) -> tuple[Stage, RunState, PyTree]:
    """Stage 2, compiled, with its first state, and the rest of the model.

    **Arguments:** `groups` and `judged`, the names of the groups of the training and of the
    validation cells, for messages; `name`, of the stage; `others`, further members of an ensemble,
    with flows of their own and the rest of the model; `ends`, for each member the step at which it
    is taken, by default the last one of the configuration.
    """
    settings = config.stage2
    # What is learned of single perturbations is a part of how conditions are read.
    own = ("identities",) if "condition_encoder" in settings.trains else ()
    parts = [eqx.partition(m, trainable(m, *settings.trains, *own)) for m in (model, *others)]
    params, rest = stacked([trained for trained, _ in parts]), parts[0][1]
    members = len(parts)
    steps = settings.steps if ends is None else int(np.max(ends))
    apart = settings.apart if len(config.objective) > 1 else None
    descend = _Descend(
        config.objective, settings.optimiser, apart, settings.accumulate, settings.ema
    )
    stage = Stage(
        name=name,
        advance=compile_steps(descend, settings.steps_per_call),
        feed=lambda _: itertools.repeat((rest, prepared)),
        validate=for_members(_validation(config, rest, prepared), members),
        selects=prepared.judge is not None,
        calls=-(-steps // settings.steps_per_call),
        steps_per_call=settings.steps_per_call,
        validate_every=settings.validate_every,
        patience=None if prepared.judge is None else settings.patience,
        first=prepared.judge is not None and config.anchor is not None,
        ends=ends,
        groups=groups,
        judged=judged,
        fields=_solves(config),
    )
    options: dict[str, Any] = {"average": settings.ema is not None}
    options["members"] = None if members == 1 else members
    return stage, initial_state(params, descend.optimisation, **options), rest


def _validation(
    config: ScBIGConfig, rest: PyTree, prepared: Prepared
) -> Callable[[PyTree], tuple[Scalar, Metrics]]:
    """From parameters to the criterion's score, and what is logged beside it."""
    still = not {"decoder", "encoder"} & set(config.stage2.trains)
    known: Metrics = {}

    def validate(params: PyTree) -> tuple[Scalar, Metrics]:
        value, metrics = _score(config.stage2.criterion, params, rest, prepared)
        metrics |= _shares(params, rest, prepared, config.objective)
        # They hold for the cells as the autoencoder has them: for the whole run, if it stands.
        if not (known and still):
            found = references(eqx.combine(params, rest), prepared, config.objective)
            if not known:
                warn_of_noise(found)
            known.update(found)
        return value, {**metrics, **known}

    return validate


def _solves(config: ScBIGConfig) -> dict[str, str]:
    """For the metric that counts what is unsolved, the field with the solve's most steps."""
    own = getattr(config.stage2.criterion, "transport", None) is not None
    where = "stage2.criterion.transport" if own else "transport"
    fields = {"validation_unsolved": f"{where}.max_steps"}
    for place, part in enumerate(config.terms):
        if hasattr(part.term, "transport"):
            fields[f"{label_of(part.term)}_unsolved"] = f"terms.{place}.transport.max_steps"
    return fields


class _Descend(eqx.Module):
    """A step of stage 2, whose data are the rest of the model, and what was prepared.

    It has nothing of a configuration but what it reads: runs that differ elsewhere share it.
    """

    terms: tuple[Weighted[AbstractTerm], ...]
    optimiser: AbstractOptimiser
    apart: AbstractOptimiser | None
    accumulate: int
    ema: float | None

    @property
    def optimisation(self) -> optax.GradientTransformation:
        """The optimiser, with one update for every `accumulate` gradients, and the one apart."""
        first = accumulated(self.optimiser.build(), self.accumulate)
        return first if self.apart is None else side_by_side(first, self.apart.build())

    def __call__(
        self, state: TrainState, data: tuple[PyTree, Prepared], _: None, key: PRNGKeyArray
    ) -> tuple[TrainState, Metrics]:
        rest, prepared = data

        def part(place: int, term: AbstractTerm, weight: float) -> Part:
            given = term, rest, prepared.of_term(place), state.step, term_key(key, place)
            loss = functools.partial(_loss, *given)
            return Part(label_of(term), weight, loss, term.weighs_gradient)

        parts = [part(i, own.term, own.weight) for i, own in enumerate(self.terms)]
        # The average moves at every step, the parameters at every `accumulate`-th one.
        decay = None if self.ema is None else self.ema ** (1 / self.accumulate)
        apart = self.apart is not None
        return update(state, parts, self.optimisation, ema=decay, apart=apart)


@eqx.filter_jit
def _score(
    criterion: AbstractCriterion,
    params: PyTree,
    rest: PyTree,
    prepared: Prepared,
) -> tuple[Scalar, Metrics]:
    """The criterion's score of a model, and what it logs."""
    return criterion(eqx.combine(params, rest), prepared.to_judge())


def _loss(
    term: AbstractTerm,
    rest: PyTree,
    data: FlowData,
    step: Int[Array, ""],
    key: PRNGKeyArray,
    params: PyTree,
) -> tuple[Scalar, Metrics]:
    return term(eqx.combine(params, rest), data, step, key=key)


@eqx.filter_jit(**COMPILED_QUICKLY)
def _shares(
    params: PyTree,
    rest: PyTree,
    prepared: Prepared,
    terms: tuple[Weighted[AbstractTerm], ...],
) -> Metrics:
    """How much each loss of a term pulls, where it can say so, on fixed draws."""
    found: Metrics = {}
    for place, part in enumerate(terms):
        if isinstance(part.term, HasShares):
            model, data = eqx.combine(params, rest), prepared.of_term(place)
            found |= part.term.shares(model, data, key=jr.key(place))
    return found


@eqx.filter_jit(**COMPILED_QUICKLY)
def references(
    model: ScBIG, prepared: Prepared, terms: tuple[Weighted[AbstractTerm], ...]
) -> Metrics:
    """What each term's loss is to be held against, where it can say so, on fixed draws."""
    found: Metrics = {}
    for place, part in enumerate(terms):
        if isinstance(part.term, HasReferences):
            own = part.term.references(model, prepared.of_term(place), key=jr.key(place))
            found |= {f"{label_of(part.term)}_{name}": value for name, value in own.items()}
    return found
