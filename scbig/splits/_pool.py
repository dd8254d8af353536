"""The conditions that a split places, read from labels in any spelling; and their cells."""

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from scbig._names import examples
from scbig.data import (
    JOINT,
    Condition,
    Controls,
    Screen,
    check_labels,
    in_contexts,
    of_contexts,
)

Conditions = Iterable[str | Condition] | Screen
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

    **Raises:** a ValueError if nothing is left, if an excluded condition is not among them, for
    words that mean no label, and for names joined by another sign than `+`.
    """
    if isinstance(conditions, Screen):
        conditions = conditions.conditions
    conditions = conditions if isinstance(conditions, str | Condition) else list(conditions)
    spelled = {k: c for k, c in parse_labels(conditions).items() if not c.is_control}
    texts = dict.fromkeys(label for label in conditions if isinstance(label, str))
    check_labels([*texts], JOINT, Controls(), ())
    out = {condition.name for condition in parse_labels(exclude).values()}
    unknown = sorted(out - {condition.name for condition in spelled.values()})
    if unknown:
        raise ValueError(
            f"{len(unknown)} conditions to exclude are not among the conditions, or are the "
            f"control: {examples(unknown)}."
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
    controls: str | Sequence[str] = (),
    guide: str | None = None,
) -> dict[str, Condition]:
    """Each distinct label, in sorted order, with its condition.

    A single may be there as `G`, `G+ctrl` and `ctrl+G`, as in files of one label per order of two
    guides. A combination in two gene orders is an error: it would be drawn twice. By the pattern
    `guide` several guides are one gene, and combinations of them one.
    """
    if isinstance(labels, str | Condition):
        raise ValueError(f"A list of conditions is needed, not the one condition {labels!r}.")
    labels = list(labels)
    wrong = [repr(label) for label in labels if not isinstance(label, str | Condition)]
    if wrong:
        raise ValueError(f"{len(wrong)} condition labels are not text: {examples(wrong)}.")
    given = {
        str(label): Condition.parse(label, separator=separator, controls=controls, guide=guide)
        for label in labels
        if isinstance(label, str)
    }
    given |= {label.name: label for label in labels if isinstance(label, Condition)}
    spellings = defaultdict(list)
    for label, condition in given.items():
        if len(condition.perturbations) > 1:
            spellings[condition.name].append(label)
    twice = [" = ".join(sorted(same)) for same in spellings.values() if len(same) > 1]
    if twice and guide is None:
        raise ValueError(
            f"{len(twice)} combinations are there in two spellings: {examples(sorted(twice))}. "
            "Keep one of each, or pass scbig.data.Condition objects."
        )
    return dict(sorted(given.items()))


def cells_of(
    screen: Screen,
    wanted: Sequence[tuple[tuple[str, ...], tuple[str, ...]]],
    kept: tuple[str, ...],
) -> Screen:
    """The cells of pairs of (condition names, contexts), and the controls of the kept contexts.

    No contexts means all. Contexts that are not kept are not in the result.
    """
    place = {condition.name: i for i, condition in enumerate(screen.conditions)}
    keep = screen.is_control & in_contexts(screen, kept)
    lacking: set[str] = set()
    for names, contexts in wanted:
        inside = in_contexts(screen, contexts)
        measured = set(screen.condition_index[inside].tolist())
        lacking.update(name for name in names if place.get(name) not in measured)
        keep |= inside & np.isin(screen.condition_index, [place.get(name, -1) for name in names])
    if lacking:
        where = " in the split's contexts" if any(contexts for _, contexts in wanted) else ""
        raise ValueError(
            f"{len(lacking)} conditions of the split have no cells{where}: "
            f"{examples(sorted(lacking))}. The screen and the split are not of the same conditions."
        )
    return of_contexts(screen, kept, keep)
