"""The gene programs of a run: from its priors, from its controls, or the user's own."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from scbig._typing import Array, Float, Int, PRNGKeyArray
from scbig.data import Screen
from scbig.method import ScBIGConfig
from scbig.objective import FlowData, ResponseCriterion, predicted_responses
from scbig.programs import AbstractClustering, Clustering, cluster_genes
from scbig.service import TrainedModel

from ._priors import AlignedPriors
from ._setting import make_setting


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ClusteringInput:
    """What the genes of a screen are grouped by.

    **Fields:** `features`, one row for each gene, of which a zero row is a gene without any;
    `source`, `target` and `confidence` of the interactions among them, none without a graph.
    """

    features: Float32[np.ndarray, "genes features"]
    source: Int[np.ndarray, " edges"]
    target: Int[np.ndarray, " edges"]
    confidence: Float32[np.ndarray, " edges"] | None

    @classmethod
    def of(
        cls, screen: Screen, priors: AlignedPriors, clustering: AbstractClustering
    ) -> "ClusteringInput":
        """Makes the features that the clustering compares, of the priors and the control cells."""
        vectors = None if priors.genes is None else priors.genes.vectors
        features = clustering.features_of(screen, vectors)
        graph, none = priors.graph, np.zeros(0, np.int32)
        return cls(
            features=features,
            source=none if graph is None else graph.source,
            target=none if graph is None else graph.target,
            confidence=graph.weight if graph is not None and graph.weighted else None,
        )

    def cluster(
        self,
        clustering: AbstractClustering,
        *,
        errors: Float[Array, "genes conditions"] | None = None,
        previous: Clustering | None = None,
        key: PRNGKeyArray,
    ) -> Clustering:
        """Programs from scratch, or the previous ones updated by a model's errors."""
        return cluster_genes(
            self.features,
            self.source,
            self.target,
            clustering,
            confidence=self.confidence,
            errors=errors,
            start=None if previous is None else previous.labels,
            key=key,
        )


def response_errors(
    model: TrainedModel, screen: Screen, *, key: PRNGKeyArray
) -> Float[Array, "genes conditions"]:
    """Predicted less measured mean response of the conditions of a screen (Table 6b).

    Give it only cells that the model learned from: the programs learn from these errors.
    """
    config = model.config
    setting = make_setting(model.pure, model.names, screen, config, anchor=model.anchor)
    facts = _criterion_of(config).prepare(setting, key=key)
    # Responses are of populations: no single cell's latent is read.
    latents = jnp.zeros((0, model.pure.shift.shape[0]))
    data = FlowData(setting.index, setting.tokens, latents, None, own=facts)
    predicted = eqx.filter_jit(predicted_responses)(model.pure, data)[0]
    return jnp.transpose(predicted - facts.response)


def _criterion_of(config: ScBIGConfig) -> ResponseCriterion:
    chosen = config.stage2.criterion
    return chosen if isinstance(chosen, ResponseCriterion) else ResponseCriterion()
