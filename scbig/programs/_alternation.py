"""Transport and rounding, in turns, until the programs stand still: one compiled routine."""

import functools
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from .. import ot
from .._typing import Array, Bool, Float, Int, Scalar
from ._capacities import balanced_capacities, capacities_within
from ._cost import Relations
from ._exact import cheapest_assignment
from ._rounding import round_to_capacities


class Alternation(eqx.Module):
    """Where one start of Gene-Relation Clustering led, and how."""

    labels: Int[Array, "*starts genes"]
    start: Int[Array, "*starts genes"]
    """Labels before the first round."""
    rounds: Int[Array, "*starts"]
    """Rounds of transport and rounding that were run."""
    stable: Bool[Array, "*starts"]
    """Whether the last round changed no label, or took back what the one before had changed."""
    converged: Bool[Array, "*starts"]
    """Whether every round's transport plan met its marginals."""
    error: Float[Array, "*starts"]
    """The largest L1 marginal error of those plans."""
    objective: Float[Array, "*starts steps"]
    """Mean cost (Eq. 1) of a gene in its own program: at the start, then after each round; the
    last one repeated. It need not fall in every round, because each round has its own costs."""


class _Round(eqx.Module):
    labels: Int[Array, " genes"]
    before: Int[Array, " genes"]
    """Labels one round earlier."""
    potentials: tuple[Float[Array, " genes"], Float[Array, " clusters"]]
    count: Int[Array, ""]
    stable: Bool[Array, ""]
    converged: Bool[Array, ""]
    error: Scalar
    objective: Float[Array, " steps"]


@functools.partial(
    jax.jit, static_argnames=("clusters", "rounds", "iterations", "rounding", "bounds")
)
def alternate(
    relations: Relations,
    start: Int[Array, " genes"],
    *,
    clusters: int,
    rounds: int,
    epsilon: float | Scalar,
    iterations: int,
    threshold: float | Scalar,
    rounding: Literal["greedy", "exact"] = "greedy",
    bounds: tuple[int, int] | None = None,
) -> Alternation:
    """Gene-Relation Clustering from given labels (section 3.1).

    Each round: the cost of every gene in every program as the labels now are (Eq. 1), the
    transport plan for that cost, warm-started, and the plan rounded to the programs' sizes.
    `vmap` it over starts. Inputs are not checked.

    **Arguments:**

    - `start`: a label for each gene.
    - `rounds`: the most rounds; they end when no label changes, or when two partitions follow
        each other for ever, of which the cheaper one is the result.
    - `epsilon`, `iterations`, `threshold`: of the plan, as in `scbig.ot.balanced_plan`.
    - `rounding`: `round_to_capacities`, or `cheapest_assignment`.
    - `bounds`: least and greatest size of a program; `None` for sizes that differ by at most one.
    """
    genes = start.shape[0]
    gene_mass = jnp.full((genes,), 1 / genes, relations.unit.dtype)
    balanced = balanced_capacities(start, clusters)

    def transport(cost, potentials):
        options = dict(
            epsilon=epsilon, iterations=iterations, threshold=threshold, start=potentials
        )
        if bounds is None:
            return ot.balanced_plan(cost, gene_mass, balanced.astype(cost.dtype) / genes, **options)
        low, high = (jnp.full((clusters,), size / genes, cost.dtype) for size in bounds)
        return ot.ranged_plan(cost, gene_mass, low, high, **options)

    def turn(state: _Round) -> _Round:
        cost = relations.cost(state.labels, clusters)
        plan = transport(cost, state.potentials)
        mass = jnp.sum(plan.matrix, axis=0) * genes
        room = balanced if bounds is None else capacities_within(mass, genes, *bounds)
        if rounding == "exact":
            labels = cheapest_assignment(cost, room, plan.potentials[1])
        else:
            labels = round_to_capacities(plan.log_matrix, cost, room)
        before = jnp.mean(cost[jnp.arange(genes), state.labels])
        return _Round(
            labels=labels,
            before=state.labels,
            potentials=plan.potentials,
            count=state.count + 1,
            stable=jnp.all(labels == state.labels) | jnp.all(labels == state.before),
            converged=state.converged & plan.converged,
            error=jnp.maximum(state.error, plan.error),
            objective=state.objective.at[state.count].set(before),
        )

    first = _Round(
        labels=start.astype(jnp.int32),
        before=jnp.full((genes,), -1, jnp.int32),
        potentials=(jnp.zeros_like(gene_mass), jnp.zeros((clusters,), gene_mass.dtype)),
        count=jnp.zeros((), jnp.int32),
        stable=jnp.zeros((), bool),
        converged=jnp.ones((), bool),
        error=jnp.zeros((), gene_mass.dtype),
        objective=jnp.zeros((rounds + 1,), gene_mass.dtype),
    )
    end = lax.while_loop(lambda state: ~state.stable & (state.count < rounds), turn, first)
    last = relations.objective(end.labels, clusters)
    earlier = end.objective[end.count - 1]
    # Of two partitions that follow each other for ever, the cheaper one.
    other = end.stable & (earlier < last)
    labels, last = jnp.where(other, end.before, end.labels), jnp.where(other, earlier, last)
    return Alternation(
        labels=labels,
        start=first.labels,
        rounds=end.count,
        stable=end.stable,
        converged=end.converged,
        error=end.error,
        objective=jnp.where(jnp.arange(rounds + 1) >= end.count, last, end.objective),
    )


def unmoved(relations: Relations, labels: Int[Array, " genes"], clusters: int) -> Alternation:
    """Labels that no round has touched, in the form of an alternation."""
    return Alternation(
        labels=labels,
        start=labels,
        rounds=jnp.zeros((), jnp.int32),
        stable=jnp.ones((), bool),
        converged=jnp.ones((), bool),
        error=jnp.zeros(()),
        objective=relations.objective(labels, clusters)[None],
    )
