"""Which control cells the prediction of a population starts from."""

import zlib

import jax.random as jr
import numpy as np
from jaxtyping import Int

from scbig._typing import PRNGKeyArray
from scbig.data import Condition


def population_key(key: PRNGKeyArray, condition: Condition, context: str) -> PRNGKeyArray:
    """The key of one population: by name, so that it does not depend on what else is predicted.

    **Arguments:** `context`, its name, empty where there are none.
    """
    return jr.fold_in(key, zlib.crc32(f"{context}\n{condition.name}".encode()))


def start_rows(
    available: Int[np.ndarray, " available"],
    condition: Condition,
    context: str,
    cells: int | None,
    *,
    key: PRNGKeyArray,
) -> Int[np.ndarray, " cells"]:
    """Rows of the control cells that a population is predicted from, the same for any predictor.

    **Arguments:**

    - `available`: the rows of the controls of its context.
    - `cells`: how many to draw, with replacement only if there are fewer; all of them, in their
        order, if it is `None`.
    - `key`: of all populations of a prediction.

    **Raises:** a ValueError if there is no control, or no cell is asked for.
    """
    if cells is None:
        return available
    if cells < 1 or not len(available):
        raise ValueError(
            f"cells must be positive or None, with controls to draw from: got {cells} cells of "
            f"{len(available)} controls."
        )
    own = population_key(key, condition, context)
    few = cells > len(available)
    return available[np.asarray(jr.choice(own, len(available), (cells,), replace=few))]
