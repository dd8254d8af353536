"""The cells of some conditions in some contexts."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from scbig.data._checks import listed
from scbig.data._screen import PerturbationScreen


def cells_of(
    screen: PerturbationScreen,
    wanted: Sequence[tuple[tuple[str, ...], tuple[str, ...]]],
    kept: tuple[str, ...],
) -> PerturbationScreen:
    """The cells of pairs of (condition names, contexts), and the controls of the kept contexts.

    No contexts means all. Contexts that are not kept are not in the result.
    """
    place = {condition.name: i for i, condition in enumerate(screen.conditions)}
    keep = screen.is_control & _inside(screen, kept)
    lacking: set[str] = set()
    for names, contexts in wanted:
        inside = _inside(screen, contexts)
        measured = set(screen.condition_index[inside].tolist())
        lacking.update(name for name in names if place.get(name) not in measured)
        keep |= inside & np.isin(screen.condition_index, [place.get(name, -1) for name in names])
    if lacking:
        where = " in the split's contexts" if any(contexts for _, contexts in wanted) else ""
        raise ValueError(
            f"{len(lacking)} conditions of the split have no cells{where}: "
            f"{listed(sorted(lacking))}. The screen and the split are not of the same conditions."
        )
    return _narrowed(screen, kept).take(np.flatnonzero(keep))


def _inside(screen: PerturbationScreen, contexts: tuple[str, ...]) -> np.ndarray:
    unknown = sorted(set(contexts).difference(screen.contexts))
    if unknown:
        raise ValueError(
            f"The screen lacks {len(unknown)} contexts of the split: {listed(unknown)}; it has "
            f"{listed(screen.contexts)}."
        )
    places = [i for i, name in enumerate(screen.contexts) if not contexts or name in contexts]
    return np.isin(screen.context_index, places)


def _narrowed(screen: PerturbationScreen, kept: tuple[str, ...]) -> PerturbationScreen:
    # The other contexts' cells are about to go; till then they count as cells of the first.
    names = tuple(name for name in screen.contexts if not kept or name in kept)
    index = [names.index(name) if name in names else 0 for name in screen.contexts]
    moved = np.array(index, np.int32)[screen.context_index]
    return dataclasses.replace(screen, contexts=names, context_index=moved)
