"""Gene-Relation Clustering: optimal transport and rounding until the programs stand still."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .. import ot
from .._typing import Array, Bool, Float, Int, PRNGKeyArray, Scalar
from .._value import Value, but, real, require, whole
from ..data import Screen
from ._clustering import AbstractClustering, Clustering, NotConverged, choose, require_room
from ._cost import Alternation, Relations
from ._features import AbstractFeatures, Pretrained
from ._partition import GenePartition, balanced_capacities, capacities_within, size_bounds
from ._rounding import AbstractRounding, GreedyRounding
from ._selection import AbstractSelection, Cheapest, Consensus
from ._soft import Soft
from ._starts import AbstractStart, KMeansStart

# Entries of a cost matrix, times starts, that are worked on at once.
_AT_ONCE = 2**25


class Feedback(Value):
    """Programs that are updated by what a trained model misses (Table 6b).

    **Fields:** `updates`, how often, each after another whole training; `weight`, in those
    updates, of the distance between the genes' error profiles.
    """

    updates: int = whole(1)
    weight: float = real(1.0, least=0)


class GRCState(eqx.Module):
    """Where the alternation is.

    **Fields:** `labels`, and those one and two rounds earlier in `before`; `sizes`, of the
    programs if they are balanced; `potentials`, of the last plan, from which the next one starts;
    `count`, rounds so far; `stable`, whether the last round changed nothing, or took back what the
    one before had changed; `converged` and `error`, of the plans so far; `mean_cost`, mean cost of
    a gene before each round.
    """

    labels: Int[Array, " genes"]
    before: Int[Array, " genes"]
    sizes: Int[Array, " clusters"]
    potentials: tuple[Float[Array, " genes"], Float[Array, " clusters"]]
    count: Int[Array, ""]
    stable: Bool[Array, ""]
    converged: Bool[Array, ""]
    error: Scalar
    mean_cost: Float[Array, " steps"]


class GRC(AbstractClustering):
    """Gene-Relation Clustering (section 3.1, Eq. 1), and its variants (Tables 6a and 6b).

    `init`, `step` and `terminate` are one start's alternation, round by round; `solve` is all of
    it. They are pure and can be compiled, also `vmap`ped over starts; inputs are not checked.

    **Fields:**

    - `clusters`: gene programs, of sizes that differ by at most one.
    - `semantic_weight`, `interaction_weight`: of the two parts of Eq. 1; a part of weight zero is
        not needed among the priors.
    - `confidence`: whether an interaction counts as its confidence instead of as one.
    - `rounds`: the most alternations of optimal transport and rounding.
    - `epsilon`, `iterations`, `threshold`: entropic regularisation of the plan, on costs whose
        semantic part lies in [0, 1]; its most iterations; the largest accepted L1 error of its
        marginals.
    - `rounding`: from plan to programs.
    - `tolerance`: share of the mean size by which a program's size may differ from it.
    - `start`, `runs`, `select`: how the first labels are made, how many starts are gone on from,
        and what is made of their ends.
    - `soft`: how genes are shared among programs; `None` keeps each in one.
    - `feedback`: updates from the trained model's errors; `None` for none.
    - `features`: what the semantic part compares.
    """

    clusters: int = whole(32)
    semantic_weight: float = real(1.0, least=0)
    interaction_weight: float = real(1.0, least=0)
    confidence: bool = False
    rounds: int = whole(30)
    epsilon: float = real(0.1, above=0)
    iterations: int = whole(2000)
    threshold: float = real(1e-3, above=0)
    rounding: AbstractRounding = GreedyRounding()
    tolerance: float = real(0.0, least=0, below=1)
    start: AbstractStart = KMeansStart()
    runs: int = whole(1)
    select: AbstractSelection = Cheapest()
    soft: Soft | None = None
    feedback: Feedback | None = None
    features: AbstractFeatures = Pretrained()

    def __check_init__(self) -> None:
        weighed = self.semantic_weight + self.interaction_weight > 0
        require(weighed, self, "a weight of Eq. 1 must be positive; RandomPrograms reads nothing")
        alone = self.runs == 1 and isinstance(self.select, Consensus)
        require(not alone, self, "Consensus() needs runs > 1: of one there is nothing to agree on")

    @property
    def reads_confidence(self) -> bool:
        """Whether interactions must have a confidence."""
        return self.confidence and self.interaction_weight > 0

    @property
    def updates(self) -> int:
        """How often the programs are updated by a trained model's errors."""
        return 0 if self.feedback is None else self.feedback.updates

    def features_of(
        self, screen: Screen, embeddings: Float[np.ndarray, "genes embedding"] | None
    ) -> Float[np.ndarray, "genes features"]:
        return self.features(screen, embeddings)

    @property
    def reads(self) -> tuple[str, ...]:
        """The priors that it needs."""
        compared = self.semantic_weight > 0 or self.start.compares
        first = self.features.needs if compared else ()
        return (*first, "interactions") if self.interaction_weight > 0 else first

    def init(self, relations: Relations, labels: Int[Array, " genes"]) -> GRCState:
        """The state before the first round, from a label for each gene."""
        genes, dtype = labels.shape[0], relations.unit.dtype
        return GRCState(
            labels=labels.astype(jnp.int32),
            before=jnp.full((genes,), -1, jnp.int32),
            sizes=balanced_capacities(labels, self.clusters),
            potentials=(jnp.zeros((genes,), dtype), jnp.zeros((self.clusters,), dtype)),
            count=jnp.zeros((), jnp.int32),
            stable=jnp.zeros((), bool),
            converged=jnp.ones((), bool),
            error=jnp.zeros((), dtype),
            mean_cost=jnp.zeros((self.rounds + 1,), dtype),
        )

    def step(self, relations: Relations, state: GRCState) -> GRCState:
        """One round: costs as the labels now are (Eq. 1), the plan for them, and its rounding."""
        genes = state.labels.shape[0]
        cost = self.weighted(relations).cost(state.labels, self.clusters)
        plan, sizes = self._plan(cost, state)
        labels = self.rounding(plan, cost, sizes)
        before = jnp.mean(cost[jnp.arange(genes), state.labels])
        return GRCState(
            labels=labels,
            before=state.labels,
            sizes=state.sizes,
            potentials=plan.potentials,
            count=state.count + 1,
            stable=jnp.all(labels == state.labels) | jnp.all(labels == state.before),
            converged=state.converged & plan.converged,
            error=jnp.maximum(state.error, plan.error),
            mean_cost=state.mean_cost.at[state.count].set(before),
        )

    def terminate(self, relations: Relations, state: GRCState) -> Bool[Array, ""]:
        """Whether the programs stand still, follow each other for ever, or rounds have run out."""
        return state.stable | (state.count >= self.rounds)

    def solve(self, relations: Relations, labels: Int[Array, " genes"]) -> Alternation:
        """The whole alternation; of two partitions that follow each other, the cheaper one."""
        first = self.init(relations, labels)
        going = lambda state: ~self.terminate(relations, state)
        end = lax.while_loop(going, lambda state: self.step(relations, state), first)
        last = self.weighted(relations).mean_cost(end.labels, self.clusters)
        earlier = end.mean_cost[end.count - 1]
        other = end.stable & (earlier < last)
        labels, last = jnp.where(other, end.before, end.labels), jnp.where(other, earlier, last)
        return Alternation(
            labels=labels,
            start=first.labels,
            rounds=end.count,
            stable=end.stable,
            converged=end.converged,
            error=end.error,
            mean_cost=jnp.where(jnp.arange(self.rounds + 1) >= end.count, last, end.mean_cost),
        )

    def cluster(
        self,
        relations: Relations,
        *,
        start: Int[Array, " genes"] | None = None,
        throw: bool = True,
        key: PRNGKeyArray,
    ) -> Clustering:
        """Programs from every start, and what is made of them.

        **Raises:** `NotConverged` for a plan that missed its marginals, unless `throw` is false.
        """
        require_room(self, self.clusters, relations)
        overlap = 1 if self.soft is None else self.soft.overlap
        if overlap > self.clusters:
            raise ValueError(
                f"A gene cannot be shared by {overlap} of {self.clusters} programs: lower "
                "soft.overlap."
            )
        if start is not None:
            GenePartition.from_labels(start, self.clusters)  # raises for labels out of range
        own = self.weighted(relations)
        runs = _from_starts(_traced(self, own), own, start, key)
        labels, chosen = self.select(runs, own, self.clusters)
        if throw and not jnp.all(runs.converged):
            raise self._missed(float(jnp.max(runs.error)), f"epsilon={self.epsilon:.2g}")
        partition = GenePartition.from_labels(labels, self.clusters)
        if self.soft is not None:
            partition, plan = self.soft(
                own, partition, iterations=self.iterations, threshold=self.threshold
            )
            if throw and not plan.converged:
                hot = f"soft.temperature={self.soft.temperature:.2g}"
                raise self._missed(float(plan.error), hot)
        return choose(relations, partition, runs, chosen)

    def weighted(self, relations: Relations) -> Relations:
        """The relations with this clustering's weights on theirs, of what it reads of them."""
        times = lambda given, own: given * jnp.asarray(own, relations.unit.dtype)
        weight = 1.0 if self.feedback is None else self.feedback.weight
        error = relations.error_weight
        return Relations(
            unit=relations.unit,
            source=relations.source,
            target=relations.target,
            semantic_weight=times(relations.semantic_weight, self.semantic_weight),
            interaction_weight=times(relations.interaction_weight, self.interaction_weight),
            confidence=relations.confidence if self.confidence else None,
            errors=relations.errors,
            error_weight=None if error is None else times(error, weight),
        )

    def _plan(
        self, cost: Float[Array, "genes clusters"], state: GRCState
    ) -> tuple[ot.BalancedPlan, Int[Array, " clusters"]]:
        """The plan, warm-started, and the sizes that it is rounded to."""
        genes = cost.shape[0]
        mass = jnp.full((genes,), 1 / genes, cost.dtype)
        options = {
            "epsilon": self.epsilon,
            "iterations": self.iterations,
            "threshold": self.threshold,
            "start": state.potentials,
        }
        if not self.tolerance:
            share = state.sizes.astype(cost.dtype) / genes
            return ot.balanced_plan(cost, mass, share, **options), state.sizes
        bounds = size_bounds(genes, self.clusters, self.tolerance)
        low, high = (jnp.full((self.clusters,), size / genes, cost.dtype) for size in bounds)
        plan = ot.ranged_plan(cost, mass, low, high, **options)
        sent = jnp.sum(plan.matrix, axis=0) * genes
        return plan, capacities_within(sent, genes, *bounds)

    def _missed(self, error: float, heat: str) -> NotConverged:
        return NotConverged(
            f"Gene-Relation Clustering: a plan missed its marginals by {error:.2g} after "
            f"{self.iterations} iterations; {self.threshold:.2g} is accepted. Raise `iterations` "
            f"or {heat}, or pass `throw=False`."
        )


def _traced(grc: GRC, relations: Relations) -> GRC:
    """The same alternation, in a form that is compiled once for all numbers that may change.

    Numbers that do not shape the program are arrays; the relations have been weighted, and what is
    made of the ends plays no part.
    """
    number = lambda x: jnp.asarray(x, relations.unit.dtype)
    plain = but(
        grc,
        semantic_weight=1.0,
        interaction_weight=1.0,
        confidence=True,
        select=Cheapest(),
        soft=None,
        feedback=None,
        features=Pretrained(),
    )
    return eqx.tree_at(lambda g: (g.epsilon, g.threshold), plain, replace_fn=number)


@eqx.filter_jit
def _from_starts(
    grc: GRC, relations: Relations, start: Int[Array, " genes"] | None, key: PRNGKeyArray
) -> Alternation:
    """Starts, and the alternation from each, in one compiled call."""
    draw = lambda: grc.start(relations, grc.clusters, grc.runs, key=key)
    starts = draw() if start is None else start[None]
    # One `vmap` over the starts, or several where that would not fit in memory.
    at_once = max(1, min(len(starts), _AT_ONCE // (starts.shape[1] * grc.clusters)))
    solve = lambda labels: grc.solve(relations, labels)
    return jax.lax.map(solve, starts, batch_size=at_once)
