"""What each condition does to the mean profile, from one pass over the cells of a screen."""

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, Float32, Int, Int32
from scipy import sparse

from scbig.data._condition import Condition
from scbig.data._stored import StoredMatrix, grouped_means


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Responses:
    """Mean change of each group from the controls of its context.

    A group is a perturbed condition in a context in which it was measured; groups are sorted by
    condition and then by context.

    **Fields:**

    - `conditions`, `contexts`: those of the screen, the control among the conditions.
    - `condition_index`, `context_index`: the place of each group's among them.
    - `cells`: the number of cells of each group.
    - `changes`: mean expression of each group minus that of its context's controls, in log units.
    - `origins`: mean expression of the controls of each context.
    - `control_cells`: the number of controls of each context.
    """

    conditions: tuple[Condition, ...]
    contexts: tuple[str, ...]
    condition_index: Int32[np.ndarray, " groups"]
    context_index: Int32[np.ndarray, " groups"]
    cells: Int[np.ndarray, " groups"]
    changes: Float32[np.ndarray, "groups genes"]
    origins: Float32[np.ndarray, "contexts genes"]
    control_cells: Int[np.ndarray, " contexts"]

    @functools.cached_property
    def perturbed(self) -> tuple[Condition, ...]:
        """The conditions that have a group, sorted by name."""
        return tuple(self.conditions[place] for place in np.unique(self.condition_index))

    def by_condition(self) -> Float32[np.ndarray, "perturbed genes"]:
        """The change of each of `perturbed`, averaged over the contexts it was measured in.

        Each context weighs the same, whatever its number of cells.

        **Raises:** a ValueError if there are only controls.
        """
        if not self.perturbed:
            raise ValueError("The screen has no perturbation, only controls.")
        used, place = np.unique(self.condition_index, return_inverse=True)
        sums = np.zeros((len(used), self.changes.shape[1]))
        np.add.at(sums, place, self.changes)
        return (sums / np.bincount(place)[:, None]).astype(np.float32)

    def control_mean(self) -> Float32[np.ndarray, " genes"]:
        """Mean expression of all controls: every cell weighs the same."""
        weights = self.control_cells / self.control_cells.sum()
        return (weights @ self.origins.astype(np.float64)).astype(np.float32)

    def norms(self) -> Float[np.ndarray, " groups"]:
        """The Euclidean norm of each group's change, over genes."""
        return np.linalg.norm(self.changes.astype(np.float64), axis=1)


def measured_responses(
    matrix: sparse.csr_matrix | StoredMatrix,
    conditions: tuple[Condition, ...],
    condition_index: Int[np.ndarray, " cells"],
    contexts: tuple[str, ...],
    context_index: Int[np.ndarray, " cells"],
) -> Responses:
    """The responses of a screen with these fields, whose every context has controls."""
    pairs = condition_index.astype(np.int64) * len(contexts) + context_index
    used, groups, sizes = np.unique(pairs, return_inverse=True, return_counts=True)
    # One pass over the cells for all groups: they may be on disk.
    means = grouped_means(matrix, groups, len(used))
    condition, context = np.divmod(used, len(contexts))
    is_control = condition == conditions.index(Condition())
    # Sorted by context, of which none lacks controls.
    origins = means[is_control]
    perturbed = ~is_control
    return Responses(
        conditions=conditions,
        contexts=contexts,
        condition_index=condition[perturbed].astype(np.int32),
        context_index=context[perturbed].astype(np.int32),
        cells=sizes[perturbed],
        changes=means[perturbed] - origins[context[perturbed]],
        origins=origins,
        control_cells=sizes[is_control],
    )
