"""Distances of one predicted and one measured population, in principal components."""

from typing import Any

import numpy as np
from jaxtyping import Float

from ._distribution import Matrix, Projection, energy_distance
from ._scoring import Scoring

EPSILON = 0.02
"""Entropy of the Wasserstein distance's plan, in mean distances between the two populations."""

_ITERATIONS = 2000
_CONVERGED = 0.01  # of the plan's mass may be elsewhere than it should

Coordinates = Float[np.ndarray, "_cells components"]


def distances(
    predicted: Matrix,
    measured: Matrix,
    projection: Projection,
    scoring: Scoring,
    rng: np.random.Generator,
) -> dict[str, float]:
    """The columns of a table that compare populations.

    **Arguments:** cells by genes; `projection`, to where distances are taken; `scoring`, which of
    them, of how many cells; `rng`, of the draw of these cells.

    **Returns:** `e_distance`; with `scoring.wasserstein` the `wasserstein` distance too; with
    `scoring.equal_cells` each `_floor` as well. NaN of too few cells.
    """
    most, floors = scoring.max_cells, {}
    if scoring.equal_cells:
        drawn = equal_draws(predicted, measured, most, rng)
        guess, truth, other = (projection(cells) for cells in drawn)
        floors = _between(other, truth, scoring, "_floor")
    else:
        guess, truth = (projection(subsample(cells, most, rng)) for cells in (predicted, measured))
    return _between(guess, truth, scoring, "") | floors


def _between(
    one: Coordinates, other: Coordinates, scoring: Scoring, suffix: str
) -> dict[str, float]:
    fewest = min(len(one), len(other))
    # A single cell has no distance to others of its population.
    defined = fewest >= (2 if scoring.unbiased else 1)
    energy = energy_distance(one, other, unbiased=scoring.unbiased) if defined else np.nan
    found = {f"e_distance{suffix}": energy}
    if scoring.wasserstein:
        found[f"wasserstein{suffix}"] = wasserstein(one, other) if fewest else np.nan
    return found


def wasserstein(x: Coordinates, y: Coordinates) -> float:
    """The Wasserstein distance of two populations under an entropic plan: `sinkhorn_distance`.

    **Returns:** the distance with the entropy `EPSILON`; NaN if the plan has not converged.
    """
    # Here, for a table without it starts no JAX.
    import jax.numpy as jnp

    from scbig.ot import sinkhorn_distance

    (x, row_mass), (y, column_mass) = _padded(x), _padded(y)
    on_device = lambda values: jnp.asarray(values, jnp.float32)
    found = sinkhorn_distance(
        on_device(x),
        on_device(y),
        epsilon=EPSILON,
        iterations=_ITERATIONS,
        masses=(on_device(row_mass), on_device(column_mass)),
    )
    return float(found.value) if float(found.error) <= _CONVERGED else float("nan")


def _padded(cells: Coordinates) -> tuple[Coordinates, Float[np.ndarray, " _cells"]]:
    """The cells, some of them in two or more pieces of their mass, and these masses.

    A cell in pieces is the same population. A power of two of them: each other number would be a
    program of its own to compile.
    """
    count = len(cells)
    place = np.arange(1 << (count - 1).bit_length()) % count
    return cells[place], 1 / (count * np.bincount(place)[place])


def equal_draws(
    predicted: Matrix, measured: Matrix, most: int | None, rng: np.random.Generator
) -> tuple[Matrix, Matrix, Matrix]:
    """As many predicted cells as measured ones, and as many other measured ones.

    **Returns:** each of `n` cells without replacement, where `n` is the least of the predicted
    cells, half of the measured ones and `most`.
    """
    count: Any = measured.shape[0]
    n = min(predicted.shape[0], count // 2, count if most is None else most)
    order = rng.permutation(count)  # first: the halves do not depend on what is predicted
    own = rng.choice(predicted.shape[0], n, replace=False)
    rows = np.sort(own), np.sort(order[:n]), np.sort(order[n : 2 * n])
    return predicted[rows[0]], measured[rows[1]], measured[rows[2]]


def subsample(values: Matrix, most: int | None, rng: np.random.Generator) -> Matrix:
    """At most so many of the cells, drawn without replacement."""
    if most is None or values.shape[0] <= most:
        return values
    return values[np.sort(rng.choice(values.shape[0], most, replace=False))]
