"""What a comparison scores beside the usual columns."""

from dataclasses import dataclass
from typing import Any, Literal

from scbig import comparison, metrics

ASKED = ("wmse", "r2_delta", "wasserstein", "e_distance_floor", "wasserstein_floor",
         "gi_pearson", "gi_error")  # fmt: skip
"""What is shown if it was asked for."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Options of `scbig.evaluate`, for every predictor alike."""

    changed: Literal["bh", "bonferroni"] = "bh"
    """How the rank-sum test of changed genes is corrected for their number."""
    weighted: Literal["rest", "controls"] | None = None
    """Adds `wmse` and `r2_delta`, genes weighted by how a condition differs from these cells."""
    wasserstein: bool = False
    """Adds the Wasserstein distance beside the energy distance."""
    equal_cells: bool = False
    """Distances of equal numbers of cells, beside their floor, other measured cells."""
    gi: bool = False
    """Adds genetic interactions: what is predicted of doubles beyond the sum of the singles that no
    split tests."""
    origin: Literal["controls", "perturbed mean", "mean of singles"] = "controls"
    """Where responses are measured from: the controls, or the mean of the conditions, or of the
    singles, that no split tests."""
    pds_distance: Literal["l1", "l2", "cosine"] = "l1"
    pds_leave_out: bool = False
    """Whether PDS leaves out the genes that a condition perturbs."""
    pds_denominator: Literal["n-1", "n"] = "n-1"

    def of(self, plan: comparison.Comparison) -> dict[str, Any]:
        """The options of `comparison.score_all`.

        **Raises:** a ValueError where profiles are asked for and no split leaves a condition to
        take them of.
        """
        own = ("changed", "weighted", "wasserstein", "equal_cells")
        pds = ("pds_distance", "pds_leave_out", "pds_denominator")
        found: dict[str, Any] = {name: getattr(self, name) for name in (*own, *pds)}
        if not self.gi and self.origin == "controls":
            return found
        tested = {name for part in plan.evaluations for split in part.splits for name in split.test}
        training = plan.screen.without(sorted(tested))
        if not training.perturbations:
            raise ValueError(
                "--gi and --origin take means of conditions that no split tests, and the splits "
                "test all of them: choose --split holdout, additive or gears."
            )
        if self.gi:
            found["singles"] = metrics.single_profiles(training)
        if self.origin != "controls":
            singles = self.origin == "mean of singles"
            found["origin"] = metrics.mean_of_conditions(training, singles=singles)
        return found
