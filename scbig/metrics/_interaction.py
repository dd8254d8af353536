"""Genetic interactions: how the response to two perturbations differs from the sum of the two."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from ._response import pearson, response

Response = Float[np.ndarray, " genes"]
BLOCK = 512
"""Points whose distances to all others are in memory at once."""

INTERACTIONS = (
    "gi_pearson",
    "gi_error",
    "gi_magnitude",
    "gi_dominance",
    "gi_fit",
    "gi_similarity",
)


@dataclass(frozen=True, kw_only=True)
class Interaction:
    r"""How a double's response is made of its two singles' (Norman et al. 2019).

    With $\delta_{AB} \approx c_1 \delta_A + c_2 \delta_B$, where the coefficients are those of
    least squares over genes:

    **Fields:** `magnitude`, $\sqrt{c_1^2 + c_2^2}$, $\sqrt 2$ where the effects add up: larger is
    synergy, smaller buffering; `dominance`, $|\log_{10} |c_1 / c_2||$, 0 where both count alike;
    `fit`, the distance correlation of what the fit gives with $\delta_{AB}$: low is neomorphism;
    `similarity`, of the pair of singles' responses with the double's, and `redundancy`, of the one
    single's response with the other's: high where both do the same.
    """

    magnitude: float
    dominance: float
    fit: float
    similarity: float
    redundancy: float


def interaction(double: Response, first: Response, second: Response) -> Interaction:
    """The scores of one double, measured or predicted.

    **Arguments:** `double`, its response; `first` and `second`, those of its singles.

    **Returns:** the scores; NaN where a response is zero, so that nothing can be fitted.
    """
    pair = np.stack([first, second], axis=1).astype(np.float64)
    if not (np.any(double) and np.all(np.any(pair != 0, axis=0))):
        return Interaction(**dict.fromkeys(Interaction.__dataclass_fields__, float("nan")))
    (one, other), *_ = np.linalg.lstsq(pair, np.asarray(double, np.float64), rcond=None)
    with np.errstate(divide="ignore", invalid="ignore"):
        dominance = abs(np.log10(abs(one)) - np.log10(abs(other)))
    return Interaction(
        magnitude=float(np.hypot(one, other)),
        dominance=float(dominance),
        fit=distance_correlation(pair @ np.array([one, other]), double),
        similarity=distance_correlation(pair, double),
        redundancy=distance_correlation(first, second),
    )


def interaction_scores(
    predicted: Response,
    observed: Response,
    first: Response,
    second: Response,
    *,
    start: tuple[Response, Response] | None = None,
) -> dict[str, float]:
    """How well a prediction knows what a double does beyond the sum of its singles.

    **Arguments:** `predicted` and `observed`, the double's responses; `first` and `second`, those
    of its singles as they were measured; `start`, these as they are from the origin of the
    prediction, if it is another one.

    **Returns:** `gi_pearson`, the correlation of predicted and measured deviations from the sum
    (NaN of a prediction that is the sum); `gi_error`, the squared distance of the two deviations
    divided by the squared length of the measured one: 1 for the sum, 0 for the truth; and the error
    of each score of `interaction`, predicted less measured, as `gi_magnitude` and so on.
    """
    sides = (predicted, *(start or (first, second))), (observed, first, second)
    guess, truth = (response(own, np.asarray(a, np.float64) + b) for own, a, b in sides)
    size = float(np.sum(truth**2))
    scores = [interaction(*side) for side in sides]
    errors = {
        f"gi_{name}": getattr(scores[0], name) - getattr(scores[1], name)
        for name in Interaction.__dataclass_fields__
        if name != "redundancy"  # the same on both sides
    }
    return {
        "gi_pearson": pearson(guess, truth),
        "gi_error": float(np.sum((guess - truth) ** 2)) / size if size else float("nan"),
        **errors,
    }


def distance_correlation(
    x: Float[np.ndarray, "..."],
    y: Float[np.ndarray, "..."],
) -> float:
    """Distance correlation of two sets of points (Szekely, Rizzo and Bakirov 2007), in [0, 1].

    Zero if and only if they are independent, in the limit of many points; NaN where one is
    constant.

    **Arguments:** `x` and `y`, a number or a row of numbers for each point.
    """
    points = [np.asarray(own, np.float64).reshape(len(own), -1) for own in (x, y)]
    number = len(points[0])
    rows, products = np.empty((2, number)), np.zeros(3)
    # The matrices of distances, of which a block at a time is in memory; that they are centred only
    # takes the means of rows from the mean of a product.
    for start in range(0, number, BLOCK):
        part = slice(start, start + BLOCK)
        a, b = (cdist(own[part], own) for own in points)
        rows[0, part], rows[1, part] = a.mean(axis=1), b.mean(axis=1)
        products += [np.vdot(one, other) for one, other in ((a, b), (a, a), (b, b))]
    centre = lambda i, j: rows[i].mean() * rows[j].mean() - 2 * np.mean(rows[i] * rows[j])
    centred = (centre(0, 1), centre(0, 0), centre(1, 1))
    covariance, first, second = products / number**2 + centred
    # Of what is constant every distance is zero, and so are these, exactly.
    if first <= 0 or second <= 0:
        return float("nan")
    return float(np.sqrt(max(covariance, 0.0) / np.sqrt(first * second)))
