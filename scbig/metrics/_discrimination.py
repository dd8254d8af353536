"""Whether a prediction is nearer to its own perturbation than to the others: PDS."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

Distance = Literal["l1", "l2", "cosine"]
Denominator = Literal["n-1", "n"]


def discrimination_scores(
    predicted: Float[np.ndarray, "perturbations genes"],
    observed: Float[np.ndarray, "perturbations genes"],
    *,
    distance: Distance = "l1",
    denominator: Denominator = "n-1",
    left_out: Bool[np.ndarray, "perturbations genes"] | None = None,
) -> Float[np.ndarray, " perturbations"]:
    """Perturbation discrimination score of each perturbation (PDS, Eq. 15).

    `1 - rank / (N - 1)`, where `rank`, from 0, is the place of the true perturbation among all `N`
    when their measured profiles are sorted by distance to the predicted one. Ties get the middle
    rank, so a prediction that is the same for all perturbations scores 0.5 on average, unless
    genes are left out: that alone tells predictions apart.

    **Arguments:**

    - `predicted`: predicted means, or responses.
    - `observed`: measured ones of the same perturbations in the same order.
    - `distance`: L1 as in the paper, L2, or the cosine distance, of which only that of responses
        means something; a response of zero points nowhere, and is at the distance 1 of all.
    - `denominator`: `"n"` divides by `N`, as cell-eval does; its best score is 1, its worst 1/N.
    - `left_out`: for each prediction the genes that do not count, such as those perturbed
        (`perturbed_genes`), as in the paper's code; cell-eval leaves out the gene of that name.

    **Returns:** the scores; NaN for a single perturbation, from which nothing can be told apart.
    """
    count = len(predicted)
    if count < 2:
        return np.full(count, np.nan)
    kept = np.ones(predicted.shape, bool) if left_out is None else ~left_out
    rows = zip(predicted, kept, strict=True)
    distances = np.stack([_distances(own[k], observed[:, k], distance) for own, k in rows])
    own = np.diagonal(distances)[:, None]
    closer = (distances < own).sum(axis=1)
    tied = (distances == own).sum(axis=1) - 1
    return 1 - (closer + tied / 2) / (count - 1 if denominator == "n-1" else count)


def perturbed_genes(
    perturbations: list[tuple[str, ...]], genes: tuple[str, ...]
) -> Bool[np.ndarray, "perturbations genes"]:
    """Which genes each condition perturbs, of those that were measured.

    **Arguments:** `perturbations`, of each condition, such as `Condition.perturbations`.
    """
    names = np.array(genes, object)
    return np.array([np.isin(names, own) for own in perturbations]).reshape(-1, len(genes))


def _distances(
    one: Float[np.ndarray, " genes"], all_: Float[np.ndarray, "perturbations genes"], kind: Distance
) -> Float[np.ndarray, " perturbations"]:
    if kind == "l1":
        return np.abs(all_ - one).sum(axis=1)
    if kind == "l2":
        return np.sqrt(((all_ - one) ** 2).sum(axis=1))
    norms = np.linalg.norm(all_, axis=1) * np.linalg.norm(one)
    return 1 - np.divide(all_ @ one, norms, out=np.zeros(len(all_)), where=norms > 0)
