"""Mean effects of the conditions of a screen: what the closed-form predictors are fitted to."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from scbig.data import Condition, PerturbationScreen


@dataclass(frozen=True, eq=False)
class MeanEffects:
    """Change of the mean profile under each perturbed condition."""

    conditions: tuple[Condition, ...]
    deltas: Float[np.ndarray, "conditions genes"]
    control_mean: Float[np.ndarray, " genes"]


def mean_effects(screen: PerturbationScreen) -> MeanEffects:
    """Mean of a condition minus the mean of its context's controls, averaged over contexts.

    Each context in which a condition was measured weighs the same, whatever its number of cells;
    the control mean is that of all control cells.
    """
    perturbed = tuple(c for c in screen.conditions if not c.is_control)
    if not perturbed:
        raise ValueError("The screen has no perturbation to fit a predictor to, only controls.")
    contexts = range(len(screen.contexts))
    origins = [
        screen.mean(np.flatnonzero(screen.is_control & (screen.context_index == context)))
        for context in contexts
    ]
    deltas = []
    for place, condition in enumerate(screen.conditions):
        if condition.is_control:
            continue
        groups = [
            np.flatnonzero((screen.condition_index == place) & (screen.context_index == context))
            for context in contexts
        ]
        changes = [
            screen.mean(rows) - origin
            for rows, origin in zip(groups, origins, strict=True)
            if rows.size
        ]
        deltas.append(np.mean(changes, axis=0))
    control_mean = screen.mean(np.flatnonzero(screen.is_control))
    return MeanEffects(perturbed, np.stack(deltas).astype(np.float32), control_mean)
