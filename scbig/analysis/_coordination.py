"""What programs do under a perturbation: how they respond, and which move together (Table 5)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from scbig.data import Screen
from scbig.programs import AbstractPartition

from ._resample import bounds, drawn, means_drawn, populations, response_rows


def program_means(
    screen: Screen, partition: AbstractPartition
) -> Float[np.ndarray, "cells programs"]:
    """The mean expression of each program's genes in each cell."""
    if partition.num_genes != screen.num_genes:
        raise ValueError(
            f"The programs are of {partition.num_genes} genes, the cells of {screen.num_genes}."
        )
    return screen.project(np.asarray(partition.averaging(), np.float64))


def program_response(
    screen: Screen,
    partition: AbstractPartition,
    conditions: Sequence[str] = (),
    *,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """The change of each program's mean expression from the controls of the context.

    **Arguments:** `screen`, cells with their controls, measured or predicted; `partition`, of its
    genes; `conditions`, all by default; `draws` of cells and of controls with replacement, and
    their `seed`.

    **Returns:** a row for each context, condition and program: the `response` in units of log
    expression, its 95 % bootstrap interval from `low` to `high`, `cells` and `controls`.

    **Raises:** `ValueError` for programs of other genes, and a condition without cells.
    """
    means, tables = program_means(screen, partition), []
    rng = np.random.default_rng(seed)
    for context, name, rows, controls in populations(screen, tuple(conditions)):
        change = means[rows].mean(axis=0) - means[controls].mean(axis=0)
        again = means_drawn(means[rows], draws, rng) - means_drawn(means[controls], draws, rng)
        key = {"context": context, "condition": name, "program": np.arange(len(change))}
        tables.append(response_rows(key, change, bounds(again), len(rows), len(controls)))
    return pd.concat(tables, ignore_index=True)


def coactivation(
    screen: Screen,
    partition: AbstractPartition,
    conditions: Sequence[str] = (),
    *,
    draws: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Which pairs of programs go up and down together among the cells of a condition (Table 5).

    Coactivation is the Pearson correlation of two programs' mean expression over the condition's
    cells, `R` of Eq. 7; a program that is constant there correlates with nothing, and has zeros.
    Differences of sequencing depth move all programs together: the controls' correlation stands
    beside it.

    **Arguments:** as for `program_response`; `draws` of cells with replacement.

    **Returns:** a row for each context, condition and pair: programs `one` < `other`,
    `coactivation`, that of the `control`, `positive`, the share of draws in which it is above zero,
    `above`, the share in which it is above that of as many draws of the controls, and `cells`.

    **Raises:** `ValueError` for programs of other genes, and a condition without cells.
    """
    means, tables = program_means(screen, partition), []
    rng = np.random.default_rng(seed)
    one, other = np.triu_indices(means.shape[1], 1)
    for context, name, rows, controls in populations(screen, tuple(conditions)):
        pair = lambda r: r[..., one, other]
        again = pair(_correlations(means[rows], drawn(len(rows), draws, rng)))
        still = pair(_correlations(means[controls], drawn(len(controls), draws, rng)))
        tables.append(
            pd.DataFrame(
                {
                    "context": context, "condition": name, "one": one, "other": other,
                    "coactivation": pair(_correlation(means[rows])),
                    "control": pair(_correlation(means[controls])),
                    "positive": (again > 0).mean(axis=0), "above": (again > still).mean(axis=0),
                    "cells": len(rows),
                }
            )
        )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def _correlations(
    means: Float[np.ndarray, "cells programs"], times: np.ndarray
) -> Float[np.ndarray, "draws programs programs"]:
    """Of each draw, in which every cell is so many times."""
    return np.stack([_correlation(np.repeat(means, own, axis=0)) for own in times])


def _correlation(
    means: Float[np.ndarray, "cells programs"],
) -> Float[np.ndarray, "programs programs"]:
    centred = means - means.mean(axis=0)
    scale = np.sqrt((centred**2).mean(axis=0))
    varies = scale > 1e-9 * np.maximum(np.abs(means).max(axis=0), 1e-30)
    standard = centred * np.where(varies, 1 / np.where(varies, scale, 1.0), 0.0)
    return standard.T @ standard / len(means)
