"""What a combination deviated from the sum of its parts informs others with one of them."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, Int

from scbig.data import Condition

SHRINK = 1.5
"""As many combinations without any residual are added to those of a perturbation."""
FOLDS = 5
"""Parts of the combinations that are left out in turn."""
SHARE = 0.5
"""Of the transferred prediction, the rest being the one that it is put beside."""


class Transfer(eqx.Module):
    r"""Sums of measured single effects, with residuals of other combinations.

    A combination whose perturbations were all measured alone in its context, at its doses, is
    expected to do what they do, and for each perturbation $p$ half of the shrunk mean residual
    $\sum_c r_c / (n_p + 1.5)$ of the $n_p$ training combinations $c$ that contain $p$. The residual
    $r_c$ is what $c$ was measured to do beyond the sum.

    **Fields:** `parts`, each perturbation with its dose and its context; `single`, what it does
    alone; `added`, what it adds to a combination; `names` and `contexts`, of the training rows;
    `covered`, which of them are such combinations, and `expected`, what the others say of these.
    """

    parts: tuple[tuple[str, str], ...]
    single: Float[np.ndarray, "parts genes"]
    added: Float[np.ndarray, "parts genes"]
    names: tuple[str, ...]
    contexts: tuple[str, ...]
    covered: Bool[np.ndarray, " training"]
    expected: Float[np.ndarray, "training genes"]

    @classmethod
    def fit(
        cls,
        conditions: Sequence[Condition],
        changes: Float[np.ndarray, "training genes"],
        contexts: Sequence[str],
    ) -> "Transfer":
        """Learns the residuals of the combinations whose perturbations were all measured alone."""
        alone = {
            (c.labels[0], context): row
            for row, (c, context) in enumerate(zip(conditions, contexts, strict=True))
            if len(c.perturbations) == 1
        }
        place = {part: number for number, part in enumerate(alone)}
        found = [_places(c, x, place) for c, x in zip(conditions, contexts, strict=True)]
        covered = np.array([own is not None for own in found])
        counts = np.zeros((len(conditions), len(place)))
        for row in np.flatnonzero(covered):
            counts[row, found[row]] = 1.0
        single = changes[list(alone.values())]
        residuals = np.where(covered[:, None], changes - counts @ single, 0.0)
        numbers, sums = counts.sum(axis=0), counts.T @ residuals
        added = 0.5 * sums / (numbers + SHRINK)[:, None]
        # Without its own residual: of each perturbation one combination less.
        expected = counts @ single
        for row in np.flatnonzero(covered):
            own = found[row]
            rest = (sums[own] - residuals[row]) / (numbers[own] - 1 + SHRINK)[:, None]
            expected[row] += 0.5 * rest.sum(axis=0)
        names = tuple(c.name for c in conditions)
        return cls(tuple(place), single, added, names, tuple(contexts), covered, expected)

    def among_training(
        self, others: Float[np.ndarray, "training genes"]
    ) -> Float[np.ndarray, "training genes"]:
        """Of each training row, what all but itself say: the mean of both models where it can."""
        both = (1 - SHARE) * others + SHARE * self.expected
        return np.where(self.covered[:, None], both, others)

    def __call__(
        self,
        conditions: Sequence[Condition],
        contexts: Sequence[str] | None,
        others: Float[np.ndarray, "conditions genes"],
    ) -> Float[np.ndarray, "conditions genes"]:
        """The mean of both models for combinations that were not seen, else the other's.

        **Arguments:** `contexts`, of each condition, by default the one of the training; where that
        had several, nothing is transferred without them.
        """
        if contexts is None:
            if len(set(self.contexts)) > 1:
                return others
            contexts = self.contexts[:1] * len(conditions)
        place = {part: number for number, part in enumerate(self.parts)}
        seen = set(zip(self.names, self.contexts, strict=True))
        result = others.copy()
        for row, (condition, context) in enumerate(zip(conditions, contexts, strict=True)):
            own = _places(condition, context, place)
            if own is not None and (condition.name, context) not in seen:
                guess = np.sum(self.single[own] + self.added[own], axis=0)
                result[row] = (1 - SHARE) * others[row] + SHARE * guess
        return result


def transfer_helps(
    fit: Callable[[Int[np.ndarray, " kept"]], Any],
    conditions: Sequence[Condition],
    changes: Float[np.ndarray, "training genes"],
    contexts: Sequence[str],
    combined: Int[np.ndarray, " combined"],
) -> bool:
    """Whether combinations that are left out are better predicted by the mean of both models.

    **Arguments:** `fit`, the other model of some rows; `combined`, the rows to leave out, a part of
    them at a time.

    **Returns:** whether the mean gain in correlation with the response is more than its standard
    error.
    """
    gains = []
    for part in range(FOLDS):
        held = combined[part::FOLDS].tolist()
        if not held:
            continue
        kept = np.setdiff1d(np.arange(len(conditions)), held).tolist()
        asked, places = [conditions[row] for row in held], [str(contexts[row]) for row in held]
        others = fit(np.array(kept)).means(asked, places)
        known, where = [conditions[row] for row in kept], [str(contexts[row]) for row in kept]
        both = Transfer.fit(known, changes[kept], where)(asked, places, others)
        gains.append(_correlations(both, changes[held]) - _correlations(others, changes[held]))
    found = np.concatenate(gains)
    return bool(found.mean() > found.std(ddof=1) / np.sqrt(len(found)))


def _correlations(
    guess: Float[np.ndarray, "rows genes"], true: Float[np.ndarray, "rows genes"]
) -> Float[np.ndarray, " rows"]:
    """Of each row over genes; 0 where one has no variance."""
    centred = [values - values.mean(axis=1, keepdims=True) for values in (guess, true)]
    size = np.prod([np.linalg.norm(values, axis=1) for values in centred], axis=0)
    return np.sum(centred[0] * centred[1], axis=1) / np.where(size > 0, size, 1.0)


def _places(
    condition: Condition, context: str, place: dict[tuple[str, str], int]
) -> Int[np.ndarray, " parts"] | None:
    """Where the parts of a combination are that were all measured alone."""
    parts = [(label, context) for label in condition.labels]
    if len(parts) < 2 or not all(part in place for part in parts):
        return None
    return np.array([place[part] for part in parts])
