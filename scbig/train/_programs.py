"""The gene programs of a run: from its priors, from its controls, or the user's own."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from scbig._typing import Array, Float, PRNGKeyArray
from scbig.config import ProgramsConfig
from scbig.data import Screen
from scbig.flow import make_transport
from scbig.model import ScBIG
from scbig.priors import AlignedEmbeddings, AlignedGraph, EmbeddingTable, coexpression
from scbig.programs import Clustering, cluster_genes

from ._validation import ResponseValidation


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Grouping:
    """What the genes of a screen are grouped by.

    **Fields:** `features`, one row for each gene, of which a zero row is a gene without any;
    `graph`, the interactions among them.
    """

    features: Float32[np.ndarray, "genes features"]
    graph: AlignedGraph

    @classmethod
    def of(
        cls,
        screen: Screen,
        embeddings: AlignedEmbeddings,
        graph: AlignedGraph,
        config: ProgramsConfig,
    ) -> "Grouping":
        """Reads `config.features` of the given embeddings and of the screen's control cells."""
        if config.features == "pretrained":
            return cls(features=embeddings.vectors, graph=graph)
        controls = screen.expression[np.flatnonzero(screen.is_control)]
        table = coexpression(controls, screen.genes, components=config.components)
        if config.features == "both":
            table = EmbeddingTable(screen.genes, embeddings.vectors).joined(table)
        return cls(features=table.align(screen.genes).vectors, graph=graph)

    def cluster(
        self,
        config: ProgramsConfig,
        *,
        errors: Float[Array, "genes conditions"] | None = None,
        previous: Clustering | None = None,
        key: PRNGKeyArray,
    ) -> Clustering:
        """Programs from scratch, or the previous ones updated by a model's errors."""
        return cluster_genes(
            self.features,
            self.graph.source,
            self.graph.target,
            config,
            confidence=self.graph.weight if self.graph.weighted else None,
            errors=errors,
            start=None if previous is None else previous.labels,
            key=key,
        )


def response_errors(
    model: ScBIG, screen: Screen, *, key: PRNGKeyArray
) -> Float[Array, "genes conditions"]:
    """Predicted less measured mean response of the conditions of a screen (Table 6b).

    Give it only cells that the model learned from: the programs learn from these errors.
    """
    config = model.config
    transport = make_transport(**dataclasses.asdict(config.transport))
    cells = config.stage2.validation_cells
    measured = ResponseValidation.from_screen(screen, model, transport, cells=cells, key=key)
    predicted = _predicted(measured, model)
    return jnp.transpose(predicted - measured.response)


@eqx.filter_jit
def _predicted(measured: ResponseValidation, model: ScBIG) -> Float[Array, "groups genes"]:
    return measured.predicted(model)
