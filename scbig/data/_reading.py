"""Everything that is read of cells and genes before any expression is: one reading, one check."""

import dataclasses
from typing import TypeVar

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Int, Int32

from scbig._names import examples
from scbig.data._checks import check_not_empty, check_unique, gene_names
from scbig.data._columns import Columns
from scbig.data._condition import Condition

_Name = TypeVar("_Name", str, Condition)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Labels:
    """The names of cells and genes, and the condition and the context of each cell.

    **Fields:** as in `Screen`.
    """

    genes: tuple[str, ...]
    cells: tuple[str, ...]
    conditions: tuple[Condition, ...]
    condition_index: Int32[np.ndarray, " cells"]
    contexts: tuple[str, ...]
    context_index: Int32[np.ndarray, " cells"]
    guides: tuple[str, ...] = ()
    guide_index: Int32[np.ndarray, " cells"] | None = None

    @classmethod
    def of(cls, adata: ad.AnnData, columns: Columns) -> "Labels":
        """Reads and checks them; expression is not looked at.

        **Raises:** a ValueError for no cells or genes, names that are there twice, columns that are
        absent or have missing values, labels that cannot be read, or no controls.
        """
        check_not_empty(adata.n_obs, adata.n_vars)
        genes = gene_names(adata, columns.gene)
        cells = tuple(map(str, adata.obs_names))
        check_unique(cells, what="cell", repair="Use adata.obs_names_make_unique.")
        conditions, condition_index = columns.conditions_of(adata)
        contexts, context_index = columns.contexts_of(adata)
        guides, guide_index = columns.guides_of(adata)
        return cls(
            genes=genes,
            cells=cells,
            conditions=conditions,
            condition_index=condition_index,
            contexts=contexts,
            context_index=context_index,
            guides=guides,
            guide_index=guide_index,
        )

    def take(self, rows: Int[np.ndarray, " rows"]) -> "Labels":
        """Those of some cells, without conditions and guides that none of them has."""
        conditions, condition_index = _used(self.conditions, self.condition_index[rows])
        guides, guide_index = self.guides, self.guide_index
        if guide_index is not None:
            guides, guide_index = _used(guides, guide_index[rows])
        return dataclasses.replace(
            self,
            cells=tuple(self.cells[i] for i in rows),
            conditions=conditions,
            condition_index=condition_index,
            context_index=self.context_index[rows],
            guides=guides,
            guide_index=guide_index,
        )

    def frame(self, condition_key: str, context_key: str) -> pd.DataFrame:
        """A table of the cells: canonical conditions, and contexts and guides if there are any.

        **Raises:** a ValueError if two of its columns would have one name.
        """
        names = [condition.name for condition in self.conditions]
        columns = [(condition_key, self.condition_index, names)]
        if self.contexts != ("",):
            columns.append((context_key, self.context_index, list(self.contexts)))
        if self.guide_index is not None:
            columns.append(("guide", self.guide_index, list(self.guides)))
        obs = {key: pd.Categorical.from_codes(codes, own) for key, codes, own in columns}
        if len(obs) < len(columns):
            keys = examples(key for key, *_ in columns)
            raise ValueError(f"The columns of obs need names of their own; got {keys}.")
        return pd.DataFrame(obs, index=pd.Index(self.cells))


def _used(
    names: tuple[_Name, ...], index: Int32[np.ndarray, " cells"]
) -> tuple[tuple[_Name, ...], Int32[np.ndarray, " cells"]]:
    """The names that some cell has, and the place of each cell's among them."""
    used, place = np.unique(index, return_inverse=True)
    return tuple(names[i] for i in used), place.astype(np.int32)
