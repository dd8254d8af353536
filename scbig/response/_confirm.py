"""Whether relations between perturbations help where one was never seen."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float

from ._choose import Band, Measured
from ._design import Strengths


def confirmed(
    measured: Measured,
    bands: Sequence[Band],
    rows: Bool[np.ndarray, " rows"],
    candidates: Sequence[float],
    *,
    least: int,
) -> float:
    """How much of an effect relations tell, or none if left-out perturbations do not confirm it.

    Every perturbation is left out in turn, with all conditions that it is in, as if it had never
    been seen. The candidate of least error counts only if it is better than none by more than the
    standard error of the difference over perturbations.

    **Arguments:** `bands`, with the variances of this kind of condition; `rows`, those of the
    kind, which are judged; `candidates`, for `Strengths.related`; `least`, perturbations that must
    be there to judge by.
    """
    plain = left_out_blocks(measured, bands, rows, 0.0)
    judged = np.isfinite(plain)
    if judged.sum() < max(least, 2):
        return 0.0
    gains = {
        related: (plain - left_out_blocks(measured, bands, rows, related))[judged]
        for related in candidates
        if related > 0
    }
    best = max(gains, key=lambda related: gains[related].mean(), default=0.0)
    if best == 0:
        return 0.0
    doubt = gains[best].std(ddof=1) / np.sqrt(judged.sum())
    return best if gains[best].mean() > doubt else 0.0


def left_out_blocks(
    measured: Measured,
    bands: Sequence[Band],
    rows: Bool[np.ndarray, " rows"],
    related: float,
) -> Float[np.ndarray, " perturbations"]:
    r"""The mean squared error of the conditions of each perturbation as the others predict them.

    With $B$ the conditions that the perturbation is in, their errors are
    $(K^{-1})_{BB}^{-1} (K^{-1} y)_B$ (Rasmussen and Williams, Eq. 5.12, for several at once).

    **Arguments:** as of `confirmed`; `related`, in place of the bands' own.

    **Returns:** over the conditions of the kind, summed over components; NaN where it has none.
    """
    found = np.where(_judged(measured, rows).any(axis=0), 0.0, np.nan)
    for band in bands:
        strengths = dataclasses.replace(band.strengths, related=related)
        for column, judged, errors, _ in _blocks(measured, strengths, band.components, rows):
            found[column] += np.mean(np.sum(errors[judged] ** 2, axis=1))
    return found


def related_band(
    measured: Measured, band: Band, rows: Bool[np.ndarray, " rows"], related: float
) -> Band:
    """The same components with this much of relations besides, for what was never seen.

    The unit of its variances is that of the errors of left-out perturbations: those of rows left
    out by themselves say little of how far a perturbation is from its like.
    """
    strengths = dataclasses.replace(band.strengths, related=related)
    ratios = [
        errors[judged] ** 2 / spread[judged, None]
        for _, judged, errors, spread in _blocks(measured, strengths, band.components, rows)
    ]
    solved = measured.band(strengths, band.components, rows)
    return dataclasses.replace(solved, unit=np.concatenate(ratios).mean(axis=0))


def _judged(
    measured: Measured, rows: Bool[np.ndarray, " rows"]
) -> Bool[np.ndarray, "rows perturbations"]:
    return measured.design.present & rows[:, None]


def _blocks(
    measured: Measured, strengths: Strengths, components: slice, rows: Bool[np.ndarray, " rows"]
) -> Iterator[tuple[int, Bool[np.ndarray, " block"], np.ndarray, np.ndarray]]:
    """Each perturbation with conditions in `rows`: which of its own these are, errors, variances.

    Errors and variances are of all its conditions, as those without it predict them.
    """
    inverse = measured.inverse(strengths)
    weights = inverse @ measured.scores[:, components]
    for column in np.flatnonzero(_judged(measured, rows).any(axis=0)):
        block = np.flatnonzero(measured.design.present[:, column])
        spread = np.linalg.inv(inverse[np.ix_(block, block)])
        yield int(column), rows[block], spread @ weights[block], np.diag(spread)
