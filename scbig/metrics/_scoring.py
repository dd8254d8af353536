"""How predictions are scored: what a table has beside its usual columns, and by which rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float

from scbig._names import examples

from ._changed import CHANGED, WEIGHTED
from ._discrimination import Denominator, Distance
from ._interaction import INTERACTIONS
from ._ranksum import Correction
from ._weights import Against

Dense = Float[np.ndarray, "_cells genes"]
Metric = Callable[[Dense, Dense, Dense], float]
"""From the predicted cells of a population, the measured ones and the controls to a number."""

COLUMNS = (
    "pearson_delta",
    "pearson_delta_deg20",
    "acc",
    "acc_deg20",
    "l2",
    "mse",
    "mae",
    "pds",
    "discr_cos",
    "e_distance",
)
"""What every table has."""
DISTANCES = ("e_distance_floor", "wasserstein", "wasserstein_floor")
ASKED = (*DISTANCES, *CHANGED, *WEIGHTED, *INTERACTIONS)
"""What a table has if asked for it."""


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How predictions are scored: the arguments of `evaluate` of these names."""

    components: int = 50
    top: int = 20
    pds_denominator: Denominator = "n-1"
    pds_distance: Distance = "l1"
    pds_leave_out: bool = False
    origin: pd.DataFrame | None = None
    changed: Correction | None = None
    weighted: Against | None = None
    singles: pd.DataFrame | None = None
    wasserstein: bool = False
    equal_cells: bool = False
    unbiased: bool = True
    max_cells: int | None = 1000
    seed: int = 0
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    def __post_init__(self) -> None:
        taken = sorted({*COLUMNS, *ASKED} & {*self.metrics})
        if taken:
            raise ValueError(f"There are metrics called {examples(taken)}: choose other names.")
        if min(self.components, self.top) < 1 or (self.max_cells or 1) < 1 or self.max_cells == 0:
            raise ValueError(
                "components, top and max_cells must be positive: got "
                f"components={self.components}, top={self.top}, max_cells={self.max_cells}."
            )
