"""The part of a screen that is in some of its contexts."""

import dataclasses
from collections.abc import Collection

import numpy as np
from jaxtyping import Bool

from scbig._names import examples

from ._screen import Screen


def in_contexts(screen: Screen, names: Collection[str]) -> Bool[np.ndarray, " cells"]:
    """Which cells are in some contexts, all if none is named.

    **Raises:** `ValueError` for a context that the screen has not.
    """
    unknown = sorted({*names} - {*screen.contexts})
    if unknown:
        known = "none" if screen.contexts == ("",) else examples(screen.contexts)
        raise ValueError(
            f"The screen lacks {len(unknown)} contexts that are asked for: {examples(unknown)}; it "
            f"has {known}."
        )
    places = [place for place, own in enumerate(screen.contexts) if not names or own in names]
    return np.isin(screen.context_index, places)


def of_contexts(
    screen: Screen, names: Collection[str], cells: Bool[np.ndarray, " cells"] | None = None
) -> Screen:
    """The cells of some contexts, which are then all that the result has; of all if none is named.

    **Arguments:** `cells`, which of them to take, by default all; every context must keep its
    controls.

    **Raises:** `ValueError` for a context that the screen has not.
    """
    inside = in_contexts(screen, names)
    if cells is None and inside.all():
        return screen
    kept = tuple(own for own in screen.contexts if not names or own in names)
    # The others' cells are about to go; till then they count as cells of the first.
    index = [kept.index(own) if own in kept else 0 for own in screen.contexts]
    moved = np.array(index, np.int32)[screen.context_index]
    narrowed = dataclasses.replace(screen, contexts=kept, context_index=moved)
    return narrowed.take(np.flatnonzero(inside if cells is None else inside & cells))
