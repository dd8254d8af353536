"""Seeded draws from lists of names, plain or stratified."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from scbig._names import examples
from scbig.data import Screen

from ._pool import Pool, parse_labels

Stratify = Literal["genes"] | Mapping[str, float] | None
NUM_STRATA = 4


def random_state(seed: Any) -> np.random.RandomState:
    """A generator of its own, whose stream NumPy has frozen: the same split in every version."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise ValueError(f"The seed must be a whole number, not {seed!r}.")
    if not 0 <= seed < 2**32:
        raise ValueError(f"The seed must be from 0 to 2**32 - 1, not {seed}.")
    return np.random.RandomState(int(seed))


def check_choice(choice: str, what: str, choices: Any) -> None:
    """Raises unless the choice is one of a Literal's."""
    if choice not in get_args(choices):
        raise ValueError(
            f"`{what}` is {choice!r}; it must be one of {examples(get_args(choices))}."
        )


def check_share(share: float, what: str, *, least: bool = False, most: bool = False) -> None:
    """Raises unless a share is between 0 and 1; the ends only where `least` or `most` says so."""
    above = share >= 0 if least else share > 0
    below = share <= 1 if most else share < 1
    if not (above and below):
        ends = f"{'[' if least else '('}0, 1{']' if most else ')'}"
        raise ValueError(f"`{what}` is {share}; it must lie in {ends}.")


def number_of(share: float, total: int) -> int:
    """A share of a total, rounded down."""
    # 0.29 * 100 is 28.999999999999996.
    return math.floor(share * total + 1e-9)


def draw(
    names: Sequence[str],
    number: int,
    random: np.random.RandomState,
    strata: Mapping[str, int] | None,
) -> tuple[str, ...]:
    """So many of the names; of each stratum its proportional number, up to one."""
    if number == 0:
        return ()
    if strata is None:
        chosen = random.choice(np.array(names), size=number, replace=False)
        return tuple(map(str, chosen))
    ordered = _in_strata(names, random, strata)
    # Evenly spaced places from a random start, in whole numbers: all distinct, all inside.
    start = int(random.randint(len(ordered)))
    return tuple(ordered[(i * len(ordered) + start) // number] for i in range(number))


def deal(
    names: Sequence[str],
    folds: int,
    random: np.random.RandomState,
    strata: Mapping[str, int] | None,
) -> list[tuple[str, ...]]:
    """Deals the names out like cards: folds, and the strata in them, differ by one at most."""
    ordered = _in_strata(names, random, strata or dict.fromkeys(names, 0))
    return [tuple(ordered[i::folds]) for i in range(folds)]


def strata_of(names: Sequence[str], stratify: Stratify, pool: Pool) -> dict[str, int] | None:
    """The stratum of each name: its number of perturbations, or its quarter by the given number."""
    values = stratify_option(stratify)
    if values is None:
        return None
    if values == "genes":
        return {name: len(pool.by_name[name].perturbations) for name in names}
    lacking = sorted(name for name in names if name not in values)
    if lacking:
        raise ValueError(
            f"`stratify` gives no number for {len(lacking)} of the names to draw from: "
            f"{examples(lacking)}."
        )
    ranked = sorted(names, key=lambda name: (values[name], name))
    return {name: rank * NUM_STRATA // len(ranked) for rank, name in enumerate(ranked)}


def stratify_option(stratify: Stratify) -> Any:
    """The argument, checked, as a plain value: a mapping has canonical names."""
    if stratify is None or stratify == "genes":
        return stratify
    if not isinstance(stratify, Mapping):
        raise ValueError(f"`stratify` must be 'genes' or a mapping to numbers, not {stratify!r}.")
    wrong = sorted(name for name, value in stratify.items() if not math.isfinite(value))
    if wrong:
        raise ValueError(f"`stratify` is not finite for {len(wrong)} names: {examples(wrong)}.")
    parsed = parse_labels(stratify)
    values = {parsed[name].name: float(value) for name, value in stratify.items()}
    twice = sorted(n for n, value in stratify.items() if values[parsed[n].name] != value)
    if twice:
        raise ValueError(
            f"`stratify` has two numbers for {len(twice)} conditions, spelled differently: "
            f"{examples(twice)}."
        )
    return values


def effect_sizes(screen: Screen) -> dict[str, float]:
    """How far each condition is from the control: a number to stratify splits by.

    The Euclidean norm, over genes, of the mean change from the controls of the same context, in
    log units; averaged over contexts, weighted by cells. Few cells make it larger by their noise.
    """
    found = screen.responses()
    places, of_group = np.unique(found.condition_index, return_inverse=True)
    total = np.bincount(of_group, weights=found.norms() * found.cells)
    sizes = total / np.bincount(of_group, weights=found.cells)
    names = [found.conditions[place].name for place in places]
    return dict(zip(names, sizes.tolist(), strict=True))


def _in_strata(
    names: Sequence[str], random: np.random.RandomState, strata: Mapping[str, int]
) -> list[str]:
    shuffled = [names[int(i)] for i in random.permutation(len(names))]
    return sorted(shuffled, key=lambda name: strata[name])
