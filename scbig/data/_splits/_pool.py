"""The conditions that a split places, read from labels in any spelling."""

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from scbig._condition import CONTROLS, JOINT, Condition
from scbig.data._checks import listed
from scbig.data._screen import PerturbationScreen

Conditions = Iterable[str | Condition] | PerturbationScreen
"""Labels or conditions, one for each or one per cell; or a screen, for its conditions."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pool:
    """What is to be divided: every perturbed condition that was not excluded."""

    spelled: Mapping[str, Condition]
    """Each label as it was given, in sorted order, with its condition."""
    dropped: tuple[str, ...]
    """The canonical names that the caller excluded."""

    @functools.cached_property
    def by_name(self) -> dict[str, Condition]:
        """Each condition once, by its canonical name, in sorted order."""
        found = {condition.name: condition for condition in self.spelled.values()}
        return dict(sorted(found.items()))

    @property
    def names(self) -> tuple[str, ...]:
        """The canonical names, sorted."""
        return tuple(self.by_name)

    @property
    def singles(self) -> tuple[str, ...]:
        """The conditions with one perturbation."""
        return tuple(n for n, c in self.by_name.items() if len(c.perturbations) == 1)

    @property
    def combinations(self) -> tuple[str, ...]:
        """The conditions with two perturbations or more."""
        return tuple(n for n, c in self.by_name.items() if len(c.perturbations) > 1)

    @property
    def perturbations(self) -> tuple[str, ...]:
        """Everything that is perturbed in some condition, sorted."""
        return tuple(sorted({p for c in self.by_name.values() for p in c.perturbations}))

    def unseen(self, name: str, held: Iterable[str]) -> int:
        """How many perturbations of a condition are among those held out."""
        return len(set(self.by_name[name].perturbations).intersection(held))


def read_pool(conditions: Conditions, exclude: Iterable[str | Condition] = ()) -> Pool:
    """Reads the conditions and takes the excluded ones out; the control is in no pool.

    **Raises:** a ValueError if nothing is left, or if an excluded condition is not among them.
    """
    if isinstance(conditions, PerturbationScreen):
        conditions = conditions.conditions
    spelled = {k: c for k, c in parse_labels(conditions).items() if not c.is_control}
    out = {condition.name for condition in parse_labels(exclude).values()}
    unknown = sorted(out - {condition.name for condition in spelled.values()})
    if unknown:
        raise ValueError(
            f"{len(unknown)} conditions to exclude are not among the conditions, or are the "
            f"control: {listed(unknown)}."
        )
    spelled = {
        label: condition for label, condition in spelled.items() if condition.name not in out
    }
    if not spelled:
        raise ValueError("There is no perturbed condition to divide.")
    return Pool(spelled=spelled, dropped=tuple(sorted(out)))


def parse_labels(
    labels: Iterable[str | Condition],
    *,
    separator: str = JOINT,
    controls: str | Sequence[str] = CONTROLS,
) -> dict[str, Condition]:
    """Each distinct label, in sorted order, with its condition.

    A single may be there as `G`, `G+ctrl` and `ctrl+G`, as in files of one label per order of two
    guides. A combination in two gene orders is an error: it would be drawn twice.
    """
    if isinstance(labels, str | Condition):
        raise ValueError(f"A list of conditions is needed, not the one condition {labels!r}.")
    labels = list(labels)
    wrong = [repr(label) for label in labels if not isinstance(label, str | Condition)]
    if wrong:
        raise ValueError(f"{len(wrong)} condition labels are not text: {listed(wrong)}.")
    given = {
        str(label): Condition.parse(label, separator=separator, controls=controls)
        for label in labels
        if isinstance(label, str)
    }
    given |= {label.name: label for label in labels if isinstance(label, Condition)}
    spellings = defaultdict(list)
    for label, condition in given.items():
        if len(condition.perturbations) > 1:
            spellings[condition.name].append(label)
    twice = [" = ".join(sorted(same)) for same in spellings.values() if len(same) > 1]
    if twice:
        raise ValueError(
            f"{len(twice)} combinations are there in two spellings: {listed(sorted(twice))}. "
            "Keep one of each, or pass scbig.data.Condition objects."
        )
    return dict(sorted(given.items()))
