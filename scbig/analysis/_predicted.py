"""Predicted cells and the controls that they are to be held against, as one screen."""

from collections.abc import Sequence

import anndata as ad
import numpy as np
from jaxtyping import Float32
from scipy import sparse

from scbig._names import examples
from scbig._typing import PRNGKeyArray
from scbig.data import Condition, LabelledCells, Screen, check_unique, expression_of
from scbig.model import Decoded
from scbig.service import TrainedModel


def predicted_screen(
    model: TrainedModel,
    controls: Screen,
    conditions: Sequence[str],
    *,
    cells: int | None = None,
    key: PRNGKeyArray,
) -> Screen:
    """Predicted cells beside their controls, as the tables of this room read them.

    The controls are as the model has them. Where predicted cells come out of the decoder, they do
    too (`TrainedModel.round_trip`): against measured ones, what the autoencoder loses of a cell
    would count as response. Where a flow changes measured cells, they are as measured.

    **Arguments:** `controls`, a screen, whose controls are taken, in each context all of them;
    `conditions`, `cells` and `key` as for `TrainedModel.predict`.

    **Returns:** a screen of the model's genes, with the contexts of the controls.

    **Raises:** as `TrainedModel.predict`, and as `beside_controls`.
    """
    predicted = model.predict(controls, conditions, cells=cells, key=key)
    return beside_controls(model, predicted, controls)


def beside_controls(model: TrainedModel, predicted: ad.AnnData, controls: Screen) -> Screen:
    """As `predicted_screen`, of cells that are predicted already: by `predict`, or in a file.

    **Raises:** `ValueError` for other genes than the model's, for cells that are predicted as
    `control`, and for contexts without controls.
    """
    names = tuple(map(str, predicted.obs_names))
    check_unique(names, what="cell", repair="Use adata.obs_names_make_unique.")
    made, still = LabelledCells.of(predicted, what="predicted"), controls.controls
    made = made.ordered(model.names.genes, what="predicted")
    if Condition() in made.conditions:
        raise ValueError(
            "Cells that are predicted as control would count as controls: leave control out of the "
            "conditions."
        )
    if not {*made.contexts} <= {*still.contexts}:
        known = [
            "none" if own == ("",) else examples(own) for own in (made.contexts, still.contexts)
        ]
        raise ValueError(
            f"Contexts of the predicted cells: {known[0]}; of the controls: {known[1]}. Each needs "
            "controls of its own."
        )
    conditions = tuple(sorted((Condition(), *made.conditions), key=lambda own: own.name))
    place = np.array([conditions.index(own) for own in made.conditions], np.int32)
    where = np.array([still.contexts.index(own) for own in made.contexts], np.int32)
    origin = np.full(still.num_cells, conditions.index(Condition()), np.int32)
    blocks = [sparse.csr_matrix(own) for own in (as_modelled(model, still), *made.blocks())]
    return Screen(
        expression=sparse.csr_matrix(sparse.vstack(blocks), dtype=np.float32),
        genes=model.names.genes,
        # A control's name may be that of a predicted cell.
        cells=(
            *(f"control-{name}" for name in still.cells),
            *(f"predicted-{name}" for name in names),
        ),
        conditions=conditions,
        condition_index=np.concatenate([origin, place[made.condition_index]]),
        contexts=still.contexts,
        context_index=np.concatenate([still.context_index, where[made.context_index]]),
    )


def as_modelled(model: TrainedModel, controls: Screen) -> Float32[np.ndarray, "cells genes"]:
    """Controls that predicted cells of a model can be held against, with its genes in its order.

    Through the autoencoder, if predicted cells are; genes that the model has not are left out.
    """
    cells = expression_of(controls.to_anndata(), model.names.genes, extra="ignore")
    if isinstance(model.config.emission, Decoded):
        # Negative expression is taken out by population, as of predicted cells.
        for place in range(len(controls.contexts)):
            own = controls.context_index == place
            cells[own] = model.round_trip(cells[own])
    return cells
