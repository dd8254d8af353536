"""Stage 1: the autoencoder learns to reconstruct cells (Eq. 5)."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, ExpressionBatch, Float, Int, LatentBatch, PRNGKeyArray, Scalar
from scbig.config import AutoencoderTraining
from scbig.model import ScBIG

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


def epoch_rows(
    key: PRNGKeyArray, epoch: Int[Array, ""], *, cells: int, batch: int
) -> Int[Array, "batches {batch}"]:
    """The cells of each batch of an epoch, none of them twice: a function of its arguments."""
    batches = cells // batch
    order = jr.permutation(jr.fold_in(key, epoch), cells)
    return order[: batches * batch].reshape(batches, batch)


def autoencoder_stage(
    model: ScBIG,
    cells: ExpressionBatch,
    held_out: Float[Array, "held genes"],
    config: AutoencoderTraining,
    *,
    key: PRNGKeyArray,
) -> tuple[Stage, RunState, PyTree]:
    """Stage 1, compiled, with its first state; a call is an epoch.

    **Arguments:** `cells` and `held_out`, log-normalised expression to train and to validate on;
    `key`, orders the epochs.

    **Returns:** the stage, its state, and the rest of the model, with which `eqx.combine` makes
    the state's parameters whole.
    """
    params, rest = eqx.partition(model, trainable(model, "encoder", "decoder"))
    frozen, static = eqx.partition(rest, eqx.is_array)
    optimiser = make_optimiser(config.learning_rate, config.clip_norm)
    batch = min(config.batch, cells.shape[0])
    per_epoch = cells.shape[0] // batch

    def rows(state, data):
        order_key, epoch = data[3], state.step // per_epoch
        return epoch_rows(order_key, epoch, cells=cells.shape[0], batch=batch)

    def step(state, data, rows, step_key):
        frozen, cells, _, _ = data

        def loss(params) -> tuple[Scalar, Metrics]:
            whole = eqx.combine(params, frozen, static)
            value = reconstruction_loss(whole, cells[rows], key=step_key)
            return value, {"reconstruction": value}

        return update(state, loss, optimiser)

    @jax.jit
    def validate(params, data):
        frozen, _, held_out, _ = data
        whole = eqx.combine(params, frozen, static)
        latents = whole.encode_cells(held_out)
        return -jnp.mean((whole.decode_cells(latents) - held_out) ** 2)

    stage = Stage(
        name="autoencoder",
        advance=compile_steps(step, per_epoch, inputs=rows),
        validate=validate,
        data=(frozen, cells, held_out, key),
        calls=config.epochs,
        steps_per_call=per_epoch,
        validate_every=config.validate_every,
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
