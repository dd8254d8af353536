"""What the encoder attends to: how much of its reading each gene program gets (Figure 4)."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from scbig._typing import Array, ExpressionBatch, Float
from scbig.data import Screen
from scbig.model import ScBIG
from scbig.nn import GeneClusterEncoder
from scbig.service import TrainedModel

from ._resample import bounds, means_drawn, populations

BATCH = 256


def attends(model: TrainedModel) -> bool:
    """Whether the model's encoder has layers that attend to gene programs."""
    encoder: Any = model.pure.encoder
    return isinstance(encoder, GeneClusterEncoder) and len(encoder.blocks) > 0


def program_attention(
    model: TrainedModel, screen: Screen, *, layer: int | None = None
) -> Float[np.ndarray, "cells programs"]:
    """The share of the encoder's attention that each program gets in each cell; rows sum to one.

    The mean over heads and over what reads the programs' tokens (the inducing points of a layer),
    and over the layers. Attention says what is read, not what comes of it.

    **Arguments:** `screen`, cells of the model's genes in its order, measured or predicted;
    `layer`, the number of one, from 0; `None` for the mean over all.

    **Raises:** `ValueError` for other genes, for a model whose encoder has no attention, and for a
    layer that it has not.
    """
    encoder: Any = model.pure.encoder
    if not attends(model):
        raise ValueError(f"{type(encoder).__name__} has no layer that attends to gene programs.")
    if layer is not None and not 0 <= layer < len(encoder.blocks):
        raise ValueError(f"There are layers 0 to {len(encoder.blocks) - 1}; got {layer}.")
    if screen.genes != model.names.genes:
        raise ValueError("The cells do not have the model's genes, in its order.")
    chosen = slice(None) if layer is None else slice(layer, layer + 1)
    found = []
    for start in range(0, screen.num_cells, BATCH):
        rows = np.arange(start, min(start + BATCH, screen.num_cells))
        cells = np.pad(screen.dense(rows), ((0, BATCH - len(rows)), (0, 0)))
        shares = np.asarray(_shares(model.pure, jnp.asarray(cells)))[: len(rows), chosen]
        found.append(shares.mean(axis=1))
    return np.concatenate(found)


@eqx.filter_jit
def _shares(model: ScBIG, cells: ExpressionBatch) -> Float[Array, "cells layers programs"]:
    encoder: Any = model.encoder

    def of(cell: Float[Array, " genes"]) -> Float[Array, "layers programs"]:
        slots = model.partition.gather(cell - model.mean)
        return jnp.mean(encoder.attention(slots, model.facts), axis=(1, 2))

    return jax.vmap(of)(cells)


def attention_shift(
    model: TrainedModel,
    screen: Screen,
    conditions: Sequence[str] = (),
    *,
    layer: int | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How attention to each program differs from that in the controls of the context (Figure 4).

    **Arguments:** `screen`, cells with their controls; `conditions`, all by default; `layer`, as
    for `program_attention`; `draws` of cells and of controls with replacement, for the interval;
    `seed`, of the draws.

    **Returns:** a row for each context, condition and program: `attention` and that of the
    `control`, shares of one; `shift`, by how much the first is larger, as a share of the second,
    with its 95 % bootstrap interval from `low` to `high`; `cells` and `controls`.

    **Raises:** `ValueError` as `program_attention` does, and for a condition without cells.
    """
    shares, tables = program_attention(model, screen, layer=layer), []
    rng = np.random.default_rng(seed)
    for context, name, rows, controls in populations(screen, tuple(conditions)):
        own, still = shares[rows].mean(axis=0), shares[controls].mean(axis=0)
        ratio = means_drawn(shares[rows], draws, rng) / means_drawn(shares[controls], draws, rng)
        low, high = bounds(ratio - 1)
        tables.append(
            pd.DataFrame(
                {
                    "context": context, "condition": name, "program": np.arange(len(own)),
                    "attention": own, "control": still, "shift": own / still - 1,
                    "low": low, "high": high, "cells": len(rows), "controls": len(controls),
                }
            )
        )  # fmt: skip
    return pd.concat(tables, ignore_index=True)
