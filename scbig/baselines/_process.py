"""A Gaussian process on what pairs do beyond the sum of their parts."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from scbig.data import Condition, Screen
from scbig.response import MixedEffects

from ._closed_form import AbstractEffects
from ._mixed import MixedResponses

LENGTHS = (0.3, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Length scales to choose from, in median distances between training pairs."""
NOISES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Variances of the noise to choose from, in variances of the process."""
LEAST = 8
"""Training pairs that must be there to choose by."""


class Process(NamedTuple):
    """A zero-mean Gaussian process with a squared exponential kernel, given training values.

    All columns of the values have one kernel and are independent otherwise.

    **Fields:** `inputs`, of the training; `length`, of the kernel; `noise`, as a multiple of
    `variance`; `variance`; `evidence`, the log marginal likelihood; `weights`, of the inputs.
    """

    inputs: Float[np.ndarray, "pairs features"]
    length: float
    noise: float
    variance: float
    evidence: float
    weights: Float[np.ndarray, "pairs outputs"]

    @classmethod
    def fit(
        cls,
        inputs: Float[np.ndarray, "pairs features"],
        values: Float[np.ndarray, "pairs outputs"],
        lengths: Sequence[float],
        noises: Sequence[float],
    ) -> "Process":
        """That of the largest marginal likelihood; of each, the variance is the best one.

        **Arguments:** `lengths`, `noises`, to choose from.
        """
        best: Process | None = None
        for length in lengths:
            scales, basis = np.linalg.eigh(_kernel(inputs, inputs, length))
            turned = basis.T @ values
            energy = np.sum(turned**2, axis=1)
            for noise in noises:
                own = np.maximum(scales, 0.0) + noise
                # Of values that are all zero any variance would do.
                variance = max(float(np.sum(energy / own)) / values.size, np.finfo(float).tiny)
                spread = values.shape[1] * np.sum(np.log(own))
                evidence = -0.5 * (spread + values.size * (np.log(2 * np.pi * variance) + 1))
                if best is None or evidence > best.evidence:
                    weights = basis @ (turned / own[:, None])
                    best = cls(inputs, length, noise, variance, float(evidence), weights)
        assert best is not None
        return best

    def __call__(
        self, inputs: Float[np.ndarray, "asked features"]
    ) -> Float[np.ndarray, "asked outputs"]:
        """Expected values."""
        return _kernel(inputs, self.inputs, self.length) @ self.weights


class ResidualProcess(AbstractEffects):
    r"""Sums of shrunken single effects, and what pairs with like parts did besides.

    Single effects $a$, $b$ are those of `MixedResponses`, as scores on the leading principal
    components of the training responses, each scaled to variance 1 over the training perturbations.
    What a pair does beyond their sum is a Gaussian process of $(a + b, |a - b|, a b)$, which does
    not depend on their order, with mean zero and one squared exponential kernel for all genes; each
    of its inputs is scaled by its deviation over the training pairs. Length scale, noise and
    variance are those of the largest marginal likelihood of the training pairs (Rasmussen and
    Williams, Gaussian processes, 2006, Eq. 2.30).

    Far from all training pairs, and of fewer than eight, nothing is added to the sum; nor is it
    where one perturbation was never seen, which has the effect that all share, or of more than two.
    A single perturbation has its shrunken effect.

    **Fields:** `singles`, for single effects; `axes`, from effects to scaled scores; `scale`, of
    the inputs; `process`, `None` without enough training pairs.
    """

    genes: tuple[str, ...]
    control_mean: Float[np.ndarray, " genes"]
    singles: MixedResponses
    axes: Float[np.ndarray, "genes components"]
    scale: Float[np.ndarray, " features"]
    process: Process | None

    @classmethod
    def fit(
        cls,
        screen: Screen,
        singles: MixedResponses | None = None,
        *,
        components: int = 20,
        lengths: Sequence[float] = LENGTHS,
        noises: Sequence[float] = NOISES,
    ) -> "ResidualProcess":
        """Shrinks the single effects, and chooses the process among all lengths and noises.

        **Arguments:**

        - `screen`: training cells.
        - `singles`: for single effects, fitted to the same cells; by default without `transfer`.
        - `components`: principal components, at most as many as conditions.
        - `lengths`: length scales, in root median squared distances between training pairs.
        - `noises`: variances of the noise, in variances of the process.

        **Raises:** a ValueError if the screen has only controls, or for a number that is not
        positive.
        """
        if components < 1 or not lengths or not noises or min(*lengths, *noises) <= 0:
            raise ValueError(
                f"components, lengths and noises must be positive: got {components}, {lengths} and "
                f"{noises}."
            )
        found = screen.responses()
        changes = found.by_condition().astype(np.float64)
        if singles is None:
            singles = MixedResponses.fit(screen, MixedEffects(transfer=False))
        _, _, directions = np.linalg.svd(changes, full_matrices=False)
        alone = _singles_of(found.perturbed)
        scores = singles.effects(alone) @ directions[:components].T
        axes = directions[:components].T / _positive(scores.std(axis=0))
        rows = [row for row, c in enumerate(found.perturbed) if len(c.perturbations) == 2]
        bare = cls(screen.genes, found.control_mean(), singles, axes, np.ones(1), None)
        if len(rows) < LEAST:
            return bare
        pairs = [found.perturbed[row] for row in rows]
        inputs = bare._inputs(pairs)
        scale = _positive(inputs.std(axis=0))
        far = cdist(inputs / scale, inputs / scale, "sqeuclidean")
        middle = np.median(far[np.triu_indices(len(pairs), 1)])
        scale = scale * _positive(np.sqrt(middle))
        residuals = changes[rows] - bare.effects(pairs)
        process = Process.fit(inputs / scale, residuals, lengths, noises)
        return cls(bare.genes, bare.control_mean, singles, axes, scale, process)

    def effects(self, conditions: Sequence[Condition]) -> Float[np.ndarray, "conditions genes"]:
        """Sums of the shrunken single effects, with residuals for pairs; none for the control."""
        alone = _singles_of(conditions)
        result = np.zeros((len(conditions), len(self.genes)))
        if alone:
            said = dict(zip(alone, self.singles.effects(alone).astype(np.float64), strict=True))
            for row, condition in enumerate(conditions):
                for part in _singles_of([condition]):
                    result[row] += said[part]
        seen = set(self.singles.fitted.known)
        rows = [
            row
            for row, c in enumerate(conditions)
            if len(c.perturbations) == 2 and seen.issuperset(c.perturbations)
        ]
        if self.process is not None and rows:
            result[rows] += self.process(self._inputs([conditions[r] for r in rows]) / self.scale)
        return result.astype(np.float32)

    def _inputs(self, pairs: Sequence[Condition]) -> Float[np.ndarray, "pairs features"]:
        parts = [_singles_of([pair]) for pair in pairs]
        one, other = (
            self.singles.effects([own[place] for own in parts]).astype(np.float64) @ self.axes
            for place in (0, 1)
        )
        return np.concatenate([one + other, np.abs(one - other), one * other], axis=1)


def _kernel(
    one: Float[np.ndarray, "rows features"],
    other: Float[np.ndarray, "columns features"],
    length: float,
) -> Float[np.ndarray, "rows columns"]:
    return np.exp(-cdist(one, other, "sqeuclidean") / (2 * length**2))


def _positive(values: np.ndarray | np.floating) -> np.ndarray:
    """As given, with 1 where a scale is zero."""
    return np.where(values > 0, values, 1.0)


def _singles_of(conditions: Sequence[Condition]) -> list[Condition]:
    """Each perturbation of the conditions, alone at its dose, once."""
    parts = [
        Condition((name,), (dose,))
        for c in conditions
        for name, dose in zip(c.perturbations, c.doses, strict=True)
    ]
    return list(dict.fromkeys(parts))
