"""A linear map from perturbation embeddings to effects, in closed form."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from scbig._names import examples
from scbig.data import Condition, Screen
from scbig.priors import EmbeddingTable

from ._closed_form import AbstractEffects


class LinearEmbedding(AbstractEffects):
    r"""Bilinear regression of effects on gene scores and perturbation embeddings.

    The effect of a condition with embedding $p$ is $G W p + b$, where $b$ is the mean training
    effect, $G$ the gene scores on the first principal components of the training profiles, and
    $W = (G^T G + r I)^{-1} G^T (Y - b) P (P^T P + r I)^{-1}$ for the training effects $Y$ and
    embeddings $P$ (Ahlmann-Eltze, Huber and Anders, Nature Methods 2025). The embedding of `A+B` is
    the sum of those of `A` and `B`; a dose does not count, so that `A` at two doses has one effect.
    The control is not among the training conditions: its effect is zero by definition, and `b` is
    the mean of the perturbed conditions only.

    **Fields:** `table`, the embeddings, standardised or not; `offset`, `b`; `slope`, `G W`.
    """

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]
    table: EmbeddingTable
    offset: Float[np.ndarray, " genes"]
    slope: Float[np.ndarray, "genes features"]

    @classmethod
    def fit(
        cls,
        screen: Screen,
        table: EmbeddingTable,
        *,
        components: int = 10,
        ridge: float = 0.1,
        standardise: bool = True,
    ) -> "LinearEmbedding":
        """Solves the two ridge regressions.

        **Arguments:**

        - `screen`: training cells.
        - `table`: embeddings of the perturbations.
        - `components`: principal components of the genes, at most as many as conditions.
        - `ridge`: `r`, the same on both sides.
        - `standardise`: z-score each feature over the table; a constant feature becomes zero.

        **Raises:** a ValueError for a training perturbation without an embedding, named.
        """
        if ridge <= 0 or components < 1:
            raise ValueError(
                f"ridge and components must be positive: got {ridge} and {components}."
            )
        table = table.standardised() if standardise else table
        found = screen.responses()
        deltas = found.by_condition().astype(np.float64).T
        embeddings = _embed(found.perturbed, table)
        offset = deltas.mean(axis=1)
        scores = _gene_scores(deltas + found.control_mean().astype(np.float64)[:, None], components)
        inner = scores.T @ (deltas - offset[:, None]) @ embeddings
        left = np.linalg.solve(_ridged(scores, ridge), inner)
        weights = np.linalg.solve(_ridged(embeddings, ridge), left.T).T
        return cls(screen.genes, found.control_mean(), table, offset, slope=scores @ weights)

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """`G W p + b` for each perturbed condition, none for the control.

        **Raises:** a ValueError for perturbations without an embedding, named.
        """
        changes = _embed(conditions, self.table) @ self.slope.T + self.offset
        perturbed = np.array([not condition.is_control for condition in conditions])
        return np.where(perturbed[:, None], changes, 0.0).astype(np.float32)


def _ridged(x: Float[np.ndarray, "rows columns"], ridge: float) -> np.ndarray:
    return x.T @ x + ridge * np.eye(x.shape[1])


def _gene_scores(
    profiles: Float[np.ndarray, "genes conditions"], components: int
) -> Float[np.ndarray, "genes components"]:
    # Genes are the observations, so each condition is centred over the genes.
    left, scale, _ = np.linalg.svd(profiles - profiles.mean(axis=0), full_matrices=False)
    return left[:, :components] * scale[:components]


def _embed(
    conditions: Sequence[Condition], table: EmbeddingTable
) -> Float[np.ndarray, "conditions features"]:
    place = {name: row for row, name in enumerate(table.names)}
    absent = sorted({p for c in conditions for p in c.perturbations} - set(place))
    if absent:
        raise ValueError(
            f"{len(absent)} perturbations have no embedding: {examples(absent)}. Add them to the "
            "table or leave out their conditions."
        )
    vectors = table.vectors.astype(np.float64)
    return np.stack([vectors[[place[p] for p in c.perturbations]].sum(axis=0) for c in conditions])
