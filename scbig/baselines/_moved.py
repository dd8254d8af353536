"""The flow's anchor as a predictor of its own: what a flow has to be better than."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from anndata import AnnData
from jaxtyping import Float, Int

from scbig._typing import PRNGKeyArray
from scbig.anchor import (
    AbstractAnchor,
    AbstractFittedAnchor,
    Moves,
    ResponseAnchor,
    draw,
    move,
    nonnegative,
)
from scbig.data import Columns, Condition, Screen
from scbig.priors import EmbeddingTable, PathwayLibrary

from ._emit import move_controls


class MovedControls(eqx.Module):
    """Controls at the expected mean of a condition, with its expected covariance and proportions.

    Means by empirical Bayes, states by matching, and Gaussian optimal transport, without a network:
    `scbig.anchor.ResponseAnchor`. Any condition can be asked for.

    **Fields:** `genes`, of the cells; `fitted`, what moves them.
    """

    genes: tuple[str, ...]
    fitted: AbstractFittedAnchor

    @classmethod
    def fit(
        cls,
        screen: Screen,
        anchor: AbstractAnchor = ResponseAnchor(),
        *,
        pathways: PathwayLibrary | None = None,
        vectors: EmbeddingTable | None = None,
    ) -> "MovedControls":
        """Fits the anchor to a screen.

        **Arguments:** `pathways`, gene sets, for an anchor that reads them; `vectors`, of what can
        be perturbed.

        **Raises:** a ValueError if the screen has only controls.
        """
        return cls(screen.genes, anchor.fit(screen, pathways=pathways, vectors=vectors))

    def predict(
        self,
        controls: Screen | AnnData,
        conditions: Sequence[str],
        columns: Columns = Columns(),
        *,
        key: PRNGKeyArray,
        cells: int | None = None,
    ) -> AnnData:
        """Control cells, moved, without negative expression: see `predict_cells`."""

        known: dict[tuple[str, Condition], Moves] = {}

        def prepare(wanted: Sequence[Condition], contexts: Sequence[str]) -> None:
            for context in contexts:
                moves = self.fitted.moves(wanted, [context] * len(wanted))
                known.update({(context, c): moves[n] for n, c in enumerate(wanted)})

        def chosen(
            starts: Float[np.ndarray, "cells genes"],
            centre: Float[np.ndarray, " genes"],
            condition: Condition,
            context: str,
        ) -> Int[np.ndarray, " cells"]:
            given = jnp.asarray(starts), jnp.asarray(centre, jnp.float32)
            return np.asarray(draw(known[context, condition], *given))

        def moved(
            starts: Float[np.ndarray, "cells genes"],
            centre: Float[np.ndarray, " genes"],
            condition: Condition,
            context: str,
        ) -> Float[np.ndarray, "cells genes"]:
            if condition.is_control:
                return starts
            given = jnp.asarray(starts), jnp.asarray(centre, jnp.float32)
            return np.asarray(nonnegative(move(known[context, condition], *given)))

        given = controls, conditions, columns
        options: dict[str, Any] = {"prepare": prepare, "choose": chosen}
        return move_controls(moved, self.genes, *given, key=key, cells=cells, **options)
