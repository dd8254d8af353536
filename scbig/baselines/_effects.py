"""Mean effects of the conditions of a screen: what the closed-form predictors are fitted to."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from scbig.data import Condition, Screen


@dataclass(frozen=True, eq=False)
class MeanEffects:
    """Change of the mean profile under each perturbed condition."""

    conditions: tuple[Condition, ...]
    deltas: Float[np.ndarray, "conditions genes"]
    control_mean: Float[np.ndarray, " genes"]


def mean_effects(screen: Screen) -> MeanEffects:
    """Mean of a condition minus the mean of its context's controls, averaged over contexts.

    Each context in which a condition was measured weighs the same, whatever its number of cells;
    the control mean is that of all control cells.
    """
    perturbed = tuple(c for c in screen.conditions if not c.is_control)
    if not perturbed:
        raise ValueError("The screen has no perturbation to fit a predictor to, only controls.")
    contexts = len(screen.contexts)
    # One pass over the cells for all groups: the screen may be on disk.
    pairs = screen.condition_index.astype(np.int64) * contexts + screen.context_index
    used, groups = np.unique(pairs, return_inverse=True)
    means = screen.means(groups, len(used))
    condition, context = used // contexts, used % contexts
    is_control = np.array([screen.conditions[place].is_control for place in condition])
    origins = means[is_control][np.argsort(context[is_control])]
    changes = means - origins[context]
    places = [place for place, c in enumerate(screen.conditions) if not c.is_control]
    deltas = [changes[condition == place].mean(axis=0) for place in places]
    control_mean = screen.mean(np.flatnonzero(screen.is_control))
    return MeanEffects(perturbed, np.stack(deltas).astype(np.float32), control_mean)
