"""One whole training: both stages, on given programs."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import PRNGKeyArray
from scbig.data import Screen
from scbig.flow import make_transport
from scbig.model import ScBIG, make_model
from scbig.programs import AbstractPartition

from ._autoencoder import autoencoder_stage, standardise
from ._flow import FlowData, flow_stage
from ._latents import latents_of
from ._loop import run
from ._materials import Materials
from ._record import Recorder
from ._targets import flow_data
from ._validation import FlowValidation, ResponseValidation


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingKeys:
    """One key for each random part of a training."""

    model: PRNGKeyArray
    stage1: PRNGKeyArray
    stage2: PRNGKeyArray


def train_stages(
    materials: Materials, partition: AbstractPartition, recorder: Recorder, keys: TrainingKeys
) -> ScBIG:
    """An untrained model of these programs, then stage 1, then stage 2."""
    config = materials.config
    recorder.claim(config.to_dict())
    model = make_model(
        config,
        partition=partition,
        embeddings=jnp.asarray(materials.genes.vectors),
        mean=jnp.asarray(materials.kept.mean()),
        tokens=jnp.asarray(materials.perturbations.vectors),
        names=materials.names,
        contexts=None if materials.contexts is None else jnp.asarray(materials.contexts.vectors),
        key=keys.model,
    )
    model = fit_autoencoder(model, materials.kept, materials.held_out, recorder, key=keys.stage1)
    learn = materials.learn
    latents = latents_of(model, learn, folder=recorder.folder if learn.stored else None)
    if config.standardise_latents:
        model = standardise(model, latents)
        latents = (latents - model.shift[None]) / model.scale[None]
    data = flow_data(model, learn, materials.pathways.matrix, latents)
    return fit_flow(model, data, materials.judge, recorder, key=keys.stage2)


def fit_autoencoder(
    model: ScBIG,
    kept: Screen,
    held_out: Screen,
    recorder: Recorder,
    *,
    key: PRNGKeyArray,
) -> ScBIG:
    """Stage 1 on the kept cells, validated on the held-out ones; returns the best model."""
    order_key, run_key = jr.split(key)
    stage, state, rest = autoencoder_stage(
        model, kept, held_out, model.config.stage1, key=order_key
    )
    return eqx.combine(run(stage, state, recorder, key=run_key).best, rest)


def fit_flow(
    model: ScBIG,
    data: FlowData,
    judge: Screen,
    recorder: Recorder,
    *,
    key: PRNGKeyArray,
) -> ScBIG:
    """Stage 2 on what `flow_data` made, validated on a screen; returns the best model."""
    config = model.config
    run_key, judge_key = jr.split(key)
    cells = config.stage2.validation_cells
    if config.stage2.criterion == "pearson_delta":
        transport = make_transport(**dataclasses.asdict(config.transport))
        validation = ResponseValidation.from_screen(
            judge, model, transport, cells=cells, key=judge_key
        )
    else:
        validation = FlowValidation(flow_data(model, judge), config)
    stage, state, rest = flow_stage(model, data, validation, config)
    return eqx.combine(run(stage, state, recorder, key=run_key).best, rest)
