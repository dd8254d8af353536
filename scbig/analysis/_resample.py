"""Cells drawn anew: how sure a figure of a population is."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from scbig._names import examples
from scbig.data import Screen

LEVEL = 0.95


def drawn(cells: int, draws: int, rng: np.random.Generator) -> Int[np.ndarray, "draws cells"]:
    """For each draw with replacement how often each cell is in it."""
    return rng.multinomial(cells, np.full(cells, 1 / cells), size=draws)


def means_drawn(
    values: Float[np.ndarray, "cells features"], draws: int, rng: np.random.Generator
) -> Float[np.ndarray, "draws features"]:
    """The mean of each feature over each draw of the cells."""
    return averaged(values, drawn(len(values), draws, rng))


def averaged(
    values: Float[np.ndarray, "cells features"], times: Int[np.ndarray, "draws cells"]
) -> Float[np.ndarray, "draws features"]:
    """The mean of each feature over each draw, in which every cell is so many times."""
    return times @ values / len(values)


def generator(seed: int, *names: str) -> np.random.Generator:
    """Random numbers of what is called so: the same, whatever else is drawn."""
    return np.random.default_rng([seed, *"\0".join(names).encode()])


def bounds(
    values: Float[np.ndarray, "draws features"],
) -> tuple[Float[np.ndarray, " features"], Float[np.ndarray, " features"]]:
    """The 95 % percentile interval of each figure over the draws (Efron 1979)."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return low, high


def response_rows(
    key: dict[str, Any],
    change: Float[np.ndarray, " features"],
    interval: tuple[Float[np.ndarray, " features"], Float[np.ndarray, " features"]],
    cells: int,
    controls: int,
) -> pd.DataFrame:
    """The rows of a population in a table of responses, behind what they are of."""
    numbers = {"response": change, "low": interval[0], "high": interval[1]}
    return pd.DataFrame({**key, **numbers, "cells": cells, "controls": controls})


def populations(
    screen: Screen, conditions: tuple[str, ...]
) -> Iterator[tuple[str, str, Int[np.ndarray, " cells"], Int[np.ndarray, " controls"]]]:
    """Context, condition, its rows and those of the controls, wherever it has cells.

    **Arguments:** `conditions`, by name; none for all but the control.

    **Raises:** a ValueError for a condition that the screen has not, and for controls alone.
    """
    known = {c.name: c for c in screen.conditions if not c.is_control}
    names = conditions or tuple(known)
    if not names:
        raise ValueError("All cells are controls: there is no perturbation to look at.")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"The cells have no condition {examples(unknown)}.")
    for context in screen.contexts:
        place = None if screen.contexts == ("",) else context
        controls = screen.rows("control", place)
        for name in names:
            rows = screen.rows(name, place)
            if len(rows):
                yield context, name, rows, controls
