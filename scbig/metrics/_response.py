"""Metrics on mean profiles: how far the predicted response is from the measured one."""

import numpy as np
from jaxtyping import Float, Int

# A difference of two means below the resolution of float32 expression is rounding, not response.
_RESOLUTION = 1e-6


def response(
    mean: Float[np.ndarray, " genes"], control: Float[np.ndarray, " genes"]
) -> Float[np.ndarray, " genes"]:
    """Change of the mean profile with respect to the control mean, in float64.

    A change smaller than one millionth of the two means is rounding and becomes exactly zero:
    otherwise a prediction that is the control itself gets a correlation made of rounding errors.
    """
    mean, control = np.asarray(mean, np.float64), np.asarray(control, np.float64)
    delta = mean - control
    scale = np.maximum(np.abs(mean), np.abs(control))
    return np.where(np.abs(delta) <= _RESOLUTION * scale, 0.0, delta)


def top_genes(true: Float[np.ndarray, " genes"], top: int = 20) -> Int[np.ndarray, " top"]:
    """Indices of the `top` genes of largest absolute true response (ties: the lower index).

    With fewer genes than `top`, all of them.
    """
    return np.argsort(-np.abs(true), kind="stable")[:top]


def pearson(x: Float[np.ndarray, " genes"], y: Float[np.ndarray, " genes"]) -> float:
    """Pearson correlation (Eq. 12); NaN where either vector is constant, so undefined."""
    x, y = _centred(x), _centred(y)
    norms = np.linalg.norm(x) * np.linalg.norm(y)
    return float(np.clip(x @ y / norms, -1, 1)) if norms > 0 else float("nan")


def _centred(x: Float[np.ndarray, " genes"]) -> Float[np.ndarray, " genes"]:
    x = np.asarray(x, np.float64)
    # Scaled first, so that the products of tiny or huge entries neither vanish nor overflow.
    largest = np.abs(x).max(initial=0.0)
    if largest == 0:
        return x
    x = x / largest
    centred = x - x.mean()
    return np.where(np.linalg.norm(centred) <= 1e-12 * np.sqrt(x.size), 0.0, centred)


def cosine(x: Float[np.ndarray, " genes"], y: Float[np.ndarray, " genes"]) -> float:
    """Cosine of two responses (Eq. 18); NaN where either is zero, for it points nowhere."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    x = x / (np.abs(x).max(initial=0.0) or 1.0)
    y = y / (np.abs(y).max(initial=0.0) or 1.0)
    norms = np.linalg.norm(x) * np.linalg.norm(y)
    return float(np.clip(x @ y / norms, -1, 1)) if norms > 0 else float("nan")


def direction_accuracy(
    predicted: Float[np.ndarray, " genes"], true: Float[np.ndarray, " genes"]
) -> float:
    """Share of genes whose predicted direction of change is right (Eq. 13).

    A gene goes up if its response is positive and down otherwise, so that no change counts as
    down on both sides, as in the authors' code.
    """
    return float(np.mean((predicted > 0) == (true > 0)))


def response_scores(
    predicted: Float[np.ndarray, " genes"],
    observed: Float[np.ndarray, " genes"],
    control: Float[np.ndarray, " genes"],
    *,
    top: int = 20,
    start: Float[np.ndarray, " genes"] | None = None,
) -> dict[str, float]:
    """All metrics that compare one predicted mean profile with one measured mean profile.

    **Arguments:**

    - `predicted`: mean of the predicted cells.
    - `observed`: mean of the measured cells of the same perturbation.
    - `control`: mean of the measured control cells, the origin of both responses.
    - `top`: number of genes, by absolute true response, of the `_deg20` metrics.
    - `start`: the origin of the predicted response, if it is another one.

    **Returns:** `pearson_delta`, `pearson_delta_deg20`, `acc`, `acc_deg20`, `l2`, `mse`, `mae`,
    `discr_cos` (A.4.4, Eq. 10 to 13 and 18).
    """
    guess = response(predicted, control if start is None else start)
    truth = response(observed, control)
    strongest = top_genes(truth, top)
    error = np.asarray(predicted, np.float64) - np.asarray(observed, np.float64)
    return {
        "pearson_delta": pearson(guess, truth),
        "pearson_delta_deg20": pearson(guess[strongest], truth[strongest]),
        "acc": direction_accuracy(guess, truth),
        "acc_deg20": direction_accuracy(guess[strongest], truth[strongest]),
        "l2": float(np.linalg.norm(error)),
        "mse": float(np.mean(error**2)),
        "mae": float(np.mean(np.abs(error))),
        "discr_cos": cosine(guess, truth),
    }
