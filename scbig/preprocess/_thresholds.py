"""The thresholds of preprocessing."""

from dataclasses import dataclass

from scbig._numbers import real_fields, whole_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessConfig:
    """Thresholds of the pipeline from raw counts to log-normalised expression (A.4.2)."""

    min_genes: int = 1000
    """A cell is kept if it has at least this many detected genes."""
    min_cells: int = 50
    """A gene is kept if at least this many cells express it."""
    min_condition_cells: int = 0
    """A condition's cells in a context are kept if there are at least this many."""
    target_sum: float = 1e4
    """Counts of a cell after library-size normalisation."""
    variable_genes: int = 2000
    """Highly variable genes kept; every perturbed gene that was measured is added to them."""

    def __post_init__(self) -> None:
        whole_fields(self, "min_genes", "min_cells", "min_condition_cells", least=0)
        whole_fields(self, "variable_genes", least=1)
        real_fields(self, "target_sum", above=0.0)
