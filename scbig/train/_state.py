"""What a run carries from step to step, and what of a model trains."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Key

from scbig._foreign import lenient_promotion
from scbig._names import examples
from scbig._typing import Array, Float, Int, PRNGKeyArray, Scalar
from scbig.objective import Metrics

PyTree = Any


class TrainState(eqx.Module):
    """Every array that training needs in order to continue."""

    params: PyTree
    optimiser: PyTree
    average: PyTree
    """Moving average of the parameters; `None` without one."""
    step: Int[Array, ""]

    @property
    def chosen(self) -> PyTree:
        """The parameters that are validated and kept: the average if there is one."""
        return self.params if self.average is None else self.average


class RunState(eqx.Module):
    """A training state, and the best parameters that validation has seen.

    Of several members of an ensemble, which train at once, all arrays but the step have a leading
    axis.
    """

    train: TrainState
    best: PyTree
    score: Float[Array, "*members"]
    """Validation score of `best`; higher is better."""
    best_step: Int[Array, "*members"]
    stale: Int[Array, "*members"]
    """Validations since `best` was found."""


def accumulated(
    optimiser: optax.GradientTransformation, steps: int
) -> optax.GradientTransformation:
    """The optimiser with one update for every `steps` gradients, of their mean."""
    if steps == 1:
        return optimiser
    return optax.MultiSteps(optimiser, steps).gradient_transformation()


def side_by_side(
    optimiser: optax.GradientTransformation, other: optax.GradientTransformation
) -> optax.GradientTransformation:
    """Two optimisers of the same parameters, each with a gradient of its own.

    Takes both gradients, a pair, and adds the changes up. Where the second one is zero, as between
    evaluations, there is no update of it, and its moments stay.
    """

    def init(params: PyTree) -> tuple[PyTree, PyTree]:
        return optimiser.init(params), other.init(params)

    def step(updates: PyTree, state: PyTree, params: PyTree = None) -> tuple[PyTree, PyTree]:
        change, first = optimiser.update(updates[0], state[0], params)
        pulls = jnp.any(jnp.stack([jnp.any(leaf != 0) for leaf in jax.tree.leaves(updates[1])]))
        moved = lambda: other.update(updates[1], state[1], params)
        still = lambda: (jax.tree.map(jnp.zeros_like, updates[1]), state[1])
        own, second = jax.lax.cond(pulls, moved, still)
        return jax.tree.map(jnp.add, change, own), (first, second)

    return optax.GradientTransformation(init, step)


def initial_state(
    params: PyTree,
    optimiser: optax.GradientTransformation,
    *,
    average: bool = False,
    members: int | None = None,
) -> RunState:
    """The state before the first step.

    **Arguments:** `members`, how many members of an ensemble the parameters are of, stacked;
    `None` for those of one model.
    """
    with lenient_promotion():
        slots = optimiser.init(params) if members is None else jax.vmap(optimiser.init)(params)
    shape = () if members is None else (members,)
    # `jnp.array(0)` would be weakly typed, and so compile again after a restore.
    train = TrainState(params, slots, params if average else None, jnp.zeros((), jnp.int32))
    return RunState(
        # The training buffers are donated: nothing that is kept may alias them.
        train=jax.tree.map(jnp.copy, train),
        best=jax.tree.map(jnp.copy, params),
        score=jnp.full(shape, -jnp.inf, jnp.float32),
        best_step=jnp.zeros(shape, jnp.int32),
        stale=jnp.zeros(shape, jnp.int32),
    )


MOST_TIMES = 1e3
"""What a loss is multiplied with at most for its gradient's sake: of a gradient that is next to
nothing, only noise would be made larger."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One term of a loss, as a function of the parameters.

    **Fields:** `label`, what it is called in logs; `weight`; `loss`, from parameters to the value
    and what to log of it; `weighs_gradient`, whether `weight` is the length of its gradient as a
    multiple of the first part's.
    """

    label: str
    weight: float
    loss: Callable[[PyTree], tuple[Scalar, Metrics]]
    weighs_gradient: bool = False


def update(
    state: TrainState,
    parts: Sequence[Part],
    optimiser: optax.GradientTransformation,
    *,
    ema: float | None = None,
    apart: bool = False,
) -> tuple[TrainState, Metrics]:
    """One step down the gradient of the weighted sum of the parts.

    **Arguments:** `ema`, decay of the parameters' average, corrected for its start: after `t` steps
    it weighs the parameters of step `s` with `ema^(t - s)`, over the sum of these weights; `apart`,
    whether the optimiser is of `side_by_side`, for two parts or more: its second gradient is that
    of all parts but the first.

    **Returns:** the next state, and what the parts log: each value under its label; with several
    parts `loss`, their weighted sum, and each one's share of the length of all weighted gradients;
    and of a part that weighs its gradient `..._weight`, what its loss was multiplied with, 0 in a
    step in which it is not evaluated.
    """
    metrics: Metrics = {}
    gradients, losses = [], []
    for part in parts:
        (value, own), gradient = jax.value_and_grad(part.loss, has_aux=True)(state.params)
        own = own if part.label in own else {part.label: value, **own}
        twice = sorted(set(own) & set(metrics))
        if twice:
            raise ValueError(
                f"Two terms log {examples(twice)}: give one of them a class attribute `label` of "
                "its own, and other names to what it logs."
            )
        metrics |= own
        weight: float | Scalar = part.weight
        if part.weighs_gradient and gradients:
            weight = part.weight * _times(gradients[0], gradient)
            metrics[f"{part.label}_weight"] = weight
        losses.append(weight * value)
        gradients.append(jax.tree.map(lambda g, w=weight: w * g, gradient))
    added = lambda own: functools.reduce(lambda a, b: jax.tree.map(jnp.add, a, b), own)
    gradient = added(gradients)
    given = (gradients[0], added(gradients[1:])) if apart else gradient
    with lenient_promotion():
        change, slots = optimiser.update(given, state.optimiser, state.params)
        if len(parts) > 1:
            metrics["loss"] = functools.reduce(jnp.add, losses)
            norms = jnp.stack([optax.tree.norm(own) for own in gradients])
            shares = norms / jnp.maximum(jnp.sum(norms), jnp.finfo(norms.dtype).tiny)
            metrics |= {f"{p.label}_share": shares[i] for i, p in enumerate(parts)}
        metrics["gradient_norm"] = optax.tree.norm(gradient)
    params = eqx.apply_updates(state.params, change)
    average = state.average
    if ema is not None:
        average = _averaged(average, params, ema, state.step + 1)
    return TrainState(params, slots, average, state.step + 1), metrics


def _times(first: PyTree, gradient: PyTree) -> Scalar:
    """How many times as long the first gradient is; 0 where one has no length, or no finite one.

    A number of this step alone: nothing is differentiated through it.
    """
    with lenient_promotion():
        wanted, found = optax.tree.norm(first), optax.tree.norm(gradient)
    # An entry that is not a number stays one: zero times it is no number either.
    fine = jnp.isfinite(wanted) & jnp.isfinite(found) & (found > 0)
    return jnp.where(fine, jnp.minimum(wanted / jnp.where(fine, found, 1.0), MOST_TIMES), 0.0)


def _averaged(average: PyTree, params: PyTree, decay: float, count: Int[Array, ""]) -> PyTree:
    # (1 - d) / (1 - d^t): at the first step the average is the parameters, not the initial ones.
    # `1 - d^t` itself would lose digits where the decay is close to one.
    rate = (1 - decay) / -jnp.expm1(count.astype(jnp.float32) * math.log(decay))
    return jax.tree.map(lambda a, p: a + rate.astype(p.dtype) * (p - a), average, params)


Step = Callable[[TrainState, PyTree, PyTree, PRNGKeyArray], tuple[TrainState, Metrics]]
"""From a state, the data, the step's own input and its key to the next state and what to log."""


Keys = PRNGKeyArray | Key[Array, " members"]
"""The key of a model, or those of several members of an ensemble."""


def compile_steps(
    step: Step,
    length: int,
    *,
    inputs: Callable[[TrainState, PyTree], PyTree] | None = None,
) -> Callable[[TrainState, PyTree, Keys], tuple[TrainState, Metrics]]:
    """Compiles `length` steps into one call, which donates the state.

    A step takes the state, the data, its own entry of `inputs(state, data)`, which is made once a
    call, and its key: the run's key folded with the step's number, so that a resumed run draws
    what an unbroken one would. Returns the mean of each scalar metric over the steps, and the sum
    of those with an axis. Equal steps on data of equal shapes are compiled once in a process: a
    step that is a module is equal to another with equal fields. Given several keys, the state is
    that of as many members of an ensemble, whose metrics are averaged, or added up, too.
    """
    return lambda state, data, key: _advance((step, length, inputs, data, key), state)


@eqx.filter_jit(donate="all-except-first")
def _advance(
    fixed: tuple[Step, int, Callable | None, PyTree, Keys], state: TrainState
) -> tuple[TrainState, Metrics]:
    step, length, inputs, data, keys = fixed
    over = lambda x: jnp.mean(x) if x.ndim == 1 else jnp.sum(x, axis=0)

    def advance(state: TrainState, key: PRNGKeyArray) -> tuple[TrainState, Metrics]:
        def body(carry, own):
            return step(carry, data, own, jax.random.fold_in(key, carry.step))

        given = None if inputs is None else inputs(state, data)
        state, metrics = jax.lax.scan(body, state, given, length=length)
        return state, jax.tree.map(over, metrics)

    several = jnp.issubdtype(keys.dtype, jax.dtypes.prng_key) and keys.ndim
    if not several:
        return advance(state, keys)
    # The step is that of all: what happens now and then happens to all at once.
    arrays = state.params, state.optimiser, state.average

    def member(own: tuple[PyTree, PyTree, PyTree], key: PRNGKeyArray) -> tuple[PyTree, Metrics]:
        params, slots, average = own
        found, metrics = advance(TrainState(params, slots, average, state.step), key)
        return (found.params, found.optimiser, found.average), metrics

    (params, slots, average), metrics = jax.vmap(member)(arrays, keys)
    state = TrainState(params, slots, average, state.step + length)
    return state, jax.tree.map(over, metrics)


def trainable(model: eqx.Module, *parts: str) -> PyTree:
    """A filter that is true for every float array of these fields of a model, and nowhere else."""
    spec = jax.tree.map(lambda _: False, model)
    chosen = lambda tree: tuple(getattr(tree, part) for part in parts)
    arrays = tuple(jax.tree.map(eqx.is_inexact_array, part) for part in chosen(model))
    return eqx.tree_at(chosen, spec, arrays, is_leaf=lambda x: x is None)
