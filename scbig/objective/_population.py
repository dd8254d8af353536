"""Selection by whole populations: their means and their shapes, against doing nothing more."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import norm, t as student

from scbig._typing import Array, Bool, ExpressionBatch, Float, Int, PRNGKeyArray, Scalar
from scbig._value import whole
from scbig.anchor import nonnegative
from scbig.flow import Transport
from scbig.metrics import fit_projection
from scbig.model import ScBIG

from ._criteria import (
    AbstractCriterion,
    ResponseFacts,
    for_each_group,
    pearson_or_zero,
    unsolved,
)
from ._data import FlowData, Setting
from ._terms import Metrics


class PopulationFacts(eqx.Module):
    """What `PopulationCriterion` caches.

    **Fields:** `facts`, of means; `axes`, principal components of the cells that judge; `scores`,
    of each group's measured cells on them, padded, with `real` where there is a cell; `within`,
    their mean distance from one another; `place`, the number of each group's condition among
    `conditions`; `start`, the score of each group's cells without any
    flow; `still`, the mean energy distance of unmoved controls, the unit of energy distances.
    """

    facts: ResponseFacts
    axes: Float[Array, "components genes"]
    scores: Float[Array, "groups measured components"]
    real: Bool[Array, "groups measured"]
    within: Float[Array, " groups"]
    place: Int[Array, " groups"]
    conditions: int
    start: Float[Array, " groups"]
    still: Scalar

    def scored(
        self, group: Int[Array, ""], context: Int[Array, ""], cells: ExpressionBatch
    ) -> tuple[Scalar, Scalar]:
        """Pearson delta and energy distance of the predicted cells of a group."""
        change = jnp.mean(cells, axis=0) - self.facts.origin[context]
        pearson = pearson_or_zero(change, self.facts.response[group])
        found, real = cells @ self.axes.T, self.real[group]
        apart = jnp.where(real[None], _distances(found, self.scores[group]), 0.0)
        between = jnp.sum(apart, axis=1) / jnp.sum(real, dtype=apart.dtype)
        number = found.shape[0]
        own = jnp.sum(_distances(found, found)) / max(number * (number - 1), 1)
        return pearson, 2 * jnp.mean(between) - own - self.within[group]


class PopulationCriterion(AbstractCriterion):
    """Pearson delta less the energy distance, by as much as training is surely ahead of its start.

    Energy distances are in units of that of unmoved controls. The score is that of the cells that
    the flow starts from, plus the mean difference over the conditions to it, less the standard
    error of that mean (times Student's quantile for what is one for a normal distribution): a flow
    that is not better than none by more than noise is not taken, nor one that a single condition
    was to judge. A group whose solve runs out of steps scores as its start.

    **Fields:** `cells`, training controls of each context that are transported; `measured`, most
    cells of a group that they are compared with; `components`, of the energy distance;
    `transport`, `None` for the model's own solve of inference.
    """

    cells: int = whole(256, least=2)
    measured: int = whole(256, least=2)
    components: int = whole(50)
    transport: Transport | None = None

    def prepare(self, setting: Setting, *, key: PRNGKeyArray) -> PopulationFacts:
        """Takes controls and measured cells, spread evenly, and scores the start."""
        screen, controls = setting.screen, setting.all_controls
        fewest = min(len(controls.rows("control", own)) for own in screen.contexts)
        # No control twice: two cells without a distance would look like a narrow population.
        facts = ResponseFacts.of(setting, min(self.cells, fewest), self.transport)
        index, rows = setting.index.pooled(self.measured)
        axes = fit_projection(screen.blocks(), self.components).axes
        found = screen.project(axes.T, rows)
        start, size = np.asarray(index.start), np.asarray(index.size)
        scores = np.zeros((len(size), int(size.max()), axes.shape[0]))
        for group, (first, count) in enumerate(zip(start, size, strict=True)):
            scores[group, :count] = found[first : first + count]
        real = np.arange(scores.shape[1]) < size[:, None]
        array = lambda x: jnp.asarray(x, jnp.float32)
        given = facts, array(axes), array(scores), jnp.asarray(real)
        used, place = np.unique(np.asarray(index.condition), return_inverse=True)
        numbers = jnp.asarray(place, jnp.int32), len(used)
        return _with_start(*given, *numbers, setting.index.context)

    def __call__(self, model: ScBIG, data: FlowData) -> tuple[Scalar, Metrics]:
        own: PopulationFacts = data.own
        contexts = data.index.context
        use = lambda group, cells, solved: (*own.scored(group, contexts[group], cells), solved)
        pearson, energy, solved = for_each_group(model, data, own.facts, use)
        each = jnp.where(solved, pearson - energy / own.still - own.start, 0.0)
        # A condition in several contexts says one thing of what other conditions will gain.
        number = own.conditions
        sums = jax.ops.segment_sum(each, own.place, number)
        gains = sums / jax.ops.segment_sum(jnp.ones_like(each), own.place, number)
        if number == 1:
            gains = jnp.minimum(gains, 0.0)  # nothing says how far it is noise
        # Of a few groups the standard error is itself uncertain: Student's quantile in its place.
        few = float(student.ppf(norm.cdf(1.0), max(number - 1, 1)))
        error = few * jnp.std(gains) / np.sqrt(max(number - 1, 1))
        return jnp.mean(own.start) + jnp.mean(gains) - error, {
            "validation_pearson": jnp.mean(pearson),
            "validation_e_distance": jnp.mean(energy),
            "validation_gain": jnp.mean(gains),
            **unsolved(solved),
        }


@eqx.filter_jit
def _with_start(
    facts: ResponseFacts,
    axes: Float[Array, "components genes"],
    scores: Float[Array, "groups measured components"],
    real: Bool[Array, "groups measured"],
    place: Int[Array, " groups"],
    conditions: int,
    contexts: Int[Array, " groups"],
) -> PopulationFacts:
    pairs = real[:, :, None] & real[:, None, :]
    total = lambda own: jnp.sum(jnp.where(own[1], _distances(own[0], own[0]), 0.0))
    size = jnp.sum(real, axis=1, dtype=scores.dtype)
    within = jax.lax.map(total, (scores, pairs)) / jnp.maximum(size * (size - 1), 1.0)
    blank = jnp.zeros(scores.shape[0])
    given = facts, axes, scores, real, within, place, conditions
    known = PopulationFacts(*given, blank, jnp.ones(()))

    def both(group: Int[Array, ""]) -> tuple[Scalar, Scalar, Scalar]:
        context = contexts[group]
        _, still = known.scored(group, context, facts.controls[context])
        cells = nonnegative(facts.starts(group, context))
        return (*known.scored(group, context, cells), still)

    pearson, energy, still = jax.lax.map(both, jnp.arange(scores.shape[0]))
    # Weak perturbations may be no further than noise from the controls: then a hundredth of the
    # distance between cells.
    unit = jnp.maximum(jnp.mean(still), 0.01 * jnp.mean(within))
    return PopulationFacts(*given, pearson - energy / unit, unit)


def _distances(
    left: Float[Array, "left components"], right: Float[Array, "right components"]
) -> Float[Array, "left right"]:
    """Euclidean distances, exactly zero between equal cells."""
    return jnp.sqrt(jnp.sum((left[:, None] - right[None, :]) ** 2, axis=-1))
