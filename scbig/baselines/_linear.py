"""A linear map from perturbation embeddings to effects, in closed form."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from scbig._names import examples
from scbig.data import Condition, Screen
from scbig.priors import EmbeddingTable

from ._closed_form import AbstractEffects

Missing = Literal["error", "mean"]
"""What becomes of a perturbation without a vector."""


class LinearEmbedding(AbstractEffects):
    r"""Bilinear regression of effects on gene vectors and perturbation vectors.

    The effect of a condition with vector $p$ is $G W p + b$, where $b$ is the mean training effect,
    $G$ the vectors of the genes and $W = (G^T G + r I)^{-1} G^T (Y - b) P (P^T P + r I)^{-1}$ for
    the training effects $Y$ and vectors $P$ (Ahlmann-Eltze, Huber and Anders, Nature Methods 2025).
    $G$ are the genes' scores on the first principal components of the training profiles, or a
    table; $P$ another table, or the rows of $G$ of the perturbed genes. The vector of `A+B` is the
    sum of those of `A` and `B`; a dose does not count, so that `A` at two doses has one effect. The
    effect of the control is zero by definition.

    **Fields:** `table`, the vectors of perturbations, standardised or not; `offset`, `b`; `slope`,
    `G W`; `missing`, as `fit` was told.
    """

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]
    table: EmbeddingTable
    offset: Float[np.ndarray, " genes"]
    slope: Float[np.ndarray, "genes features"]
    missing: Missing = "error"

    @classmethod
    def fit(
        cls,
        screen: Screen,
        table: EmbeddingTable | None = None,
        *,
        gene_table: EmbeddingTable | None = None,
        components: int = 10,
        ridge: float = 0.1,
        standardise: bool = True,
        control: bool = False,
        missing: Missing = "error",
    ) -> "LinearEmbedding":
        """Solves the two ridge regressions.

        **Arguments:**

        - `screen`: training cells.
        - `table`: vectors of the perturbations; by default those of the genes they are named after,
            from `gene_table`, or from the principal components.
        - `gene_table`: vectors of the genes, in place of principal components; a gene that it lacks
            has the mean effect in every condition.
        - `components`: principal components of the genes, at most as many as conditions.
        - `ridge`: `r`, the same on both sides.
        - `standardise`: z-score each feature of `table` over it; a constant feature becomes zero.
            Gene vectors stay as they are, where they stand for perturbations too.
        - `control`: whether the control is a training condition, with a vector and an effect of
            zero; it counts in `b` and in the principal components.
        - `missing`: for a perturbation without a vector: `"error"`, or `"mean"`. Then training
            conditions with one are left out of the regression and of `b`, and in a prediction it
            adds nothing to `b`.

        **Raises:** a ValueError for a training perturbation without a vector, named, or, under
        `"mean"`, if no training condition has one.
        """
        if ridge <= 0 or components < 1:
            raise ValueError(
                f"ridge and components must be positive: got {ridge} and {components}."
            )
        found = screen.responses()
        conditions, deltas = found.perturbed, found.by_condition().astype(np.float64).T
        if control:
            conditions, deltas = (*conditions, Condition()), np.pad(deltas, ((0, 0), (0, 1)))
        if gene_table is None:
            profiles = deltas + found.control_mean().astype(np.float64)[:, None]
            scores = _gene_scores(profiles, components)
            genes = EmbeddingTable(screen.genes, scores.astype(np.float32))
        else:
            aligned = gene_table.align(screen.genes, missing="zero")
            scores, genes = aligned.vectors.astype(np.float64), gene_table
        if table is None:
            table = genes
        elif standardise:
            table = table.standardised()
        rows = _embedded(conditions, table, missing)
        embeddings = _embed([conditions[row] for row in rows], table, missing)
        known = deltas[:, rows]
        offset = known.mean(axis=1)
        inner = scores.T @ (known - offset[:, None]) @ embeddings
        left = np.linalg.solve(_ridged(scores, ridge), inner)
        weights = np.linalg.solve(_ridged(embeddings, ridge), left.T).T
        return cls(
            screen.genes,
            found.control_mean(),
            table,
            offset,
            slope=scores @ weights,
            missing=missing,
        )

    @classmethod
    def published(
        cls,
        screen: Screen,
        gene_table: EmbeddingTable | None = None,
        table: EmbeddingTable | None = None,
    ) -> "LinearEmbedding":
        """The linear model as its authors run it: ten components or a table, on both sides.

        The control trains too, and a perturbation without a vector has the mean effect. Their
        script knows of no combinations; here these have the sum of their vectors, in training too.

        **Arguments:**

        - `screen`: training cells.
        - `gene_table`: gene vectors in place of principal components, such as those of scGPT.
        - `table`: vectors of the perturbations, where they are not those of genes so named.

        **Raises:** a ValueError if no training condition is named after genes with a vector.
        """
        given: Any = {"gene_table": gene_table, "standardise": False}
        return cls.fit(screen, table, **given, control=True, missing="mean")

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """`G W p + b` for each perturbed condition, none for the control.

        **Raises:** a ValueError for perturbations without a vector, named, unless their effect is
        the mean.
        """
        changes = _embed(conditions, self.table, self.missing) @ self.slope.T + self.offset
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


def _embedded(
    conditions: Sequence[Condition], table: EmbeddingTable, missing: Missing
) -> list[int]:
    """The rows to train on: all of them, where lacking a vector is an error."""
    if missing == "error":
        return list(range(len(conditions)))
    known = set(table.names)
    rows = [row for row, c in enumerate(conditions) if known.issuperset(c.perturbations)]
    if all(conditions[row].is_control for row in rows):
        names = {name for c in conditions for name in c.perturbations}
        raise ValueError(
            f"No training condition can be embedded: {examples(sorted(names))} are not among the "
            f"{len(known)} names with a vector, such as {examples(table.names)}. Give a table of "
            "perturbations, or measure the perturbed genes."
        )
    return rows


def _embed(
    conditions: Sequence[Condition], table: EmbeddingTable, missing: Missing
) -> Float[np.ndarray, "conditions features"]:
    place = {name: row for row, name in enumerate(table.names)}
    absent = sorted({p for c in conditions for p in c.perturbations} - set(place))
    if absent and missing == "error":
        raise ValueError(
            f"{len(absent)} perturbations have no embedding: {examples(absent)}. Add them to the "
            'table, leave out their conditions, or fit with missing="mean" for the mean effect.'
        )
    vectors = table.vectors.astype(np.float64)
    rows = [[place[p] for p in c.perturbations if p in place] for c in conditions]
    return np.stack([vectors[own].sum(axis=0) for own in rows])
