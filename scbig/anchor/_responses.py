"""The anchor of measured responses: means in closed form, and a Gaussian change of shape."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from scbig._value import real, whole
from scbig.data import Condition, Screen
from scbig.priors import EmbeddingTable, PathwayLibrary
from scbig.response import (
    AbstractRelation,
    EmbeddingRelation,
    FittedEffects,
    MixedEffects,
    PathwayRelation,
)

from ._abstract import AbstractAnchor, AbstractFittedAnchor
from ._controls import Controls
from ._local import Local
from ._moves import Moves
from ._shrink import shrink
from ._spread import Spread
from ._states import States


class ResponseAnchor(AbstractAnchor):
    """Moves controls to the expected mean of a condition, and to its covariance.

    The mean of a seen condition is its measured one, shrunk towards what the other conditions make
    one expect (`shrink`); that of an unseen one is expected from `effects`. The covariance, in
    principal components of the training cells, is transported from the controls' to the
    condition's own, shrunk to that of all perturbed cells of the context, which is taken for
    unseen conditions (optimal transport between Gaussians). Before that, cells of different states
    move by what matching the two populations says, and are drawn in the condition's proportions
    (`Local`); an unseen condition does to states what the seen ones of its context do on average.

    **Fields:** `effects`, the model of mean responses; `components`, at most so many axes;
    `shrinkage`, cells that the common covariance counts as; `shape`, whether the covariance
    changes: a shift alone without; `related`, whether perturbations that were never seen have
    effects of those in the same pathways or, where pathways have none of the perturbations (drugs),
    of those with like vectors, if left-out perturbations confirm it; `states`, most
    states of control cells that may change each in its own way (`Local`), 0 for none.
    """

    effects: MixedEffects = MixedEffects()
    components: int = whole(50)
    shrinkage: float = real(100.0, least=0)
    shape: bool = True
    related: bool = True
    states: int = whole(20, least=0)

    @property
    def reads(self) -> tuple[str, ...]:
        """The priors that it needs."""
        return ("pathways",) if self.related else ()

    def fit(
        self,
        screen: Screen,
        *,
        pathways: PathwayLibrary | None = None,
        vectors: EmbeddingTable | None = None,
    ) -> "FittedResponses":
        """Learns means and covariances from a screen, in a few passes over its cells."""
        measured = screen.responses()
        places = measured.condition_index.tolist(), measured.context_index.tolist()
        pairs = list(zip(*places, strict=True))
        conditions = [screen.conditions[place] for place, _ in pairs]
        contexts = [screen.contexts[place] for _, place in pairs]
        changes = measured.changes.astype(np.float64)
        effects = self.effects.fit(
            conditions,
            changes,
            cells=measured.cells.astype(np.float64),
            contexts=contexts,
            origin=measured.control_mean(),
            genes=screen.genes,
            relation=_relation(screen, pathways, vectors) if self.related else None,
        )
        spread = Spread.of(screen, self.components)
        combined = np.array([len(condition.perturbations) > 1 for condition in conditions])
        kinds = _kinds(combined, self.effects.least)
        cells = measured.cells.astype(np.float64)
        expected = effects.left_out()
        found = shrink(expected, changes, cells, spread.noise, kinds)
        means, variances = found.means, found.variances
        # A gene is perturbed itself: what was measured of it needs no other condition.
        place = {gene: column for column, gene in enumerate(screen.genes)}
        by_gene = spread.noise.by_gene()
        for row, condition in enumerate(conditions):
            own = [place[name] for name in condition.perturbations if name in place]
            means[row, own], variances[row, own] = changes[row, own], by_gene[own] / cells[row]
        axes = spread.noise.axes
        centres = measured.origins.astype(np.float64) @ axes.T
        controls = Controls.of(screen, axes, centres)
        local = Local.of(screen, controls, pairs, self.states if self.shape else 0)
        seen, common = spread.stretches(pairs, self.shrinkage, local.displaced(controls, pairs))
        if not self.shape:
            seen, common = np.zeros_like(seen), np.zeros_like(common)
        drift, usual = local.drifts(controls, pairs, seen, common[:-1])
        single = lambda values: np.asarray(values, np.float32)
        return FittedResponses(
            effects=effects,
            conditions=tuple(c.name for c in conditions),
            contexts=tuple(contexts),
            known=screen.contexts,
            expected=expected.astype(np.float32),
            means=means.astype(np.float32),
            sd=np.sqrt(variances).astype(np.float32),
            axes=single(axes),
            stretch=single(seen),
            common=single(common),
            local=jax.tree.map(single, local),
            drift=single(drift),
            usual=single(usual),
        )


def _relation(
    screen: Screen, pathways: PathwayLibrary | None, vectors: EmbeddingTable | None
) -> AbstractRelation | None:
    """By pathways, if these have any of the perturbations; otherwise by vectors, if there are."""
    names = {*screen.perturbations}
    if pathways is not None and any(names.intersection(own) for own in pathways.sets.values()):
        return PathwayRelation(pathways)
    return None if vectors is None else EmbeddingRelation(vectors)


class FittedResponses(AbstractFittedAnchor):
    """What `ResponseAnchor` learned.

    **Fields:** `effects`, the model of means; `conditions` and `contexts`, of each seen group;
    `known`, the contexts; `expected`, of seen groups, what the others make one expect; their
    `means` and `sd`; `axes`; `stretch` of seen groups, and `common`, by context and last for a
    context that was not seen; `local`, changes of states; `drift`, by which these and the stretch
    move the mean of the controls that a seen group starts from, and `usual`, the same of one that
    was not seen, by context.
    """

    effects: FittedEffects
    conditions: tuple[str, ...]
    contexts: tuple[str, ...]
    known: tuple[str, ...]
    expected: Float32[np.ndarray, "seen genes"]
    means: Float32[np.ndarray, "seen genes"]
    sd: Float32[np.ndarray, "seen genes"]
    axes: Float32[np.ndarray, "components genes"]
    stretch: Float32[np.ndarray, "seen components components"]
    common: Float32[np.ndarray, "contexts components components"]
    local: Local
    drift: Float32[np.ndarray, "seen genes"]
    usual: Float32[np.ndarray, "known_contexts genes"]

    def moves(self, conditions: Sequence[Condition], contexts: Sequence[str]) -> Moves:
        contexts = self._contexts(contexts)
        shift = self.effects.means(conditions, contexts).astype(np.float32)
        place = {context: number for number, context in enumerate(self.known)}
        where = np.array([place.get(context, -1) for context in contexts])
        stretch, states = self.common[where], self._states(where)
        drift = np.where(where[:, None] >= 0, self.usual[where], 0.0).astype(np.float32)
        rest, free = np.zeros_like(shift), np.ones(len(shift), np.float32)
        for row, seen in self._seen(conditions, contexts):
            shift[row], stretch[row] = self.expected[seen], self.stretch[seen]
            rest[row], free[row] = self.means[seen] - self.expected[seen], 0.0
            drift[row] = self.drift[seen]
            states["local"][row] = self.local.local[seen]
            states["weights"][row] = self.local.weights[seen]
        # So that the mean of what is started from and moved moves by what is expected.
        shift = shift - drift
        still = [row for row, condition in enumerate(conditions) if condition.is_control]
        for values in (shift, stretch, states["local"], states["weights"]):
            values[still] = 0.0
        own = {name: jnp.asarray(values) for name, values in states.items()}
        return Moves(
            shift=jnp.asarray(shift),
            stretch=jnp.asarray(stretch),
            axes=jnp.asarray(self.axes),
            rest=jnp.asarray(rest),
            open=jnp.asarray(free),
            states=States(**own) if self.states else None,
        )

    @property
    def states(self) -> int:
        """How many states there are at most."""
        return self.local.places.shape[1]

    def _states(self, where: Int[np.ndarray, " groups"]) -> dict[str, np.ndarray]:
        """The fields of `States` of groups that were not seen; no change in a new context."""
        known = where >= 0
        return {
            "places": self.local.places[where],
            "width": self.local.width[where],
            "local": np.where(known[:, None, None], self.local.common[where], 0),
            "weights": np.where(known[:, None], self.local.rarer[where], 0),
        }

    def deviations(
        self, conditions: Sequence[Condition], contexts: Sequence[str]
    ) -> Float[np.ndarray, "groups genes"]:
        contexts = self._contexts(contexts)
        found = self.effects.deviations(conditions, contexts)
        for row, seen in self._seen(conditions, contexts):
            found[row] = self.sd[seen]
        return found

    def _contexts(self, contexts: Sequence[str]) -> Sequence[str]:
        """Where training had one context, that one: it was not told from others."""
        return self.known * len(contexts) if len(self.known) == 1 else contexts

    def _seen(
        self, conditions: Sequence[Condition], contexts: Sequence[str]
    ) -> list[tuple[int, int]]:
        """Rows that are seen groups, and which."""
        known = zip(self.conditions, self.contexts, strict=True)
        place = {pair: row for row, pair in enumerate(known)}
        pairs = [(c.name, context) for c, context in zip(conditions, contexts, strict=True)]
        return [(row, place[pair]) for row, pair in enumerate(pairs) if pair in place]


def _kinds(combined: Bool[np.ndarray, " groups"], least: int) -> list[Bool[np.ndarray, " groups"]]:
    """Single perturbations and combinations apart, if there are enough of both."""
    if min(combined.sum(), (~combined).sum()) < least:
        return [np.ones_like(combined)]
    return [~combined, combined]
