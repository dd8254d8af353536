"""Sizes and strengths of simulated screens."""

from dataclasses import dataclass

from scbig._numbers import real_fields, whole_fields


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
        whole_fields(self, "genes", "programs", "perturbations", "features", least=1)
        whole_fields(self, "control_cells", "cells_per_condition", least=1)
        whole_fields(self, "doubles", least=0)
        real_fields(self, "dispersion", "library_size", above=0.0)
        real_fields(self, "edges_within", "edges_between", least=0.0, most=1.0)
        real_fields(self, "effect", "interaction", least=0.0)
        real_fields(self, "embedding_noise", "program_noise", "library_spread", least=0.0)
        pairs = self.perturbations * (self.perturbations - 1) // 2
        bounds = (
            ("programs", self.genes, "the number of genes"),
            ("perturbations", self.genes, "the number of genes"),
            ("doubles", pairs, "the number of pairs"),
        )
        for name, most, what in bounds:
            if getattr(self, name) > most:
                raise ValueError(
                    f"SimulationConfig: {name} must be at most {most}, {what}; "
                    f"got {getattr(self, name)}."
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class SemiSyntheticConfig:
    """Cells drawn from a count model around given effects.

    Library size and spread, and what dispersion and program noise make together, are those of 3,375
    cells of the Norman 2019 screen (34 conditions, 500 variable genes), rounded.
    """

    cells_per_condition: int = 400
    """Cells of a perturbed condition; their mean with `measured_numbers`."""
    measured_numbers: bool = False
    """Cells in proportion to the counts behind the given effects; False: all conditions alike."""
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
    log_normalise: bool = False
    """`X` holds log1p of counts per 10,000, with the counts in a layer; False: the counts."""

    def __post_init__(self) -> None:
        whole_fields(self, "cells_per_condition", "control_cells", "programs", "strata", least=1)
        real_fields(self, "library_size", "dispersion", above=0.0)
        real_fields(self, "library_spread", "program_noise", least=0.0)
