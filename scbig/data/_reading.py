"""Everything that is read of cells and genes before any expression is: one reading, one check."""

import dataclasses

import anndata as ad
import numpy as np
from jaxtyping import Int32

from scbig.data._checks import check_not_empty, check_unique, gene_names
from scbig.data._columns import Columns
from scbig.data._condition import Condition


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
