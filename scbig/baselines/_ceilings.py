"""What no predictor can be expected to exceed: a replicate, and the same through an autoencoder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse

from scbig.data import LabelledCells
from scbig.metrics import Scoring, Truth, halves, named

CEILING = "split-half"
AUTOENCODER = "autoencoder ceiling"

RoundTrip = Callable[
    [Float[np.ndarray, "_cells genes"], Sequence[str]], Float[np.ndarray, "_cells genes"]
]
"""From cells and the names of their genes to the cells encoded and decoded, genes as they were."""


def ceilings(
    measured: LabelledCells,
    wanted: Mapping[str, Sequence[str]],
    *,
    round_trip: RoundTrip | None,
    controls: LabelledCells,
    held: LabelledCells | None,
    reference: LabelledCells | None,
    scoring: Scoring,
) -> dict[str, pd.DataFrame]:
    """One half of the measured cells against the other, and before it the same, encoded, decoded.

    Both are judged by the same other half, so that their difference is the autoencoder's.

    **Arguments:** `wanted`, by context the conditions, in each context the same; `round_trip`,
    without which the second has no row; the others as for `Truth.of`.

    **Raises:** a ValueError for populations with fewer than 4 cells, named, and for a round trip
    whose cells are not those it was given, or not finite.
    """
    names = next(iter(wanted.values()))
    half, other = halves(_within(measured, wanted), names, scoring.seed)
    beside: Any = {"controls": controls, "held": held, "reference": reference}
    truth = Truth.of(other, wanted, **beside, scoring=scoring)
    found = {CEILING: truth.table(_populations(half, wanted))}
    if round_trip is None:
        return found
    return {AUTOENCODER: truth.table(_decoded(half, wanted, round_trip)), **found}


def _within(cells: LabelledCells, wanted: Mapping[str, Sequence[str]]) -> LabelledCells:
    """The cells of what is wanted."""
    rows = [cells.populations[context][name] for context, names in wanted.items() for name in names]
    return cells.take(np.sort(np.concatenate(rows)))


def _populations(
    cells: LabelledCells, wanted: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str, Any]]:
    """Each wanted population with its context and condition."""
    for context, names in wanted.items():
        for name in names:
            yield context, name, cells.cells(name, context)


def _decoded(
    cells: LabelledCells, wanted: Mapping[str, Sequence[str]], round_trip: RoundTrip
) -> Iterator[tuple[str, str, Any]]:
    """The same, encoded and decoded, one population at a time."""
    for context, name, values in _populations(cells, wanted):
        given = np.asarray(values.toarray() if sparse.issparse(values) else values)
        found = round_trip(given, cells.genes)
        if found.shape != given.shape or not np.isfinite(found).all():
            raise ValueError(
                f"The round trip of {named(name, context)} made {found.shape} cells and genes of "
                f"{given.shape}, {int(np.isfinite(found).sum())} of {found.size} values finite. It "
                "must keep all cells and genes, and be finite."
            )
        yield context, name, found
