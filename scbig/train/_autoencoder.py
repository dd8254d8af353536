"""Stage 1: the autoencoder learns to reconstruct cells (Eq. 5)."""

import equinox as eqx
import jax
import jax.numpy as jnp

from scbig._typing import Array, ExpressionBatch, Int, LatentBatch, PRNGKeyArray, Scalar
from scbig.data import Screen
from scbig.method import AutoencoderTraining
from scbig.model import ScBIG
from scbig.nn import InClosedForm
from scbig.objective import AbstractOptimiser, Metrics, reconstruction_loss
from scbig.sampling import Order

from ._feed import chunks, make_feed
from ._loop import Stage
from ._state import (
    Part,
    PyTree,
    RunState,
    TrainState,
    compile_steps,
    initial_state,
    trainable,
    update,
)


def autoencoder_stage(
    model: ScBIG,
    cells: Screen,
    held_out: Screen,
    config: AutoencoderTraining,
    *,
    key: PRNGKeyArray,
) -> tuple[Stage, RunState, PyTree]:
    """Stage 1, compiled, with its first state; a call is an epoch, or a buffer's part of one.

    Parts in closed form stay as they are: `with_components` fits them.

    **Arguments:** `cells` and `held_out`, screens to train and to validate on, in memory or on
    disk; `key`, orders the epochs.

    **Returns:** the stage, its state, and the rest of the model, with which `eqx.combine` makes
    the state's parameters whole.
    """
    params, rest = eqx.partition(model, trainable(model, *learned_parts(model)))
    order = Order.of(cells.num_cells, config.batch, config.buffer, config.block, key=key)
    feed = make_feed(cells, order)
    size = config.buffer or held_out.num_cells
    resident = None if held_out.stored else list(chunks(held_out, size))

    def validate(params):
        parts = chunks(held_out, size) if resident is None else resident
        errors = [_error(params, rest, part) * part.shape[0] for part in parts]
        return -jnp.sum(jnp.stack(errors)) / held_out.num_cells, {}

    stage = Stage(
        name="autoencoder",
        advance=compile_steps(_Reconstruct(config.optimiser), order.steps, inputs=_rows),
        feed=lambda start: ((rest, fed) for fed in feed(start)),
        validate=validate,
        calls=config.epochs * order.calls_per_epoch,
        steps_per_call=order.steps,
        validate_every=config.validate_every * order.calls_per_epoch,
        patience=config.patience,
    )
    return stage, initial_state(params, config.optimiser.build()), rest


def learned_parts(model: ScBIG) -> tuple[str, ...]:
    """What stage 1 trains: encoder and decoder, but for what is fitted in closed form."""
    closed = lambda name: isinstance(getattr(model, name), InClosedForm)
    return tuple(name for name in ("encoder", "decoder") if not closed(name))


class _Reconstruct(eqx.Module):
    """A step of stage 1, whose data are the rest of the model, and cells."""

    optimiser: AbstractOptimiser

    def __call__(
        self, state: TrainState, data: PyTree, rows: Int[Array, " batch"], key: PRNGKeyArray
    ) -> tuple[TrainState, Metrics]:
        rest, (cells, _) = data

        def loss(params) -> tuple[Scalar, Metrics]:
            value = reconstruction_loss(eqx.combine(params, rest), cells[rows], key=key)
            return value, {"reconstruction": value}

        return update(state, [Part("reconstruction", 1.0, loss)], self.optimiser.build())


def _rows(state: TrainState, data: PyTree) -> Int[Array, "steps batch"]:
    """The rows of each step's batch."""
    return data[1][1]


@eqx.filter_jit
def _error(params: PyTree, rest: PyTree, held: ExpressionBatch) -> Scalar:
    """Mean squared error of reconstructed cells, without dropout."""
    model = eqx.combine(params, rest)
    there_and_back = lambda cell: model.decode(model.encode(cell))
    found = jax.lax.map(there_and_back, held, batch_size=min(256, held.shape[0]))
    return jnp.mean((found - held) ** 2)


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
