"""Preprocessing and simulation."""

from dataclasses import dataclass
from typing import Literal

from ._check import check_choices, require


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessConfig:
    """Thresholds of the pipeline from raw counts to log-normalised expression (A.4.2)."""

    min_genes: int = 1000
    """A cell is kept if it has at least this many detected genes."""
    min_cells: int = 50
    """A gene is kept if at least this many cells express it."""
    target_sum: float = 1e4
    """Counts of a cell after library-size normalisation."""
    variable_genes: int = 2000
    """Highly variable genes kept; every perturbed gene that was measured is added to them."""

    def __post_init__(self) -> None:
        require(self.target_sum > 0, self, "target_sum must be positive")
        require(self.variable_genes > 0, self, "variable_genes must be positive")
        require(min(self.min_genes, self.min_cells) >= 0, self, "thresholds must not be negative")


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulationConfig:
    """A simulated screen with known programs and effects."""

    genes: int = 240
    programs: int = 12
    perturbations: int = 16
    """Genes that are perturbed, each alone."""
    doubles: int = 60
    """Pairs of perturbed genes, drawn without replacement."""
    control_cells: int = 600
    cells_per_condition: int = 60
    features: int = 24
    """Width of the simulated gene embeddings."""
    embedding_noise: float = 0.5
    """Standard deviation of a gene's embedding around its program's centre, of unit variance."""
    edges_within: float = 0.3
    """Probability of an interaction between two genes of one program."""
    edges_between: float = 0.01
    """Probability of an interaction between genes of two programs."""
    effect: float = 0.5
    """Root mean square of the perturbations' effects on the log expression of programs."""
    interaction: float = 1.5
    """Largest non-additive part of a double on a program, relative to `effect`."""
    program_noise: float = 0.3
    """Standard deviation of the cell-to-cell log activity of a program."""
    dispersion: float = 0.2
    """Negative-binomial over-dispersion: variance = mean + dispersion * mean^2."""
    library_size: float = 5000.0
    """Median total counts of a cell."""
    library_spread: float = 0.3
    """Standard deviation of the log library size."""

    def __post_init__(self) -> None:
        pairs = self.perturbations * (self.perturbations - 1) // 2
        require(0 < self.programs <= self.genes, self, "1 <= programs <= genes")
        require(0 < self.perturbations <= self.genes, self, "1 <= perturbations <= genes")
        require(0 <= self.doubles <= pairs, self, f"0 <= doubles <= {pairs}, the number of pairs")
        require(self.dispersion > 0, self, "dispersion must be positive")


@dataclass(frozen=True, kw_only=True, slots=True)
class SemiSyntheticConfig:
    """Cells drawn from a count model around given effects.

    Library size and spread, and what dispersion and program noise make together, are those of 3,375
    cells of the Norman 2019 screen (34 conditions, 500 variable genes), rounded.
    """

    cells_per_condition: int = 400
    """Cells of a perturbed condition; their mean where the numbers are `measured`."""
    cell_numbers: Literal["equal", "measured"] = "equal"
    """All conditions alike, or in proportion to the counts behind their given effects."""
    control_cells: int = 8000
    library_size: float = 13500.0
    """Median total counts of a cell, over all genes and not only those of the screen."""
    library_spread: float = 0.37
    """Standard deviation of the log library size."""
    dispersion: float = 0.2
    """Negative-binomial over-dispersion: variance = mean + dispersion * mean^2."""
    programs: int = 10
    """Directions in which the cells of a condition vary together, taken from the effects."""
    program_noise: float = 0.35
    """Standard deviation, from cell to cell, of a gene's log expression through the programs."""
    shrink: bool = True
    """Shrink the given effects by expression and depth; False takes them as they are."""
    strata: int = 4
    """Groups of genes of like expression that share the distribution of effects to shrink by."""
    shuffle: bool = True
    """Cells in random order; False puts the controls first, then condition after condition."""
    values: Literal["counts", "log1p"] = "counts"
    """What `X` holds: counts, or log1p of counts per 10,000 with the counts in a layer."""

    def __post_init__(self) -> None:
        check_choices(self)
        sizes = (self.cells_per_condition, self.control_cells, self.programs, self.strata)
        require(min(sizes) > 0, self, "cells, programs and strata must be positive")
        require(self.library_size > 0, self, "library_size must be positive")
        require(self.dispersion > 0, self, "dispersion must be positive")
        spreads = (self.library_spread, self.program_noise)
        require(min(spreads) >= 0, self, "spreads must not be negative")
