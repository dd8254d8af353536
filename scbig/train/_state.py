"""What a run carries from step to step, and what of a model trains."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from scbig._foreign import lenient_promotion
from scbig._typing import Array, Int, PRNGKeyArray, Scalar

PyTree = Any
Metrics = dict[str, Scalar]


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
    """A training state, and the best parameters that validation has seen."""

    train: TrainState
    best: PyTree
    score: Scalar
    """Validation score of `best`; higher is better."""
    best_step: Int[Array, ""]
    stale: Int[Array, ""]
    """Validations since `best` was found."""


def make_optimiser(
    learning_rate: float, clip_norm: float, accumulate: int = 1
) -> optax.GradientTransformation:
    """Adam after clipping by the global norm; one update for every `accumulate` gradients."""
    chain = optax.chain(optax.clip_by_global_norm(clip_norm), optax.adam(learning_rate))
    if accumulate == 1:
        return chain
    return optax.MultiSteps(chain, accumulate).gradient_transformation()


def initial_state(
    params: PyTree, optimiser: optax.GradientTransformation, *, average: bool = False
) -> RunState:
    """The state before the first step."""
    with lenient_promotion():
        slots = optimiser.init(params)
    # `jnp.array(0)` would be weakly typed, and so compile again after a restore.
    train = TrainState(params, slots, params if average else None, jnp.zeros((), jnp.int32))
    return RunState(
        # The training buffers are donated: nothing that is kept may alias them.
        train=jax.tree.map(jnp.copy, train),
        best=jax.tree.map(jnp.copy, params),
        score=jnp.asarray(-jnp.inf, jnp.float32),
        best_step=jnp.zeros((), jnp.int32),
        stale=jnp.zeros((), jnp.int32),
    )


def update(
    state: TrainState,
    loss: Callable[[PyTree], tuple[Scalar, Metrics]],
    optimiser: optax.GradientTransformation,
    *,
    ema: float | None = None,
) -> tuple[TrainState, Metrics]:
    """One step down the gradient of `loss`, whose second value is logged."""
    (_, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    with lenient_promotion():
        change, slots = optimiser.update(gradient, state.optimiser, state.params)
        metrics = {**metrics, "gradient_norm": optax.tree.norm(gradient)}
    params = eqx.apply_updates(state.params, change)
    average = state.average
    if ema is not None:
        average = jax.tree.map(lambda a, p: ema * a + (1 - ema) * p, average, params)
    return TrainState(params, slots, average, state.step + 1), metrics


def compile_steps(
    step: Callable[[TrainState, PyTree, PyTree, PRNGKeyArray], tuple[TrainState, Metrics]],
    length: int,
    *,
    inputs: Callable[[TrainState, PyTree], PyTree] | None = None,
) -> Callable[[TrainState, PyTree, PRNGKeyArray], tuple[TrainState, Metrics]]:
    """Compiles `length` steps into one call, which donates the state.

    A step takes the state, the data, its own entry of `inputs(state, data)`, which is made once a
    call, and its key: the run's key folded with the step's number, so that a resumed run draws
    what an unbroken one would. Returns the mean of each metric over the steps.
    """

    @functools.partial(jax.jit, donate_argnums=0)
    def steps(state: TrainState, data: PyTree, key: PRNGKeyArray) -> tuple[TrainState, Metrics]:
        def body(carry, own):
            return step(carry, data, own, jax.random.fold_in(key, carry.step))

        given = None if inputs is None else inputs(state, data)
        state, metrics = jax.lax.scan(body, state, given, length=length)
        return state, jax.tree.map(jnp.mean, metrics)

    return steps


def trainable(model: eqx.Module, *parts: str) -> PyTree:
    """A filter that is true for every float array of these fields of a model, and nowhere else."""
    spec = jax.tree.map(lambda _: False, model)
    chosen = lambda tree: tuple(getattr(tree, part) for part in parts)
    arrays = tuple(jax.tree.map(eqx.is_inexact_array, part) for part in chosen(model))
    return eqx.tree_at(chosen, spec, arrays, is_leaf=lambda x: x is None)
