"""Cells with their labels read, of a screen or of an AnnData: the one converter."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Bool, Int, Int32
from scipy import sparse

from scbig._names import examples
from scbig.data._checks import gene_names
from scbig.data._columns import Columns
from scbig.data._condition import Condition
from scbig.data._controls import CONTROL, Controls
from scbig.data._matrix import expression_matrix, in_memory
from scbig.data._record import recorded_columns
from scbig.data._scale import check_log_base, check_log_normalised, check_predicted
from scbig.data._screen import Screen
from scbig.data._stored import BLOCK, StoredMatrix

if TYPE_CHECKING:  # scipy ships no types, and those that pyright infers are wrong
    Matrix = Any
else:
    Matrix = np.ndarray | sparse.csr_matrix


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class LabelledCells:
    """Expression of cells, with the condition and the context of each.

    Unlike a screen they need no controls: predicted cells, or one half of the measured ones. Their
    expression is log-normalised, of predicted cells perhaps a little below zero. What is on disk
    stays there, and is read by population.

    **Fields:** `expression`, of all cells, with genes as they are stored; `order`, the stored
    column of each of `genes`; the others as in `Screen`.
    """

    expression: Any
    order: Int[np.ndarray, " genes"]
    genes: tuple[str, ...]
    conditions: tuple[Condition, ...]
    condition_index: Int32[np.ndarray, " cells"]
    contexts: tuple[str, ...]
    context_index: Int32[np.ndarray, " cells"]

    @classmethod
    def of(
        cls, cells: Screen | ad.AnnData, columns: Columns = Columns(), *, what: str
    ) -> "LabelledCells":
        """Reads labels and checks the scale of expression, unless they are a screen's.

        **Arguments:** `columns`, what the columns of an AnnData's `obs` mean, unless it records
        that itself, as predictions do; `what`, which cells these are, for messages: `"predicted"`.

        **Raises:** a ValueError that names a column that is absent or incomplete, labels that
        cannot be read, repeated genes, the conditions with NaN or infinite expression, or
        another scale than log1p.
        """
        if isinstance(cells, Screen):
            return cls._of_screen(cells)
        columns = recorded_columns(cells, columns)
        with_labels = lambda: columns.conditions_of(cells, controls_needed=False)
        result = cls._of_anndata(cells, columns, with_labels, what)
        _check_values(result, cells, what, predicted=what.startswith("predicted"))
        return result

    @classmethod
    def of_predicted(
        cls, cells: Screen | ad.AnnData, observed: "LabelledCells", columns: Columns = Columns()
    ) -> "LabelledCells":
        """Predicted cells beside observed ones: as `of`.

        Contexts that an AnnData records itself count only where the observed cells have contexts.

        **Raises:** a ValueError as `of`.
        """
        found = cls.of(cells, columns, what="predicted")
        if isinstance(cells, Screen) or columns.context is not None or observed.contexts != ("",):
            return found
        return dataclasses.replace(
            found, contexts=("",), context_index=np.zeros_like(found.context_index)
        )

    @classmethod
    def of_controls(
        cls, cells: Screen | ad.AnnData, columns: Columns = Columns(), *, what: str = "control"
    ) -> "LabelledCells":
        """The controls of a screen or of an AnnData: see `control_cells`.

        **Arguments:** `columns`, what the columns of an AnnData's `obs` mean; `what` as for `of`.

        **Raises:** a ValueError as `of`, and if there is no cell.
        """
        if isinstance(cells, Screen):
            return cls._of_screen(cells.controls)
        return cls.of_unlabelled(control_cells(cells, columns)[0], columns, what=what)

    @classmethod
    def of_unlabelled(
        cls, cells: ad.AnnData, columns: Columns = Columns(), *, what: str
    ) -> "LabelledCells":
        """All cells of an AnnData, as controls, whatever their labels.

        **Arguments:** `columns`, of which only the context counts; `what` as for `of`.

        **Raises:** a ValueError as `of`, and if there is no cell.
        """
        if cells.n_obs == 0:
            raise ValueError(f"There are no {what} cells: the AnnData is empty.")
        unlabelled = lambda: ((Condition(),), np.zeros(cells.n_obs, np.int32))
        result = cls._of_anndata(cells, columns, unlabelled, what)
        _check_values(result, cells, what, predicted=False)
        return result

    @classmethod
    def _of_screen(cls, screen: Screen) -> "LabelledCells":
        return cls(
            expression=screen.expression,
            order=np.arange(screen.num_genes),
            genes=screen.genes,
            conditions=screen.conditions,
            condition_index=screen.condition_index,
            contexts=screen.contexts,
            context_index=screen.context_index,
        )

    @classmethod
    def _of_anndata(
        cls, adata: ad.AnnData, columns: Columns, conditions_of: Any, what: str
    ) -> "LabelledCells":
        try:
            genes = gene_names(adata, columns.gene)
            conditions, condition_index = conditions_of()
            contexts, context_index = columns.contexts_of(adata)
            values = in_memory(expression_matrix(adata, layer=None))
        except ValueError as error:
            raise ValueError(f"In the {what} cells: {error}") from None
        if not np.issubdtype(values.dtype, np.floating):
            values = values.astype(np.float64)
        return cls(
            expression=values,
            order=np.arange(len(genes)),
            genes=genes,
            conditions=conditions,
            condition_index=condition_index,
            contexts=contexts,
            context_index=context_index,
        )

    @property
    def num_cells(self) -> int:
        """The number of cells."""
        return len(self.condition_index)

    def ordered(self, genes: Sequence[str], *, what: str) -> "LabelledCells":
        """The same cells with the genes in another order.

        **Raises:** a ValueError that names the genes that are lacking or surplus.
        """
        place = {name: i for i, name in enumerate(self.genes)}
        lacking = [name for name in genes if name not in place]
        extra = sorted(set(place).difference(genes))
        if lacking or extra:
            raise ValueError(
                f"The {what} cells do not have the genes of the observed cells: they lack "
                f"{len(lacking)} ({examples(lacking)}) and have {len(extra)} others "
                f"({examples(extra)}). Subset both to their common genes first."
            )
        order = self.order[[place[name] for name in genes]]
        return dataclasses.replace(self, genes=tuple(genes), order=order)

    def take(self, rows: Int[np.ndarray, " rows"]) -> "LabelledCells":
        """The cells of these rows, all conditions and contexts still in their lists."""
        matrix = self.expression
        return dataclasses.replace(
            self,
            expression=matrix.take(rows) if isinstance(matrix, StoredMatrix) else matrix[rows],
            condition_index=self.condition_index[rows],
            context_index=self.context_index[rows],
        )

    @functools.cached_property
    def populations(self) -> dict[str, dict[str, Int[np.ndarray, " _cells"]]]:
        """The rows of each condition that has cells, in each context that has any, by names."""
        found: dict[str, dict[str, np.ndarray]] = {}
        pairs = self.context_index.astype(np.int64) * len(self.conditions) + self.condition_index
        order = np.argsort(pairs, kind="stable")
        used, start = np.unique(pairs[order], return_index=True)
        for pair, rows in zip(used.tolist(), np.split(order, start[1:]), strict=False):
            context, condition = divmod(pair, len(self.conditions))
            own = found.setdefault(self.contexts[context], {})
            own[self.conditions[condition].name] = rows
        return found

    def cells(self, condition: str, context: str) -> Matrix:
        """Expression of one population, in memory; dense or sparse, as it is stored."""
        return self._read(self.populations[context][condition])

    def blocks(self) -> Iterator[Matrix]:
        """Expression of all cells, some thousand at a time."""
        for start in range(0, self.num_cells, BLOCK):
            yield self._read(np.arange(start, min(start + BLOCK, self.num_cells)))

    def _read(self, rows: Int[np.ndarray, " rows"]) -> Matrix:
        values = self.expression[rows]
        in_order = np.array_equal(self.order, np.arange(values.shape[1]))
        return values if in_order else values[:, self.order]


def _check_values(cells: LabelledCells, adata: ad.AnnData, what: str, *, predicted: bool) -> None:
    _check_finite(cells, what)
    matrix = sparse.csr_matrix(cells.expression)
    try:
        check_log_base(adata.uns)
        if predicted:
            check_predicted(matrix)
        else:
            check_log_normalised(matrix, cells.genes)
    except ValueError as error:
        raise ValueError(f"In the {what} cells: {error}") from None


def _check_finite(cells: LabelledCells, what: str) -> None:
    bad = ~_finite(cells.expression)
    if bad.any():
        culprits = sorted({cells.conditions[i].name for i in cells.condition_index[bad]})
        raise ValueError(
            f"NaN or infinite expression in {int(bad.sum())} of the {what} cells, of the "
            f"conditions {examples(culprits)}."
        )


def _finite(values: Matrix) -> Bool[np.ndarray, " cells"]:
    if isinstance(values, np.ndarray):
        return np.asarray(np.isfinite(values).all(axis=1))
    bad = np.zeros(values.shape[0], bool)
    bad[np.searchsorted(values.indptr, np.flatnonzero(~np.isfinite(values.data)), "right") - 1] = 1
    return ~bad


def control_cells(
    controls: Screen | ad.AnnData, columns: Columns = Columns()
) -> tuple[ad.AnnData, str | Sequence[str] | None]:
    """Control cells as an AnnData, and its column of contexts, if there are any.

    Of a screen, its controls. Of an AnnData with the column of conditions, the cells whose label
    means "not perturbed", then labelled `control`; without that column, all its cells.

    **Arguments:** `columns`, what the columns of an AnnData's `obs` mean; the doses play no part.

    **Raises:** a ValueError for a column of contexts beside a screen, which knows its contexts; for
    an AnnData with a column of conditions that cannot be read or names no controls.
    """
    if not isinstance(controls, Screen):
        return _controls_among(controls, columns), columns.context
    if columns.context is not None:
        raise ValueError(f"A screen knows its contexts: leave out context={columns.context!r}.")
    own = controls.controls
    return own.to_anndata(), None if own.contexts == ("",) else "context"


def _controls_among(adata: ad.AnnData, columns: Columns) -> ad.AnnData:
    if columns.gene is not None:
        var = pd.DataFrame(index=pd.Index(gene_names(adata, columns.gene)))
        values = adata.to_memory().X if adata.isbacked else adata.X
        obs: Any = adata.obs
        adata = ad.AnnData(values, obs=obs, var=var, uns=dict(adata.uns))
    labelled, usual = columns.condition in adata.obs, "condition"
    if adata.n_obs == 0 or not (labelled or usual in adata.obs):
        return adata
    chosen = np.ones(adata.n_obs, bool)
    if labelled:
        try:
            conditions, index = dataclasses.replace(columns, dose=None).conditions_of(
                adata, controls_needed=False
            )
        except ValueError as error:
            raise ValueError(f"In the control cells: {error}") from None
        chosen = np.array([condition.is_control for condition in conditions])[index]
        if not chosen.any():
            raise ValueError(
                f"There are no control cells: no label in obs[{columns.condition!r}] means "
                f"{Controls.of(columns.control)}. The labels are "
                f"{examples([condition.name for condition in conditions], most=10)}. If all cells "
                "are controls, drop that column; else call the controls 'control' in it."
            )
        if chosen.all() and columns.condition == usual and not columns.control:
            return adata
    own = adata[chosen].to_memory() if adata.isbacked else adata[chosen].copy()
    # Predictors look for this column too, and know nothing of the caller's columns.
    if usual not in (columns.context if isinstance(columns.context, tuple) else [columns.context]):
        own.obs[usual] = CONTROL
    return own
