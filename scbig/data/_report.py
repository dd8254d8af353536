"""What a screen holds and what looks strange about it: the report before a training."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from scbig._names import examples
from scbig.data._condition import Condition

COUNTS = "raw counts"
LOG = "log1p of normalised counts"
UNKNOWN = "neither counts nor log1p of normalised counts"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Covered:
    """What one prior knows of a screen.

    **Fields:** `line`, of how many genes and perturbations, and which it lacks; `doubts`, what to
    look at; `problems`, for which a training stops unless it is told to go on.
    """

    line: str
    doubts: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@runtime_checkable
class Knows(Protocol):
    """What is known before a screen, such as `scbig.Priors`."""

    def covers(self, genes: Sequence[str], perturbations: Sequence[str]) -> tuple[Covered, ...]:
        """What each prior knows of these genes and perturbations."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """The scale of expression as it was found.

    **Fields:** `kind`, what the values are; `looked`, how many cells were looked at for the others;
    `largest`, the largest value; `zeros`, the share of zeros; `totals`, of the counts of a cell,
    taken back from the logarithm: the 5th, 50th and 95th percentile; `whole`, the share of whole
    numbers among ratios of a cell's counts to its smallest, which is near 1 where counts are behind
    the values.
    """

    kind: str
    looked: int
    largest: float
    zeros: float
    totals: tuple[float, float, float]
    whole: float

    def __str__(self) -> str:
        looked = (
            f"scale: {self.kind}; of {self.looked} cells the largest value is {self.largest:.4g}, "
            f"{self.zeros:.1%} are zero"
        )
        if self.kind == UNKNOWN:  # what would be counts are none
            return looked
        low, middle, high = (f"{total:,.0f}" for total in self.totals)
        return (
            f"{looked}, and the counts add up to {middle} ({low} to {high}); "
            f"{self.whole:.0%} of the ratios between counts of a cell are whole numbers"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What a screen holds, and what looks strange about it; as text, one line for each.

    **Fields:** `num_cells` and `num_genes`; `controls`, how many each context has; `conditions`,
    the perturbed ones; `populations`, the cells of each of them in each context that has any, by
    name (`A+B`, `A+B in K562`); `not_measured`, perturbations that are no measured gene; `scale`;
    `priors`, what each knows; `doubts`, what to look at in the labels and the cells; `problems`,
    for which a training stops unless it is told to go on.
    """

    num_cells: int
    num_genes: int
    controls: dict[str, int]
    conditions: tuple[Condition, ...]
    populations: dict[str, int]
    not_measured: tuple[str, ...]
    scale: Scale
    priors: tuple[Covered, ...]
    doubts: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def perturbations(self) -> tuple[str, ...]:
        """Every name that is perturbed in some condition, sorted."""
        return perturbed(self.conditions)

    def __str__(self) -> str:
        single = sum(len(c.perturbations) == 1 for c in self.conditions)
        lines = [
            f"{self.num_cells} cells x {self.num_genes} genes: {len(self.conditions)} conditions "
            f"({single} single, {len(self.conditions) - single} combined) of "
            f"{len(self.perturbations)} perturbations",
            self._of_controls(),
            *self._of_sizes(),
            str(self.scale),
            self._of_measured(),
            *(own.line for own in self.priors),
            *(f"look at: {doubt}" for doubt in self.doubts),
            *(f"cannot train: {problem}" for problem in self.problems),
        ]
        return "\n".join(lines)

    def check(self) -> None:
        """Raises a `ValueError` that has every problem, if there is one."""
        if self.problems:
            raise ValueError(" ".join(self.problems))

    def _of_controls(self) -> str:
        if tuple(self.controls) == ("",):
            return f"controls: {self.controls['']}"
        shown = [f"{name}: {number}" for name, number in self.controls.items()]
        return f"controls in each of {len(shown)} contexts: {examples(shown, most=12)}"

    def _of_sizes(self) -> list[str]:
        if not self.populations:
            return []
        sizes = self.populations
        least, most = min(sizes, key=sizes.__getitem__), max(sizes, key=sizes.__getitem__)
        where = "" if tuple(self.controls) == ("",) else " in a context"
        return [
            f"cells of a condition{where}: {sizes[least]} ({least}) to {sizes[most]} ({most}), "
            f"median {np.median(list(sizes.values())):g}"
        ]

    def _of_measured(self) -> str:
        total, lacking = len(self.perturbations), self.not_measured
        shown = f"; not: {examples(lacking)}" if lacking else ""
        return f"perturbations that are measured genes: {total - len(lacking)} of {total}{shown}"


def perturbed(conditions: Sequence[Condition]) -> tuple[str, ...]:
    """Every name that is perturbed in some condition, sorted."""
    return tuple(sorted({name for c in conditions for name in c.perturbations}))
