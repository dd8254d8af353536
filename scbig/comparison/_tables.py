"""Rows that a user's table of gene embeddings makes, as the paper makes those of gene models."""

import dataclasses
from typing import Any, ClassVar

from scbig._typing import PRNGKeyArray
from scbig.baselines import AbstractRecipe, LinearEmbedding, Predictor, known_cells
from scbig.data import Screen
from scbig.priors import EmbeddingTable, InteractionGraph
from scbig.rivals import GEARS
from scbig.splits import Split
from scbig.train import Priors


class LinearOn(AbstractRecipe):
    """The published linear model on a table of genes.

    **Fields:** `table`, vectors of genes, measured and perturbed.
    """

    table: EmbeddingTable
    draws: ClassVar[bool] = False

    def told(self) -> str:
        """Its name, and the checksum of the table."""
        return f"LinearOn {self.table.checksum}"

    def fit(
        self,
        screen: Screen,
        split: Split,
        priors: Priors,
        *,
        progress: bool = True,
        key: PRNGKeyArray,
    ) -> Predictor:
        """Fits to the training and validation cells."""
        return LinearEmbedding.published(known_cells(screen, split), self.table)


class WithPriors(AbstractRecipe):
    """Another recipe, which finds other tables among the priors.

    **Fields:** `recipe`; `genes`, `perturbations` and `interactions`, the tables in place of the
    given ones, `None` for those that are given.
    """

    recipe: AbstractRecipe
    genes: EmbeddingTable | None = None
    perturbations: EmbeddingTable | None = None
    interactions: InteractionGraph | None = None

    def told(self) -> str:
        """The recipe, and the checksums of the tables."""
        tables = (self.genes, self.perturbations, self.interactions)
        sums = [None if table is None else table.checksum for table in tables]
        return f"{self.recipe.told()} {sums}"

    def fit(
        self,
        screen: Screen,
        split: Split,
        priors: Priors,
        *,
        progress: bool = True,
        key: PRNGKeyArray,
    ) -> Predictor:
        """Fits the recipe."""
        names = ("genes", "perturbations", "interactions")
        other = {name: getattr(self, name) for name in names}
        given: Any = {name: table for name, table in other.items() if table is not None}
        known = dataclasses.replace(priors, **given)
        return self.recipe.fit(screen, split, known, progress=progress, key=key)


def with_table(name: str, table: EmbeddingTable) -> dict[str, AbstractRecipe]:
    """The rows of a table of gene embeddings: the linear model on it, and GEARS on it, frozen.

    With the tables of scGPT, scFoundation, GeneCompass and CellFM they are the paper's rows
    Linear-scGPT, scFoundation, GeneCompass and CellFM.

    **Arguments:** `name`, of the model that made the table.
    """
    return {
        f"Linear + {name}": LinearOn(table),
        f"GEARS + {name}": WithPriors(GEARS(gene_embedding=name), genes=table),
    }
