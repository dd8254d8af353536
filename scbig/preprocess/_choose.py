"""Which cells and genes preprocessing keeps, from one pass over the counts."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import anndata as ad
import numpy as np
from jaxtyping import Bool, Int
from scipy import sparse

from scbig._names import examples
from scbig.data import (
    Columns,
    Condition,
    Labels,
    check_count_values,
)

from ._thresholds import PreprocessConfig


@dataclasses.dataclass(frozen=True, eq=False)
class Design:
    """What is known of the cells and genes before any count is read.

    **Fields:** `genes`; `conditions`, the distinct labels, parsed; `codes`, for each cell its
    place in them; `contexts` and `context_codes`, likewise; `held_out`, whether each cell has no
    say in which genes are kept.
    """

    genes: tuple[str, ...]
    conditions: tuple[Condition, ...]
    codes: Int[np.ndarray, " cells"]
    contexts: tuple[str, ...]
    context_codes: Int[np.ndarray, " cells"]
    held_out: Bool[np.ndarray, " cells"]

    @classmethod
    def of(
        cls,
        adata: ad.AnnData,
        columns: Columns,
        held_out: Sequence[str],
        held_out_contexts: Sequence[str],
    ) -> "Design":
        """Reads and checks them."""
        labels = Labels.of(adata, columns)
        parsed, codes = labels.conditions, labels.condition_index
        contexts, context_codes = labels.contexts, labels.context_index
        wanted = {Condition.parse(label) for label in _several(held_out)}
        within = _several(held_out_contexts)
        unknown = sorted(condition.name for condition in wanted - set(parsed))
        unknown += sorted(set(within) - set(contexts))
        if unknown:
            raise ValueError(
                f"{len(unknown)} conditions or contexts to hold out are not in the data: "
                f"{examples(unknown)}."
            )
        is_held = np.array([condition in wanted for condition in parsed])[codes]
        if within:
            is_held &= np.isin(np.array(contexts)[context_codes], within)
        return cls(labels.genes, parsed, codes, contexts, context_codes, is_held)

    @property
    def is_control(self) -> Bool[np.ndarray, " cells"]:
        """Whether each cell is a control."""
        return self.codes == self.conditions.index(Condition())

    def population_sizes(self, kept: Bool[np.ndarray, " cells"]) -> Int[np.ndarray, " cells"]:
        """For each cell, how many of the kept ones have its condition and its context."""
        pair = self.codes.astype(np.int64) * len(self.contexts) + self.context_codes
        return np.bincount(pair[kept], minlength=pair.max() + 1)[pair]


@dataclasses.dataclass(frozen=True, eq=False)
class Tally:
    """Genes detected in each cell; and in how many cells, kept and not held out, each gene is."""

    detected: Int[np.ndarray, " cells"]
    expressed: Int[np.ndarray, " genes"]


def tally(blocks: Iterable[sparse.csr_matrix], design: Design, config: PreprocessConfig) -> Tally:
    """Counts what is expressed; raises a ValueError for what are no counts."""
    detected, expressed = [], np.zeros(len(design.genes), np.int64)
    start, any_count = 0, False
    for block in blocks:
        check_count_values(block, design.genes)
        any_count |= bool(np.any(block.data))
        own = np.asarray(block.getnnz(axis=1))
        stop = start + len(own)
        counted = (own >= max(config.min_genes, 1)) & ~design.held_out[start:stop]
        expressed += sparse.csr_matrix(block[counted]).getnnz(axis=0)
        detected.append(own)
        start = stop
    if not any_count:
        raise ValueError("Every expression value is zero. Was the right layer given?")
    return Tally(np.concatenate(detected), expressed)


@dataclasses.dataclass(frozen=True, eq=False)
class Selection:
    """What is kept.

    **Fields:** `cells` and `genes`, masks over the file; `perturbed` and `counted`, over what is
    kept: the genes that are perturbed, and the cells that have a say in which genes vary.
    """

    cells: Bool[np.ndarray, " cells"]
    genes: Bool[np.ndarray, " genes"]
    perturbed: Bool[np.ndarray, " kept_genes"]
    counted: Bool[np.ndarray, " kept_cells"]
    lost: tuple[str, ...]
    unmeasured: tuple[str, ...]

    def variable(
        self, adata: ad.AnnData, config: PreprocessConfig
    ) -> Bool[np.ndarray, " kept_genes"]:
        """The genes that vary most over the counted cells, by scanpy, in memory or by dask."""
        import scanpy as sc

        if config.variable_genes >= adata.n_vars:
            return np.ones(adata.n_vars, bool)
        cells = adata if self.counted.all() else adata[self.counted].copy()
        table = sc.pp.highly_variable_genes(
            cells, n_top_genes=config.variable_genes, flavor="seurat", inplace=False
        )
        assert table is not None
        return table["highly_variable"].to_numpy(bool)

    def report(self, config: PreprocessConfig, genes: int) -> dict[str, Any]:
        """What `uns["preprocess"]` says, given how many genes are left at the end."""
        names = lambda values: np.array(values, dtype=object)
        expressed = int(self.genes.sum())
        return {
            **dataclasses.asdict(config),
            "removed_cells": int((~self.cells).sum()),
            "removed_conditions": names(self.lost),
            "removed_genes_rare": len(self.genes) - expressed,
            "removed_genes_not_variable": expressed - genes,
            "perturbed_not_measured": names(self.unmeasured),
        }


def choose(counts: Tally, design: Design, config: PreprocessConfig) -> Selection:
    """Cells with enough genes, genes in enough cells, and every gene that is perturbed.

    **Raises:** a ValueError if no cell, no control or no gene is left.
    """
    cells = counts.detected >= max(config.min_genes, 1)
    cells &= design.is_control | (design.population_sizes(cells) >= config.min_condition_cells)
    left = {design.conditions[code] for code in np.unique(design.codes[cells])}
    _check_cells_left(cells, left, config)
    _check_contexts_left(cells, design, config)
    targets = {name for condition in left for name in condition.perturbations}
    perturbed = np.isin(design.genes, sorted(targets))
    genes = (counts.expressed >= config.min_cells) | perturbed
    if not genes.any():
        raise ValueError(
            f"No gene is expressed in min_cells={config.min_cells} of the {cells.sum()} cells."
        )
    lost = {c.name for c in design.conditions} - {c.name for c in left}
    return Selection(
        cells=cells,
        genes=genes,
        perturbed=perturbed[genes],
        counted=~design.held_out[cells],
        lost=tuple(sorted(lost)),
        unmeasured=tuple(sorted(targets - set(design.genes))),
    )


def _several(names: Sequence[str]) -> Sequence[str]:
    if isinstance(names, str):
        raise ValueError(f"A list of names is needed, not the one name {names!r}.")
    return names


def _check_cells_left(keep: np.ndarray, left: set[Condition], config: PreprocessConfig) -> None:
    if not keep.any():
        raise ValueError(
            f"None of the {keep.size} cells has min_genes={config.min_genes} detected genes. "
            "Lower min_genes: a file of few genes needs a small one."
        )
    if Condition() not in left:
        names = examples(sorted(condition.name for condition in left))
        raise ValueError(
            f"No control cell is left after min_genes={config.min_genes}; the conditions left are "
            f"{names}. Check the name of the control, or lower min_genes."
        )


def _check_contexts_left(keep: np.ndarray, design: Design, config: PreprocessConfig) -> None:
    control = keep & design.is_control
    lacking = set(design.context_codes[keep]) - set(design.context_codes[control])
    if lacking:
        names = examples(design.contexts[place] for place in sorted(lacking))
        raise ValueError(
            f"{len(lacking)} contexts have no control cells after min_genes={config.min_genes}: "
            f"{names}. Lower min_genes, drop those contexts, or merge each with one that has some."
        )
