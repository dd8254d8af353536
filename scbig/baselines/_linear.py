"""A linear map from perturbation embeddings to effects, in closed form."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from jaxtyping import Float, PRNGKeyArray

from scbig.data import Condition, Screen

from ._effects import mean_effects
from ._emit import predict_cells, shortlist


@dataclass(frozen=True, eq=False)
class LinearEmbedding:
    r"""Bilinear regression of effects on gene scores and perturbation embeddings.

    The effect of a condition with embedding $p$ is $G W p + b$, where $b$ is the mean training
    effect, $G$ the gene scores on the first principal components of the training profiles, and
    $W = (G^T G + r I)^{-1} G^T (Y - b) P (P^T P + r I)^{-1}$ for the training effects $Y$ and
    embeddings $P$ (Ahlmann-Eltze, Huber and Anders, Nature Methods 2025). The embedding of `A+B` is
    the sum of those of `A` and `B`; a dose does not count, so that `A` at two doses has one effect.
    The control is not among the training conditions: its effect
    is zero by definition, and `b` is the mean of the perturbed conditions only.
    """

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]
    names: tuple[str, ...]
    vectors: Float[np.ndarray, "names features"]
    offset: Float[np.ndarray, " genes"]
    slope: Float[np.ndarray, "genes features"]

    @classmethod
    def fit(
        cls,
        screen: Screen,
        names: Sequence[str],
        vectors: Float[np.ndarray, "names features"],
        *,
        components: int = 10,
        ridge: float = 0.1,
        standardise: bool = True,
    ) -> "LinearEmbedding":
        """Solves the two ridge regressions.

        **Arguments:**

        - `screen`: training cells.
        - `names`: perturbations that have an embedding, no name twice.
        - `vectors`: their embeddings.
        - `components`: principal components of the genes, at most as many as conditions.
        - `ridge`: `r`, the same on both sides.
        - `standardise`: z-score each feature over the table; a constant feature becomes zero.

        **Raises:** a ValueError for a training perturbation without an embedding, named.
        """
        if len(set(names)) < len(names):
            raise ValueError("A name occurs twice in the embedding table.")
        if ridge <= 0 or components < 1:
            raise ValueError(
                f"ridge and components must be positive: got {ridge} and {components}."
            )
        table = np.asarray(vectors, np.float64)
        if not np.isfinite(table).all():
            raise ValueError("The embeddings have NaN or infinite entries.")
        if standardise:
            table = _standardise(table)
        names = tuple(names)
        effects = mean_effects(screen)
        embeddings = _embed(effects.conditions, names, table)
        deltas = effects.deltas.astype(np.float64).T
        offset = deltas.mean(axis=1)
        scores = _gene_scores(deltas + effects.control_mean.astype(np.float64)[:, None], components)
        inner = scores.T @ (deltas - offset[:, None]) @ embeddings
        left = np.linalg.solve(_ridged(scores, ridge), inner)
        weights = np.linalg.solve(_ridged(embeddings, ridge), left.T).T
        return cls(screen.genes, effects.control_mean, names, table, offset, slope=scores @ weights)

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """`G W p + b` for each perturbed condition, none for the control.

        **Raises:** a ValueError for perturbations without an embedding, named.
        """
        changes = _embed(conditions, self.names, self.vectors) @ self.slope.T + self.offset
        perturbed = np.array([not condition.is_control for condition in conditions])
        return np.where(perturbed[:, None], changes, 0.0).astype(np.float32)

    def mean(self, condition: Condition) -> Float[np.ndarray, " genes"]:
        """Predicted mean profile in the training controls; may be negative."""
        return self.control_mean + self.effects([condition])[0]

    def predict(
        self,
        controls: AnnData,
        conditions: Sequence[str],
        *,
        key: PRNGKeyArray,
        cells: int | None = None,
        context_key: str | Sequence[str] | None = None,
    ) -> AnnData:
        """Control cells moved to their mean plus the linear effect; see `predict_cells`."""
        return predict_cells(
            self.effects,
            self.genes,
            controls,
            conditions,
            key=key,
            cells=cells,
            context_key=context_key,
        )


def _standardise(table: Float[np.ndarray, "names features"]) -> Float[np.ndarray, "names features"]:
    centred = table - table.mean(axis=0)
    spread = table.std(axis=0)
    # Rounding leaves a constant feature with a tiny spread, which must not be blown up to one.
    varies = spread > 1e-9 * np.abs(table).max(axis=0)
    return np.divide(centred, spread, out=np.zeros_like(centred), where=varies)


def _ridged(x: Float[np.ndarray, "rows columns"], ridge: float) -> np.ndarray:
    return x.T @ x + ridge * np.eye(x.shape[1])


def _gene_scores(
    profiles: Float[np.ndarray, "genes conditions"], components: int
) -> Float[np.ndarray, "genes components"]:
    # Genes are the observations, so each condition is centred over the genes.
    left, scale, _ = np.linalg.svd(profiles - profiles.mean(axis=0), full_matrices=False)
    return left[:, :components] * scale[:components]


def _embed(
    conditions: Sequence[Condition],
    names: tuple[str, ...],
    vectors: Float[np.ndarray, "names features"],
) -> Float[np.ndarray, "conditions features"]:
    place = {name: row for row, name in enumerate(names)}
    wanted = sorted({p for condition in conditions for p in condition.perturbations})
    absent = [p for p in wanted if p not in place]
    if absent:
        raise ValueError(
            f"Perturbations without an embedding: {shortlist(absent)}. "
            "Add them to the table or leave out their conditions."
        )
    return np.stack(
        [
            vectors[[place[p] for p in condition.perturbations]].sum(axis=0)
            for condition in conditions
        ]
    )
