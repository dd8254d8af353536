"""What an alternation of optimal transport and rounding comes to."""

import equinox as eqx
import jax.numpy as jnp

from .._typing import Array, Bool, Float, Int
from ._cost import Relations


class Alternation(eqx.Module):
    """Where one start of Gene-Relation Clustering led, and how."""

    labels: Int[Array, "*starts genes"]
    start: Int[Array, "*starts genes"]
    """Labels before the first round."""
    rounds: Int[Array, "*starts"]
    """Rounds of optimal transport and rounding that were run."""
    stable: Bool[Array, "*starts"]
    """Whether the last round changed no label, or took back what the one before had changed."""
    converged: Bool[Array, "*starts"]
    """Whether every round's plan met its marginals."""
    error: Float[Array, "*starts"]
    """The largest L1 marginal error of those plans."""
    mean_cost: Float[Array, "*starts steps"]
    """Mean cost (Eq. 1) of a gene in its own program: at the start, then after each round; the
    last one repeated. It need not fall in every round, because each round has its own costs."""


def unmoved(relations: Relations, labels: Int[Array, " genes"], clusters: int) -> Alternation:
    """Labels that no round has touched, in the form of an alternation."""
    return Alternation(
        labels=labels,
        start=labels,
        rounds=jnp.zeros((), jnp.int32),
        stable=jnp.ones((), bool),
        converged=jnp.ones((), bool),
        error=jnp.zeros(()),
        mean_cost=relations.mean_cost(labels, clusters)[None],
    )
