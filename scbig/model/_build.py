"""An untrained model from a configuration, programs and pretrained embeddings."""

import dataclasses

import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, Expression, Float, PRNGKeyArray
from scbig.config import ScBIGConfig
from scbig.nn import (
    ConditionEncoder,
    GeneClusterDecoder,
    GeneClusterEncoder,
    MeanSemantics,
    ProgramPriors,
    VelocityField,
    WeightedSemantics,
)
from scbig.programs import AbstractPartition

from ._names import Names
from ._scbig import ScBIG


def make_model(
    config: ScBIGConfig,
    *,
    partition: AbstractPartition,
    embeddings: Float[Array, "genes features"],
    mean: Expression,
    tokens: Float[Array, "perturbations token_features"],
    names: Names,
    contexts: Float[Array, "contexts context_features"] | None = None,
    key: PRNGKeyArray,
) -> ScBIG:
    """An untrained model.

    **Arguments:** `embeddings`, the pretrained vector of each gene of the screen; `mean`, the
    training cells' mean expression; `tokens`, the pretrained vector of each perturbation;
    `contexts`, the vector of each context, if the model shall tell contexts apart; `names`, what
    they are all called, and how doses are read, if there are any.
    """
    encoder_key, decoder_key, condition_key, velocity_key = jr.split(key, 4)
    sizes = (partition.slots, embeddings.shape[1])
    encoder_options = dataclasses.asdict(config.autoencoder)
    decoder_options = {
        name: value
        for name, value in encoder_options.items()
        if name not in ("semantics", "pooling")
    }
    latent = config.autoencoder.latent
    return ScBIG(
        partition=partition,
        priors=program_priors(partition, embeddings, config.autoencoder.semantics),
        mean=mean,
        encoder=GeneClusterEncoder(*sizes, **encoder_options, key=encoder_key),
        decoder=GeneClusterDecoder(*sizes, **decoder_options, key=decoder_key),
        shift=jnp.zeros(latent),
        scale=jnp.ones(latent),
        tokens=tokens,
        contexts=contexts,
        condition_encoder=ConditionEncoder(
            tokens.shape[1] + names.dose_features,
            **dataclasses.asdict(config.condition),
            context=None if contexts is None else contexts.shape[1],
            key=condition_key,
        ),
        velocity=VelocityField(
            latent, config.condition.width, **dataclasses.asdict(config.velocity), key=velocity_key
        ),
        names=names,
        config=config,
    )


def program_priors(
    partition: AbstractPartition, embeddings: Float[Array, "genes features"], semantics: str
) -> ProgramPriors:
    """Centroids and embedding stream of each program (section 3.2)."""
    gather = jax.vmap(partition.gather, in_axes=1, out_axes=2)
    average = jax.vmap(partition.average, in_axes=1, out_axes=1)
    unit = lambda x: x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    streams = {
        "mean": lambda: MeanSemantics(average(embeddings)),
        "weighted": lambda: WeightedSemantics(gather(embeddings)),
        "none": lambda: None,
    }
    return ProgramPriors(unit(average(unit(embeddings))), streams[semantics]())
