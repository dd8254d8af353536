"""What a training reads, brought into one order once."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Sequence
from typing import Any, Literal

import jax.random as jr
import numpy as np

from scbig._typing import PRNGKeyArray
from scbig.config import ScBIGConfig
from scbig.data import Condition, Screen
from scbig.model import Dosing, Names
from scbig.priors import (
    AlignedEmbeddings,
    AlignedGraph,
    EmbeddingTable,
    InteractionGraph,
    PathwayLibrary,
    PathwayMembership,
)

from ._targets import hold_out_cells


@dataclasses.dataclass(frozen=True, kw_only=True)
class Priors:
    """What is known before the screen, as `fit` takes it.

    **Fields:** `genes`, embeddings of the screen's genes, with `missing`, the policy for genes
    that the table lacks (`EmbeddingTable.align`); `interactions`, a graph between genes;
    `pathways`, gene sets for the pathway alignment, of which those with `min_genes` of the
    screen's genes count; `perturbations`, embeddings of what can be perturbed (genes, drugs),
    `genes` by default; `contexts`, a vector for each context of the screen, and for others that
    are to be predicted in (`one_hot_contexts` and `control_profiles` make such tables). Every
    feature of `perturbations` and of `contexts` is standardised over its table. Without `contexts`
    the model does not tell contexts apart, though controls are still drawn from the context of the
    cells that they are matched with.
    """

    genes: EmbeddingTable
    interactions: InteractionGraph
    pathways: PathwayLibrary
    perturbations: EmbeddingTable | None = None
    contexts: EmbeddingTable | None = None
    missing: Literal["error", "zero", "mean"] = "error"
    min_genes: int = 3

    def provenance(self, config: ScBIGConfig) -> dict[str, Any]:
        """What gene programs were made with: configuration, and a checksum of each prior."""
        return {
            "config": dataclasses.asdict(config.programs),
            "embeddings": self.genes.checksum,
            "interactions": self.interactions.checksum,
            "missing": self.missing,
        }


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Materials:
    """The cells and the priors of a run, aligned with the screen's genes.

    **Fields:** `kept` and `held_out`, the cells that stage 1 trains and is validated on; `learn`
    and `judge`, those of stage 2; `genes`, `graph`, `pathways`, the aligned priors;
    `perturbations` and `contexts`, the standardised tables of what can be perturbed and where,
    whose names are in `names`, with how doses are read.
    """

    config: ScBIGConfig
    names: Names
    kept: Screen
    held_out: Screen
    learn: Screen
    judge: Screen
    genes: AlignedEmbeddings
    graph: AlignedGraph
    pathways: PathwayMembership
    perturbations: EmbeddingTable
    contexts: EmbeddingTable | None

    @classmethod
    def of(
        cls,
        screen: Screen,
        priors: Priors,
        config: ScBIGConfig,
        validation: Sequence[str],
        *,
        key: PRNGKeyArray,
    ) -> "Materials":
        """Aligns and splits; raises `ValueError` for what the priors lack."""
        training = screen.without(validation)
        kept, held_out = hold_out_cells(training, config.stage1.validation, key=key)
        table = (priors.perturbations or priors.genes).standardised()
        contexts = None if priors.contexts is None else priors.contexts.standardised()
        names = Names(
            genes=screen.genes,
            perturbations=table.names,
            contexts=() if contexts is None else contexts.names,
            # Validation conditions only select: what is learned knows nothing of their doses.
            dosing=Dosing.of(training.conditions),
        )
        pairs = itertools.product(screen.conditions, screen.contexts)
        conditions, settings = zip(*pairs, strict=True)
        names.tokens(conditions, config.max_tokens, contexts=settings)  # raises what tables lack
        return cls(
            config=config,
            names=names,
            kept=kept,
            held_out=held_out,
            learn=training if validation else kept,
            judge=screen.select(validation) if validation else held_out,
            genes=priors.genes.align(screen.genes, missing=priors.missing),
            graph=priors.interactions.align(screen.genes),
            pathways=priors.pathways.align(screen.genes, min_genes=priors.min_genes),
            perturbations=table,
            contexts=contexts,
        )

    @property
    def coverage(self) -> tuple[str, ...]:
        """One line for each prior."""
        first, second = self.genes.coverage, self.graph.coverage
        return first.summary(), second.summary(), self.pathways.summary()

    @property
    def facts(self) -> tuple[Sequence[str] | np.ndarray, ...]:
        """What tells one run's priors from another's."""
        edges = self.graph.source, self.graph.target, self.graph.weight
        numbers = self.genes.vectors, *edges, self.pathways.matrix, self.perturbations.vectors
        contexts = () if self.contexts is None else (self.contexts.names, self.contexts.vectors)
        return self.perturbations.names, *numbers, *contexts


def identity_of(
    screen: Screen,
    config: ScBIGConfig,
    validation: Sequence[str],
    priors: Sequence[Sequence[str] | np.ndarray],
    key: PRNGKeyArray,
) -> str:
    """A name for exactly this run: configuration, cells, priors, validation conditions and key."""
    facts = {
        "config": config.to_dict(),
        "genes": screen.genes,
        "cells": screen.cells,
        "conditions": [c.name for c in screen.conditions],
        "contexts": screen.contexts,
        "expression": screen.checksum,
        "validation": sorted(Condition.parse(name).name for name in validation),
    }
    digest = hashlib.sha256(json.dumps(facts).encode())
    arrays = screen.condition_index, screen.context_index, *priors, jr.key_data(key)
    for array in arrays:
        values = np.asarray(array)
        digest.update(f"{values.shape} {values.dtype}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]
