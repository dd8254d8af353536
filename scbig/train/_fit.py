"""From a screen and priors to a trained model."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
from jaxtyping import Bool

from scbig._typing import PRNGKeyArray
from scbig.config import ScBIGConfig
from scbig.data import Condition, PerturbationScreen
from scbig.flow import make_transport
from scbig.model import Names, ScBIG, make_model, save
from scbig.priors import EmbeddingTable, InteractionGraph, PathwayLibrary
from scbig.programs import Clustering, cluster_genes

from ._autoencoder import autoencoder_stage, standardise
from ._flow import flow_stage
from ._loop import run
from ._record import Recorder
from ._targets import flow_data, hold_out_cells, latents_of
from ._validation import FlowValidation, ResponseValidation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Priors:
    """What is known before the screen, as `fit` takes it.

    **Fields:** `genes`, embeddings of the screen's genes, with `missing`, the policy for genes
    that the table lacks (`EmbeddingTable.align`); `interactions`, a graph between genes;
    `pathways`, gene sets for the pathway alignment, of which those with `min_genes` of the
    screen's genes count; `perturbations`, embeddings of what can be perturbed, `genes` by default.
    """

    genes: EmbeddingTable
    interactions: InteractionGraph
    pathways: PathwayLibrary
    perturbations: EmbeddingTable | None = None
    missing: Literal["error", "zero", "mean"] = "error"
    min_genes: int = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    """What `fit` made.

    **Fields:** `model`; `clustering`, how its programs were reached; `history`, the metrics of
    each compiled call; `coverage`, one line for each prior.
    """

    model: ScBIG
    clustering: Clustering
    history: pd.DataFrame
    coverage: tuple[str, ...]


def fit(
    screen: PerturbationScreen,
    priors: Priors,
    config: ScBIGConfig,
    *,
    validation: Sequence[str] = (),
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
    key: PRNGKeyArray,
) -> Fit:
    """Clusters the genes, trains the autoencoder, then the flow.

    **Arguments:**

    - `screen`: training cells. Leave the test conditions out: `screen.without(test)`.
    - `validation`: conditions of the screen that only select the best parameters of the flow;
        without any, the cells held out from stage 1 do.
    - `out`: a folder for `config.json`, `metrics.jsonl`, checkpoints and the finished
        `model.scbig`. A run that was stopped goes on from its checkpoints there.
    - `progress`: whether to draw progress bars.

    **Raises:** `ValueError` naming genes or perturbations without an embedding, more programs
    than genes, pathways without a gene of the screen, or another run's folder.
    """
    program_key, model_key, split_key, stage1_key, stage2_key = jr.split(key, 5)
    training = screen.without(validation)
    kept, held_out = hold_out_cells(training, config.stage1.validation, key=split_key)
    genes = priors.genes.align(screen.genes, missing=priors.missing)
    graph = priors.interactions.align(screen.genes)
    pathways = priors.pathways.align(screen.genes, min_genes=priors.min_genes)
    table = (priors.perturbations or priors.genes).standardised()
    names = Names(genes=screen.genes, perturbations=table.names)
    names.tokens(screen.conditions, config.max_tokens)  # raises what the table lacks
    clustering = cluster_genes(
        jnp.asarray(genes.vectors),
        jnp.asarray(graph.source),
        jnp.asarray(graph.target),
        **dataclasses.asdict(config.programs),
        key=program_key,
    )
    model = make_model(
        config,
        partition=clustering.partition,
        embeddings=jnp.asarray(genes.vectors),
        mean=jnp.asarray(kept.mean()),
        tokens=jnp.asarray(table.vectors),
        names=names,
        key=model_key,
    )
    inputs = (genes.vectors, graph.source, graph.target, pathways.matrix, table.vectors)
    identity = _identity(screen, config, validation, (table.names, *inputs), key)
    recorder = Recorder(out, identity, progress=progress)
    recorder.claim(config.to_dict())
    model = fit_autoencoder(model, kept, held_out, recorder, key=stage1_key)
    learn, judge = (training, screen.select(validation)) if validation else (kept, held_out)
    if config.standardise_latents:
        model = standardise(model, latents_of(model, learn))
    model = fit_flow(model, learn, judge, pathways.matrix, recorder, key=stage2_key)
    if recorder.folder is not None:
        save(model, recorder.folder / "model.scbig")
    coverage = (genes.coverage.summary(), graph.coverage.summary(), pathways.summary())
    return Fit(model=model, clustering=clustering, history=recorder.log.table(), coverage=coverage)


def fit_autoencoder(
    model: ScBIG,
    kept: PerturbationScreen,
    held_out: PerturbationScreen,
    recorder: Recorder,
    *,
    key: PRNGKeyArray,
) -> ScBIG:
    """Stage 1 on the kept cells, validated on the held-out ones; returns the best model."""
    order_key, run_key = jr.split(key)
    stage, state, rest = autoencoder_stage(
        model,
        jnp.asarray(kept.dense()),
        jnp.asarray(held_out.dense()),
        model.config.stage1,
        key=order_key,
    )
    return eqx.combine(run(stage, state, recorder, key=run_key).best, rest)


def fit_flow(
    model: ScBIG,
    learn: PerturbationScreen,
    judge: PerturbationScreen,
    pathways: Bool[np.ndarray, "pathways genes"],
    recorder: Recorder,
    *,
    key: PRNGKeyArray,
) -> ScBIG:
    """Stage 2 on one screen, validated on another; returns the best model."""
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
    data = flow_data(model, learn, pathways)
    stage, state, rest = flow_stage(model, data, validation, config)
    return eqx.combine(run(stage, state, recorder, key=run_key).best, rest)


def _identity(
    screen: PerturbationScreen,
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
        "validation": sorted(Condition.parse(name).name for name in validation),
    }
    matrix = screen.expression
    digest = hashlib.sha256(json.dumps(facts).encode())
    arrays = (
        *(matrix.data, matrix.indices, matrix.indptr),
        *(screen.condition_index, screen.context_index),
        *priors,
        jr.key_data(key),
    )
    for array in arrays:
        values = np.asarray(array)
        digest.update(f"{values.shape} {values.dtype}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]
