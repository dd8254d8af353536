"""An untrained model from specs, programs and tables of vectors."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from scbig._typing import Array, Bool, Expression, Float, PRNGKeyArray
from scbig._value import Value, whole
from scbig.nn import (
    AbstractConditionSpec,
    AbstractDecoderSpec,
    AbstractEncoderSpec,
    AbstractVelocitySpec,
    ConditionEncoderSpec,
    GeneClusterDecoderSpec,
    GeneClusterEncoderSpec,
    ProgramFacts,
    Sizes,
    VelocityFieldSpec,
)
from scbig.programs import AbstractPartition

from ._identities import Identities
from ._scbig import ScBIG


class Networks(Value):
    """The four networks of a model, by their specs.

    **Fields:** `identity`, entries of the vector that is learned of each perturbation, and of that
    of it in combination; 0 for none.
    """

    encoder: AbstractEncoderSpec = GeneClusterEncoderSpec()
    decoder: AbstractDecoderSpec = GeneClusterDecoderSpec()
    condition: AbstractConditionSpec = ConditionEncoderSpec()
    velocity: AbstractVelocitySpec = VelocityFieldSpec()
    identity: int = whole(0, least=0)


def make_model(
    networks: Networks,
    *,
    partition: AbstractPartition,
    embeddings: Float[Array, "genes features"] | None,
    mean: Expression,
    tokens: Float[Array, "perturbations token_features"],
    dose_features: int = 0,
    contexts: Float[Array, "contexts context_features"] | None = None,
    known: Bool[np.ndarray, " perturbations"] | None = None,
    key: PRNGKeyArray,
) -> ScBIG:
    """An untrained model.

    **Arguments:** `embeddings`, the pretrained vector of each gene of the screen, if there are
    any, and zeros for a gene without one: the encoder prepares what `standardised_embeddings` makes
    of them, and centroids are of the vectors as given; `mean`, the training cells' mean expression;
    `tokens`, the pretrained vector of each perturbation; `dose_features`, entries that a dose adds
    to it; `contexts`, the vector of each context, if the model shall tell contexts apart; `known`,
    the perturbations of the training, of which vectors can be learned, by default all.

    **Raises:** `ValueError` if a network reads embeddings and there are none.
    """
    encoder_key, decoder_key, *flow_keys = jr.split(key, 4)
    width = None if embeddings is None else embeddings.shape[1]
    sizes = _sizes(networks, partition, width, tokens, dose_features, contexts)
    standard = None if embeddings is None else standardised_embeddings(embeddings)
    return ScBIG(
        partition=partition,
        facts=ProgramFacts(
            centroids=None if embeddings is None else program_centroids(partition, embeddings),
            own=networks.encoder.prepare(partition, standard),
        ),
        mean=mean,
        encoder=networks.encoder.build(sizes, key=encoder_key),
        decoder=networks.decoder.build(sizes, key=decoder_key),
        **_flow(networks, sizes, tokens, contexts, known, flow_keys),
    )


def with_new_flow(
    model: ScBIG,
    networks: Networks,
    *,
    tokens: Float[Array, "perturbations token_features"],
    dose_features: int = 0,
    contexts: Float[Array, "contexts context_features"] | None = None,
    known: Bool[np.ndarray, " perturbations"] | None = None,
    key: PRNGKeyArray,
) -> ScBIG:
    """A model's programs and autoencoder, with an untrained flow between its raw latents.

    **Arguments:** as for `make_model`, which makes the same condition encoder and velocity field
    with this key; of `networks` the encoder and the decoder must be the model's.
    """
    _, _, *flow_keys = jr.split(key, 4)
    centroids = model.facts.centroids
    width = None if centroids is None else centroids.shape[1]
    sizes = _sizes(networks, model.partition, width, tokens, dose_features, contexts)
    return dataclasses.replace(model, **_flow(networks, sizes, tokens, contexts, known, flow_keys))


def _flow(
    networks: Networks,
    sizes: Sizes,
    tokens: Float[Array, "perturbations token_features"],
    contexts: Float[Array, "contexts context_features"] | None,
    known: Bool[np.ndarray, " perturbations"] | None,
    keys: Sequence[PRNGKeyArray],
) -> dict[str, Any]:
    """The fields of a model that its flow reads and has, untrained."""
    condition_key, velocity_key = keys
    known = np.ones(tokens.shape[0], bool) if known is None else known
    return {
        "shift": jnp.zeros(sizes.latent),
        "scale": jnp.ones(sizes.latent),
        "tokens": tokens,
        "contexts": contexts,
        "condition_encoder": networks.condition.build(sizes, key=condition_key),
        "velocity": networks.velocity.build(sizes, key=velocity_key),
        "identities": Identities.of(known, networks.identity) if networks.identity else None,
    }


def _sizes(
    networks: Networks,
    partition: AbstractPartition,
    embedding: int | None,
    tokens: Float[Array, "perturbations token_features"],
    dose_features: int,
    contexts: Float[Array, "contexts context_features"] | None,
) -> Sizes:
    return Sizes(
        programs=partition.clusters,
        slots=partition.slots,
        embedding=embedding,
        token=tokens.shape[1] + dose_features + 2 * networks.identity,
        context=None if contexts is None else contexts.shape[1],
        latent=networks.encoder.latent,
        condition=networks.condition.width,
    )


def program_centroids(
    partition: AbstractPartition, embeddings: Float[Array, "genes features"]
) -> Float[Array, "clusters features"]:
    """`p_k`: the normalised mean of the unit embeddings of each program's genes (section 3.2)."""
    unit = lambda x: x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return unit(jax.vmap(partition.average, in_axes=1, out_axes=1)(unit(embeddings)))


def standardised_embeddings(
    embeddings: Float[Array, "genes features"],
) -> Float[Array, "genes features"]:
    """Each feature shifted and scaled to mean 0 and variance 1 over the genes with an embedding.

    A gene without one, whose row is zero, does not count and stays zero; a feature that is
    constant up to the rounding of float32 becomes 0. In Eq. 2 embeddings are added to expression:
    as given, their unit would decide how much of the cell is left.
    """
    known = jnp.any(embeddings != 0, axis=1, keepdims=True)
    count = jnp.maximum(jnp.sum(known), 1).astype(embeddings.dtype)
    mean = lambda x: jnp.sum(x, axis=0, keepdims=True) / count  # the others are zero throughout
    highest = lambda x: jnp.max(jnp.abs(x), axis=0, keepdims=True)
    centred = embeddings
    # Twice: the second mean is what rounding left of the first, where features are far from 0.
    for _ in range(2):
        centred = jnp.where(known, centred - mean(centred), 0)
    # Entries of at most 1, so that squares neither overflow nor vanish. It is divided out again:
    # no gradient passes.
    unit = jax.lax.stop_gradient(highest(centred))
    scaled = centred / jnp.where(unit > 0, unit, 1)
    variance = mean(scaled**2)
    # As in `EmbeddingTable.standardised`: rounding would be blown up to a variance of 1.
    varies = unit * jnp.sqrt(variance) > 1e-6 * highest(embeddings)
    return jnp.where(varies, scaled / jnp.sqrt(jnp.where(varies, variance, 1)), 0)
