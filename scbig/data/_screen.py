"""A measured perturbation screen, checked once at the border."""

import dataclasses
import functools
import hashlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Float32, Int, Int32
from scipy import sparse

from scbig._names import examples
from scbig.data._checks import check_controls, check_index, check_matrix, check_not_empty
from scbig.data._columns import Columns
from scbig.data._condition import Condition
from scbig.data._describe import report_of
from scbig.data._doubts import doubts
from scbig.data._matrix import expression_matrix, read_csr
from scbig.data._reading import Labels
from scbig.data._report import Knows, Report
from scbig.data._responses import Responses, measured_responses
from scbig.data._scale import check_log_base, check_log_normalised
from scbig.data._stored import (
    StoredMatrix,
    blocks_of,
    check_stored,
    grouped_means,
    labels_of,
    projected,
)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Screen:
    """Log-normalised expression of cells, with the condition and the context of each.

    It lives on the host and never changes: it takes over the arrays that it is given and locks
    them. Every context has control cells.
    """

    expression: sparse.csr_matrix | StoredMatrix
    """Cells by genes, float32, log1p of normalised counts; in memory or on disk."""
    genes: tuple[str, ...]
    cells: tuple[str, ...]
    conditions: tuple[Condition, ...]
    """Distinct, sorted by name, the control among them."""
    condition_index: Int32[np.ndarray, " cells"]
    """For each cell, its place in `conditions`."""
    contexts: tuple[str, ...] = ("",)
    """Distinct and sorted: cell lines, stimulations or batches; one empty name if none."""
    context_index: Int32[np.ndarray, " cells"]
    """For each cell, its place in `contexts`."""
    guides: tuple[str, ...] = ()
    """Distinct and sorted: the labels as they stood, where they name guides (`Columns.guide`)."""
    guide_index: Int32[np.ndarray, " cells"] | None = None
    """For each cell, its place in `guides`."""

    def __post_init__(self) -> None:
        check_not_empty(self.num_cells, self.num_genes)
        check_matrix(self.expression.shape, self.expression.dtype, self.num_cells, self.num_genes)
        names = [condition.name for condition in self.conditions]
        check_index(self.condition_index, names, self.num_cells, what="condition")
        check_index(self.context_index, self.contexts, self.num_cells, what="context")
        own = () if self.guide_index is None else (self.guide_index,)
        for index in own:
            check_index(index, self.guides, self.num_cells, what="guide")
        if Condition() not in self.conditions:
            raise ValueError("There are no control cells in the screen.")
        check_controls(self.contexts, self.context_index[self.is_control])
        matrix = self.expression
        in_memory = not isinstance(matrix, StoredMatrix)
        values = (matrix.data, matrix.indices, matrix.indptr) if in_memory else ()
        for array in (*values, self.condition_index, self.context_index, *own):
            array.flags.writeable = False

    @classmethod
    def from_anndata(
        cls,
        adata: ad.AnnData,
        columns: Columns = Columns(),
        *,
        layer: str | None = None,
    ) -> "Screen":
        """Reads and checks a screen; `adata` is left as it is.

        **Arguments:**

        - `adata`: cells by genes, log-normalised, dense or sparse, backed or in memory.
        - `columns`: what the columns of `obs` mean.
        - `layer`: the layer with the expression; without it, `X`.

        **Raises:** a ValueError that says what is wrong with the data and how to repair it.
        """
        check_not_empty(adata.n_obs, adata.n_vars)
        if layer is None:
            check_log_base(adata.uns)
        return cls._labelled(
            adata, columns, lambda: read_csr(expression_matrix(adata, layer=layer))
        )

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        columns: Columns = Columns(),
        *,
        layer: str | None = None,
    ) -> "Screen":
        """A screen whose expression stays on disk, for files that are larger than memory.

        Everything but expression is read now; expression is passed over once, for its checks, and
        then read as it is asked for. The file must stay where it is, unchanged.

        **Arguments:**

        - `path`: an h5ad file or a zarr folder; the matrix as CSR or dense.
        - `columns`, `layer`: as in `from_anndata`.

        **Raises:** a ValueError as `from_anndata` does, and for a file that cannot be read.
        """
        read = lambda: StoredMatrix.open(path, "X" if layer is None else f"layers/{layer}")
        labels = labels_of(path)
        if layer is None:
            check_log_base(labels.uns)
        return cls._labelled(labels, columns, read)

    @classmethod
    def _labelled(
        cls,
        adata: ad.AnnData,
        columns: Columns,
        read: Callable[[], sparse.csr_matrix | StoredMatrix],
    ) -> "Screen":
        # The labels are checked first: they are cheap, and expression is not.
        labels = Labels.of(adata, columns)
        found = doubts(labels.conditions, frozenset(labels.genes))
        for doubt in (*found, *columns.doubts_of(adata, labels.conditions)):
            warnings.warn(doubt, stacklevel=3)
        expression = read()
        if isinstance(expression, StoredMatrix):
            check_stored(expression, labels.genes)
        else:
            check_log_normalised(expression, labels.genes)
        return cls(expression=expression, **_fields(labels))

    @property
    def num_cells(self) -> int:
        """The number of cells."""
        return len(self.cells)

    @property
    def num_genes(self) -> int:
        """The number of genes."""
        return len(self.genes)

    @property
    def stored(self) -> bool:
        """Whether the expression stays on disk."""
        return isinstance(self.expression, StoredMatrix)

    def in_memory(self) -> "Screen":
        """The same screen with its expression read into memory."""
        matrix = self.expression
        read = matrix.copy() if isinstance(matrix, StoredMatrix) else matrix
        return dataclasses.replace(self, expression=read)

    @property
    def perturbations(self) -> tuple[str, ...]:
        """Every name that is perturbed in some condition, sorted."""
        return tuple(sorted({name for c in self.conditions for name in c.perturbations}))

    @property
    def is_control(self) -> Bool[np.ndarray, " {self.num_cells}"]:
        """Whether each cell is a control."""
        return self.condition_index == self._places_by_condition[Condition()]

    @property
    def controls(self) -> "Screen":
        """The control cells; on disk they stay if the screen is there."""
        return self.take(np.flatnonzero(self.is_control))

    def report(self, priors: Knows | None = None) -> Report:
        """What the screen holds, and what looks strange about it: `print` it before training.

        **Arguments:** `priors`, such as `scbig.Priors`, whose coverage is then told.
        """
        return report_of(self._labels, self.expression, priors)

    def responses(self) -> Responses:
        """The mean change of each condition in each context, in one pass over the cells."""
        return measured_responses(
            self.expression,
            self.conditions,
            self.condition_index,
            self.contexts,
            self.context_index,
        )

    def rows(
        self, condition: str | Condition, context: str | None = None
    ) -> Int[np.ndarray, " rows"]:
        """The rows of a condition's cells, in a context or in all; empty if it has none there."""
        chosen = self.condition_index == self._place(condition)
        if context is not None:
            if context not in self.contexts:
                known = "no contexts" if self.contexts == ("",) else examples(self.contexts)
                raise ValueError(f"Unknown context {context!r}; the screen has {known}.")
            chosen &= self.context_index == self.contexts.index(context)
        return np.flatnonzero(chosen)

    def select(self, conditions: Sequence[str | Condition]) -> "Screen":
        """The cells of these conditions, and all controls."""
        return self._subset(np.isin(self.condition_index, self._places(conditions)))

    def without(self, conditions: Sequence[str | Condition]) -> "Screen":
        """All cells but those of these conditions, which must not be the control."""
        places = self._places(conditions)
        if self._places_by_condition[Condition()] in places:
            raise ValueError("A screen cannot be without its controls.")
        return self._subset(~np.isin(self.condition_index, places))

    def at_least(self, cells: int) -> "Screen":
        """The screen without conditions in contexts where they have fewer cells; with all controls.

        **Raises:** a ValueError if no condition is left.
        """
        pair = self.condition_index.astype(np.int64) * len(self.contexts) + self.context_index
        _, place, count = np.unique(pair, return_inverse=True, return_counts=True)
        kept = self._subset(count[place] >= cells)
        if not kept.perturbations:
            raise ValueError(f"No condition has {cells} cells in a context.")
        return kept

    def take(self, rows: Int[np.ndarray, " rows"]) -> "Screen":
        """The cells of these rows, among which every context must keep its controls."""
        kept = self._labels.take(rows)
        return dataclasses.replace(self, expression=self._rows(rows), **_fields(kept))

    def mean(
        self, rows: Int[np.ndarray, " rows"] | None = None
    ) -> Float32[np.ndarray, " {self.num_genes}"]:
        """Mean expression over some rows, or over all cells."""
        labels = np.zeros(self.num_cells if rows is None else len(rows), np.int32)
        return grouped_means(self._rows(rows), labels, 1)[0]

    def project(
        self,
        matrix: Float[np.ndarray, "{self.num_genes} features"],
        rows: Int[np.ndarray, " rows"] | None = None,
    ) -> Float[np.ndarray, "rows features"]:
        """Expression of some rows, or of all cells, times a matrix, in that matrix's precision."""
        # In the file's order, in which a disk reads fast, and back into the order asked for.
        order = None if rows is None else np.argsort(rows, kind="stable")
        return projected(self._rows(None if rows is None else rows[order]), matrix, order)

    @functools.cached_property
    def checksum(self) -> str:
        """SHA-256 (64 hexadecimal digits) of the expression, the same in memory and on disk."""
        digest = hashlib.sha256(f"{self.expression.shape}".encode())
        for block in blocks_of(self.expression):
            for array in (block.indptr.astype(np.int64), block.indices.astype(np.int64)):
                digest.update(array.tobytes())
            digest.update(block.data.tobytes())
        return digest.hexdigest()

    def means(
        self, groups: Int[np.ndarray, " {self.num_cells}"], count: int
    ) -> Float32[np.ndarray, "{count} {self.num_genes}"]:
        """Mean expression of groups of cells, in one pass over them.

        **Arguments:** `groups`, for each cell its group's number below `count`, or -1 for none.

        **Raises:** a ValueError for a group without a cell.
        """
        return grouped_means(self.expression, groups, count)

    def blocks(self) -> Iterator[sparse.csr_matrix]:
        """Expression of all cells, some thousand at a time."""
        return blocks_of(self.expression)

    def dense(
        self, rows: Int[np.ndarray, " rows"] | None = None
    ) -> Float32[np.ndarray, "rows {self.num_genes}"]:
        """Expression of some rows, or of all cells, as a dense array."""
        return self._rows(rows).toarray()

    def to_anndata(
        self, condition_key: str = "condition", context_key: str = "context"
    ) -> ad.AnnData:
        """A new AnnData with canonical condition names, and with contexts and guides if known.

        **Raises:** a ValueError if two of the columns of `obs` would have one name.
        """
        return ad.AnnData(
            self.expression.copy(),
            obs=self._labels.frame(condition_key, context_key),
            var=pd.DataFrame(index=pd.Index(self.genes)),
        )

    @functools.cached_property
    def _places_by_condition(self) -> dict[Condition, int]:
        return {condition: i for i, condition in enumerate(self.conditions)}

    @property
    def _labels(self) -> Labels:
        return Labels(**_fields(self))

    def _place(self, condition: str | Condition) -> int:
        wanted = Condition.parse(condition) if isinstance(condition, str) else condition
        if wanted not in self._places_by_condition:
            known = examples([c.name for c in self.conditions], most=10)
            raise ValueError(f"Unknown condition {wanted.name!r}; the screen has {known}.")
        return self._places_by_condition[wanted]

    def _places(self, conditions: Sequence[str | Condition]) -> list[int]:
        if isinstance(conditions, str):
            raise ValueError(f"A list of conditions is needed, not the one name {conditions!r}.")
        return [self._place(condition) for condition in conditions]

    def _rows(self, rows: np.ndarray | None) -> sparse.csr_matrix | StoredMatrix:
        matrix = self.expression
        if rows is None:
            return matrix
        return matrix.take(rows) if isinstance(matrix, StoredMatrix) else matrix[rows]

    def _subset(self, keep: np.ndarray) -> "Screen":
        return self.take(np.flatnonzero(keep | self.is_control))


def _fields(labels: "Labels | Screen") -> dict[str, Any]:
    """What is read of cells and genes, by its names."""
    return {own.name: getattr(labels, own.name) for own in dataclasses.fields(Labels)}
