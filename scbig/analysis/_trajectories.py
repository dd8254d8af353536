"""Cells on their way along the flow."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from scbig._typing import PRNGKeyArray
from scbig.data import CONTROL, Screen
from scbig.service import Course, TrainedModel, courses

from ._resample import bounds, means_drawn

ANCHORED = "control moved by the anchor"
"""What the flow of a model with an anchor starts from; that of others from the control itself."""


def times_of(number: int) -> tuple[float, ...]:
    """So many equally spaced flow times, from 0 to 1."""
    if number < 2:
        raise ValueError(f"A course has at least two times; got {number}.")
    return tuple(float(time) for time in np.linspace(0, 1, number))


def trajectories(
    model: TrainedModel,
    controls: Screen,
    conditions: Sequence[str],
    *,
    times: int = 11,
    cells: int = 64,
    key: PRNGKeyArray,
) -> pd.DataFrame:
    """Where each cell's latent is at some flow times, in a plane that all conditions share.

    The plane is that of the first two principal components of all latents at all times, each
    axis pointing where most of the cells end.

    **Arguments:** as for `scbig.service.courses`; `times`, how many, equally spaced.

    **Returns:** a row for each context, condition, cell (the name of its control) and `time`, with
    its place `x`, `y`, the `share` of the latents' variance that the plane holds, and what the flow
    starts from (`start`): the control, or what an anchor has made of it.

    **Raises:** as `scbig.service.courses`; `ValueError` for fewer than two times.
    """
    given = controls, conditions, times_of(times)
    found = [*courses(model, *given, cells=cells, key=key)]
    plane, centre, share = _plane(found)
    start, tables = ANCHORED if model.anchor is not None else CONTROL, []
    for own in found:
        places = (own.latents - centre) @ plane
        count, number = places.shape[:2]
        tables.append(
            pd.DataFrame(
                {
                    "context": own.context, "condition": own.condition,
                    "cell": np.tile(own.sources, count), "number": np.tile(range(number), count),
                    "time": np.repeat(own.times, number),
                    "x": places[..., 0].ravel(), "y": places[..., 1].ravel(), "share": share,
                    "start": start,
                }
            )
        )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def _plane(
    found: Sequence[Course],
) -> tuple[Float[np.ndarray, "latent 2"], Float[np.ndarray, " latent"], float]:
    """Two directions of largest variance, the centre, and the share of the variance."""
    whole = np.concatenate([own.latents.reshape(-1, own.latents.shape[-1]) for own in found])
    centre = whole.mean(axis=0, dtype=np.float64)
    _, sizes, rows = np.linalg.svd(whole - centre, full_matrices=False)
    rows = np.pad(rows, ((0, max(0, 2 - len(rows))), (0, 0)))[:2]
    ends = np.concatenate([own.latents[-1] - own.latents[0] for own in found])
    signs = np.where((ends @ rows.T).sum(axis=0) < 0, -1.0, 1.0)
    total = float((sizes**2).sum())
    share = float((sizes[:2] ** 2).sum()) / total if total > 0 else 1.0
    return (rows * signs[:, None]).T, centre, share


def program_course(
    model: TrainedModel,
    controls: Screen,
    conditions: Sequence[str],
    *,
    times: int = 11,
    cells: int = 64,
    draws: int = 500,
    seed: int = 0,
    key: PRNGKeyArray,
) -> pd.DataFrame:
    """How the mean expression of each program changes along the flow, from its start.

    The flow of a model with an anchor starts at controls that the anchor has moved: the change from
    time 0 is what the flow adds to the anchor's, which is not in it. The whole response is that of
    `program_response` of predicted cells.

    **Arguments:** as for `trajectories`; `draws` of cells with replacement, and their `seed`.

    **Returns:** a row for each context, condition, time and program: the `response`, the change
    from time 0 in log expression, with its 95 % bootstrap interval over cells from `low` to
    `high`.

    **Raises:** as `trajectories`.
    """
    weights = np.asarray(model.pure.partition.averaging(), np.float64)
    rng, tables = np.random.default_rng(seed), []
    given = controls, conditions, times_of(times)
    for own in courses(model, *given, cells=cells, key=key):
        means = own.expression @ weights
        for time, now in zip(own.times, means, strict=True):
            change = now - means[0]
            low, high = bounds(means_drawn(change, draws, rng))
            tables.append(
                pd.DataFrame(
                    {
                        "context": own.context, "condition": own.condition, "time": float(time),
                        "program": np.arange(weights.shape[1]), "response": change.mean(axis=0),
                        "low": low, "high": high,
                    }
                )
            )  # fmt: skip
    return pd.concat(tables, ignore_index=True)
