"""What the columns of predicted cells are, recorded with them."""

from collections.abc import Mapping, Sequence

import anndata as ad
import numpy as np

from scbig.data._columns import Columns

RECORD = "scbig_columns"
"""The entry of `uns` with the names of the columns."""


def record_columns(adata: ad.AnnData, context_key: str | Sequence[str] | None) -> None:
    """Notes in `uns` that the conditions are in `obs["condition"]`, and where the contexts are.

    **Arguments:** `context_key`, the column of `obs` with the contexts, or several; None if there
    are none.
    """
    # An h5ad file has no None: what is not there is left out.
    context = {} if context_key is None else {"context": context_key}
    if context_key is not None and not isinstance(context_key, str):
        context = {"context": np.array([*context_key], dtype=object)}
    adata.uns[RECORD] = {"condition": "condition", **context}


def recorded_columns(adata: ad.AnnData, columns: Columns) -> Columns:
    """What the columns of an AnnData mean: as it records itself, or else `columns`.

    Recorded conditions are spelled as this library does, whatever the measured cells' separator
    and control names are. Contexts that are not recorded are those of `columns`.
    """
    record = adata.uns.get(RECORD)
    if not isinstance(record, Mapping) or "condition" not in record:
        return columns
    condition, context = str(record["condition"]), record.get("context")
    if context is not None and not isinstance(context, str):
        context = tuple(map(str, context))
    keys = () if context is None else (context,) if isinstance(context, str) else context
    # Columns may have been renamed or dropped since.
    if not {condition, *keys}.issubset(adata.obs):
        return columns
    return Columns(condition=condition, context=columns.context if context is None else context)
