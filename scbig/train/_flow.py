"""Stage 2: flow matching and alignment in one objective (Eq. 6 to 9)."""

import abc
import dataclasses
import itertools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import (
    Array,
    ExpressionBatch,
    Float,
    Int,
    LatentBatch,
    PRNGKeyArray,
    Scalar,
)
from scbig.alignment import AbstractAlignment
from scbig.config import ScBIGConfig
from scbig.data import Screen
from scbig.flow import LinearPath, Transport, flow_matching_loss, make_transport
from scbig.model import ConditionTokens, ScBIG
from scbig.ot import AbstractCoupling, IndependentCoupling, SinkhornCoupling

from ._autoencoder import reconstruction_loss
from ._index import CellIndex
from ._loop import Stage
from ._state import (
    Metrics,
    PyTree,
    RunState,
    compile_steps,
    initial_state,
    make_optimiser,
    trainable,
    update,
)

PARTS = {
    "flow": ("condition_encoder", "velocity"),
    "flow+decoder": ("condition_encoder", "velocity", "decoder"),
    "all": ("condition_encoder", "velocity", "decoder", "encoder"),
}


class AbstractValidation(eqx.Module):
    """Scores a model on data that it does not train on."""

    @abc.abstractmethod
    def __call__(self, model: ScBIG) -> Scalar:
        """The score of a model; higher is better."""


class FlowData(eqx.Module):
    """Everything that a stage-2 step reads, on the device.

    **Fields:** `index`, draws rows by condition and context; `targets`, draws rows of the alignment
    losses' targets; `tokens`, each group's condition in its context; `latents`, of all cells, by
    the encoder as stage 1 left it; `expression`, of all cells, only where the decoder or the
    encoder trains; `alignments`, with their weights.
    """

    index: CellIndex
    targets: CellIndex
    tokens: ConditionTokens
    latents: LatentBatch
    expression: ExpressionBatch | None
    alignments: dict[str, AbstractAlignment]

    def conditions(
        self, model: ScBIG, groups: Int[Array, " groups"], *, key: PRNGKeyArray | None
    ) -> Float[Array, "groups condition"]:
        """Encoded conditions of some groups, each in its own context."""
        tokens = self.tokens[groups]
        if key is None:
            return jax.vmap(model.condition)(tokens)
        keys = jr.split(key, groups.shape[0])
        return jax.vmap(lambda t, k: model.condition(t, key=k))(tokens, keys)


def group_tokens(model: ScBIG, screen: Screen, index: CellIndex) -> ConditionTokens:
    """The condition of each group of a screen, in the group's context, as the model reads it."""
    places = zip(index.condition.tolist(), index.context.tolist(), strict=True)
    pairs = [(screen.conditions[c], screen.contexts[x]) for c, x in places]
    conditions, contexts = zip(*pairs, strict=True)
    return model.names.tokens(conditions, model.config.max_tokens, contexts=contexts)


def make_coupling(kind: str, epsilon: float, iterations: int, threshold: float) -> AbstractCoupling:
    """The coupling that a configuration names."""
    match kind:
        case "independent":
            return IndependentCoupling()
        case "sinkhorn":
            return SinkhornCoupling(epsilon, iterations, threshold)
        case _:
            raise ValueError(f"No coupling is called {kind!r}: sinkhorn or independent.")


def matching(
    model: ScBIG,
    data: FlowData,
    config: ScBIGConfig,
    *,
    groups: Int[Array, " groups"],
    key: PRNGKeyArray,
    dropout: bool = True,
) -> tuple[Scalar, Metrics]:
    """Flow-matching loss (Eq. 6) on freshly drawn cells and controls of some groups, paired."""
    cell_key, control_key, pair_key, condition_key, loss_key = jr.split(key, 5)
    rows = data.index.draw_cells(groups, config.stage2.cells, key=cell_key)
    controls = data.index.draw_controls(groups, config.stage2.cells, key=control_key)
    if config.stage2.trainable == "all":
        assert data.expression is not None
        encode = jax.vmap(jax.vmap(model.encode))
        starts, ends = encode(data.expression[controls]), encode(data.expression[rows])
    else:
        starts, ends = data.latents[controls], data.latents[rows]
    couple = make_coupling(**dataclasses.asdict(config.coupling))
    pairing = jax.vmap(lambda a, b, k: couple(a, b, key=k))(
        jax.lax.stop_gradient(starts),
        jax.lax.stop_gradient(ends),
        jr.split(pair_key, groups.shape[0]),
    )
    ends = jnp.take_along_axis(ends, pairing.partner[:, :, None], axis=1)
    conditions = data.conditions(model, groups, key=condition_key if dropout else None)
    path = LinearPath(config.stage2.sigma)
    loss = flow_matching_loss(
        model.velocity, path, starts, ends, conditions, key=loss_key, dropout=dropout
    )
    return loss, {"flow": loss, "paired": jnp.mean(pairing.converged.astype(loss.dtype))}


def aligned(
    model: ScBIG, data: FlowData, config: ScBIGConfig, transport: Transport, *, key: PRNGKeyArray
) -> dict[str, Scalar]:
    """Alignment losses of freshly drawn conditions, through the solve and the decoder."""
    group_key, cell_key, control_key = jr.split(key, 3)
    groups = data.index.draw_groups(config.alignment.conditions, key=group_key)
    rows = data.targets.draw_cells(groups, config.alignment.cells, key=cell_key)
    controls = data.index.draw_controls(groups, config.alignment.cells, key=control_key)
    if config.stage2.trainable == "all":
        assert data.expression is not None
        starts = jax.vmap(jax.vmap(model.encode))(data.expression[controls])
    else:
        starts = data.latents[controls]
    moved = transport(model.velocity, starts, data.conditions(model, groups, key=None))
    predicted = jax.vmap(jax.vmap(model.decode))(moved.latents)
    losses = {name: loss(predicted, groups, rows) for name, loss in data.alignments.items()}
    return {**losses, "solver_steps": moved.steps.astype(jnp.float32)}


def objective(
    model: ScBIG,
    data: FlowData,
    config: ScBIGConfig,
    transport: Transport,
    step: Int[Array, ""],
    *,
    key: PRNGKeyArray,
) -> tuple[Scalar, Metrics]:
    """`L = L_FM + lambda_1 L_corr + lambda_2 L_path` (Eq. 9).

    The alignment losses enter at every `alignment.period`-th step. Where the decoder or the encoder
    trains, the reconstruction of Eq. 5 is added: without it nothing would hold them.
    """
    group_key, match_key, align_key, rebuild_key = jr.split(key, 4)
    groups = data.index.draw_groups(config.stage2.groups, key=group_key)
    loss, metrics = matching(model, data, config, groups=groups, key=match_key)
    if data.alignments:
        period = config.alignment.period
        losses = _now_and_then(
            lambda: aligned(model, data, config, transport, key=align_key), step, period
        )
        weights = {
            "correlation": config.alignment.correlation_weight,
            "pathway": config.alignment.pathway_weight,
        }
        for name in data.alignments:
            loss = loss + weights[name] * losses[name]
        # Zero between evaluations: times the period, their mean over a call is a loss's own mean.
        metrics = {**metrics, **{name: period * value for name, value in losses.items()}}
    if config.stage2.trainable != "flow":
        assert data.expression is not None
        rows = jr.randint(rebuild_key, (config.stage1.batch,), 0, data.expression.shape[0])
        rebuilt = reconstruction_loss(model, data.expression[rows])
        loss = loss + config.stage2.reconstruction_weight * rebuilt
        metrics = {**metrics, "reconstruction": rebuilt}
    return loss, {"loss": loss, **metrics}


def _now_and_then(
    evaluate: Callable[[], dict[str, Scalar]], step: Int[Array, ""], period: int
) -> dict[str, Scalar]:
    """What `evaluate` returns at every `period`-th step, and zeros, at no cost, at the others."""
    if period == 1:
        return evaluate()
    zeros = lambda: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(evaluate))
    return jax.lax.cond(step % period == 0, evaluate, zeros)


def flow_stage(
    model: ScBIG,
    data: FlowData,
    validation: AbstractValidation,
    config: ScBIGConfig,
) -> tuple[Stage, RunState, PyTree]:
    """Stage 2, compiled, with its first state, and the rest of the model."""
    params, rest = eqx.partition(model, trainable(model, *PARTS[config.stage2.trainable]))
    arrays, static = eqx.partition((rest, data, validation), eqx.is_array)
    settings = config.stage2
    optimiser = make_optimiser(settings.learning_rate, settings.clip_norm, settings.accumulate)
    transport = make_transport(**dataclasses.asdict(config.alignment.transport))
    # The average moves at every step, the parameters at every `accumulate`-th one.
    decay = None if settings.ema is None else settings.ema ** (1 / settings.accumulate)

    def step(state, arrays, _, key):
        rest, data, _ = eqx.combine(arrays, static)

        def loss(params) -> tuple[Scalar, Metrics]:
            whole = eqx.combine(params, rest)
            return objective(whole, data, config, transport, state.step, key=key)

        return update(state, loss, optimiser, ema=decay)

    @jax.jit
    def score(params, arrays):
        rest, _, validation = eqx.combine(arrays, static)
        return validation(eqx.combine(params, rest))

    def validate(params):
        return score(params, arrays)

    stage = Stage(
        name="flow",
        advance=compile_steps(step, settings.steps_per_call),
        feed=lambda _: itertools.repeat(arrays),
        validate=validate,
        calls=-(-settings.steps // settings.steps_per_call),
        steps_per_call=settings.steps_per_call,
        validate_every=settings.validate_every,
    )
    return stage, initial_state(params, optimiser, average=settings.ema is not None), rest
