"""Stage 1: the autoencoder learns to reconstruct cells (Eq. 5)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import ExpressionBatch, LatentBatch, PRNGKeyArray, Scalar
from scbig.config import AutoencoderTraining
from scbig.data import Screen
from scbig.model import ScBIG

from ._feed import Order, chunks, make_feed
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


def reconstruction_loss(
    model: ScBIG, expression: ExpressionBatch, *, key: PRNGKeyArray | None = None
) -> Scalar:
    """Mean squared error of reconstructed cells, over cells and genes (Eq. 5)."""
    if key is None:
        rebuilt = jax.vmap(lambda x: model.decode(model.encode(x)))(expression)
    else:
        keys = jr.split(key, (expression.shape[0], 2))
        round_trip = lambda x, k: model.decode(model.encode(x, key=k[0]), key=k[1])
        rebuilt = jax.vmap(round_trip)(expression, keys)
    return jnp.mean((rebuilt - expression) ** 2)


def autoencoder_stage(
    model: ScBIG,
    cells: Screen,
    held_out: Screen,
    config: AutoencoderTraining,
    *,
    key: PRNGKeyArray,
) -> tuple[Stage, RunState, PyTree]:
    """Stage 1, compiled, with its first state; a call is an epoch, or a buffer's part of one.

    **Arguments:** `cells` and `held_out`, screens to train and to validate on, in memory or on
    disk; `key`, orders the epochs.

    **Returns:** the stage, its state, and the rest of the model, with which `eqx.combine` makes
    the state's parameters whole.

    **Raises:** `ValueError` for cells on disk without `config.buffer`.
    """
    if cells.stored and config.buffer is None:
        raise ValueError(
            "The screen's expression is on disk: say how many cells may be in memory at once, for "
            "instance stage1.buffer=16384 (and stage1.block=256, cells that are read together)."
        )
    params, rest = eqx.partition(model, trainable(model, "encoder", "decoder"))
    frozen, static = eqx.partition(rest, eqx.is_array)
    optimiser = make_optimiser(config.learning_rate, config.clip_norm)
    order = Order.of(cells.num_cells, config.batch, config.buffer, config.block, key=key)
    feed = make_feed(cells, order)

    def step(state, data, rows, step_key):
        frozen, (cells, _) = data

        def loss(params) -> tuple[Scalar, Metrics]:
            whole = eqx.combine(params, frozen, static)
            value = reconstruction_loss(whole, cells[rows], key=step_key)
            return value, {"reconstruction": value}

        return update(state, loss, optimiser)

    @jax.jit
    def error(params, frozen, held):
        whole = eqx.combine(params, frozen, static)
        return jnp.mean((whole.decode_cells(whole.encode_cells(held)) - held) ** 2)

    size = config.buffer or held_out.num_cells
    resident = None if held_out.stored else list(chunks(held_out, size))

    def validate(params):
        parts = chunks(held_out, size) if resident is None else resident
        errors = [error(params, frozen, part) * part.shape[0] for part in parts]
        return -jnp.sum(jnp.stack(errors)) / held_out.num_cells

    stage = Stage(
        name="autoencoder",
        advance=compile_steps(step, order.steps, inputs=lambda _, data: data[1][1]),
        feed=lambda start: ((frozen, fed) for fed in feed(start)),
        validate=validate,
        calls=config.epochs * order.calls_per_epoch,
        steps_per_call=order.steps,
        validate_every=config.validate_every * order.calls_per_epoch,
        patience=config.patience,
    )
    return stage, initial_state(params, optimiser), rest


def standardise(model: ScBIG, latents: LatentBatch) -> ScBIG:
    """The model with latents shifted and scaled to mean 0 and variance 1 over these cells.

    **Arguments:** `latents`, of training cells, by this model, whose own shift and scale are
    undone first.
    """
    raw = jax.vmap(lambda z: z * model.scale + model.shift)(latents)
    spread = jnp.std(raw, axis=0)
    # A latent that never varies is left as it is.
    scale = jnp.where(spread > 1e-6, spread, 1.0)
    return eqx.tree_at(lambda m: (m.shift, m.scale), model, (jnp.mean(raw, axis=0), scale))
