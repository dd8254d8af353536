"""From a screen to the arrays that stage 2 reads: latents, tokens, cached alignment targets."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Bool

from scbig._typing import Array, Float, LatentBatch, PRNGKeyArray
from scbig.alignment import (
    AbstractAlignment,
    CorrelationAlignment,
    PathwayAlignment,
    pathway_weights,
)
from scbig.data import Screen
from scbig.model import ScBIG
from scbig.programs import AbstractPartition

from ._flow import FlowData, group_tokens
from ._index import CellIndex
from ._latents import latents_of


def flow_data(
    model: ScBIG,
    screen: Screen,
    pathways: Bool[np.ndarray, "pathways genes"] | None = None,
    latents: LatentBatch | None = None,
) -> FlowData:
    """What stage 2 reads of a screen, on the device.

    **Arguments:** `pathways`, the membership for the pathway alignment; `None` for data that is
    only validated on, for which no alignment targets are made; `latents`, of the screen's cells
    by this model, if they are known.

    **Raises:** `ValueError` where the decoder or the encoder is to train on cells on disk.
    """
    if screen.stored and model.config.stage2.trainable != "flow":
        raise ValueError(
            "With expression on disk only the flow can train in stage 2: set "
            'stage2.trainable="flow", or read the screen into memory.'
        )
    config = model.config
    index = targets = CellIndex.from_screen(screen)
    alignments: dict[str, AbstractAlignment] = {}
    if pathways is not None and config.alignment.correlation_weight > 0:
        correlations = correlation_targets(screen, index, model.partition)
        alignments["correlation"] = CorrelationAlignment(model.partition, correlations)
    if pathways is not None and config.alignment.pathway_weight > 0:
        weights = pathway_weights(jnp.asarray(pathways))
        rows = None
        if config.alignment.pool is not None:
            targets, rows = index.pooled(config.alignment.pool)
        alignments["pathway"] = PathwayAlignment(
            weights,
            jnp.asarray(screen.project(np.asarray(weights).T, rows)),
            config.alignment.epsilon,
            config.alignment.iterations,
        )
    return FlowData(
        index=index,
        targets=targets,
        tokens=group_tokens(model, screen, index),
        latents=latents_of(model, screen) if latents is None else latents,
        expression=None if config.stage2.trainable == "flow" else jnp.asarray(screen.dense()),
        alignments=alignments,
    )


def correlation_targets(
    screen: Screen, index: CellIndex, partition: AbstractPartition
) -> Float[Array, "groups clusters clusters"]:
    """`R_p` of Eq. 7 for each group of the index, from all of its cells.

    On the host: groups differ in size, and each size would be compiled anew.
    """
    means = screen.project(np.asarray(partition.averaging(), np.float64))
    order, start, size = (np.asarray(x) for x in (index.order, index.start, index.size))
    targets = np.stack(
        [_correlation(means[order[s : s + n]]) for s, n in zip(start, size, strict=True)]
    )
    return jnp.asarray(targets, jnp.float32)


def _correlation(means: np.ndarray) -> np.ndarray:
    """`alignment.cluster_correlation` of program means: zero where a program is constant."""
    centred = means - means.mean(axis=0)
    scale = np.sqrt((centred**2).mean(axis=0))
    varies = scale > 1e-5 * np.sqrt((means**2).mean(axis=0))
    standard = centred * np.where(varies, 1 / np.where(varies, scale, 1.0), 0.0)
    return standard.T @ standard / len(means)


def hold_out_cells(screen: Screen, share: float, *, key: PRNGKeyArray) -> tuple[Screen, Screen]:
    """Splits the cells of every condition in every context, at random, by the same share.

    **Returns:** the kept and the held-out screen. Each gets at least one cell of every condition.

    **Raises:** `ValueError` naming the conditions that have a single cell in some context.
    """
    group = screen.condition_index.astype(np.int64) * len(screen.contexts) + screen.context_index
    noise = np.asarray(jr.uniform(key, (screen.num_cells,)))
    order = np.lexsort((noise, group))
    _, start, size = np.unique(group[order], return_index=True, return_counts=True)
    single = [screen.conditions[screen.condition_index[order[s]]].name for s in start[size < 2]]
    if single:
        raise ValueError(
            f"{len(single)} conditions have a single cell, which cannot be both trained and "
            f"validated on: {', '.join(single[:5])}. Drop them with `screen.without`."
        )
    held = np.clip(np.round(share * size).astype(int), 1, size - 1)
    rank = np.arange(screen.num_cells) - np.repeat(start, size)
    is_held = np.zeros(screen.num_cells, bool)
    is_held[order] = rank < np.repeat(held, size)
    return screen.take(np.flatnonzero(~is_held)), screen.take(np.flatnonzero(is_held))
