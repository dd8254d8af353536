"""Which perturbed cell each control cell of a mini-batch is paired with."""

import abc

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr

from .._typing import Array, Bool, Float, Int, LatentBatch, PRNGKeyArray, Scalar
from .._value import Value, real, whole
from ._cost import split_shift, squared_distances, temperature
from ._plan import balanced_plan


class Pairing(eqx.Module):
    """One target for every source cell."""

    partner: Int[Array, " cells"]
    """The row of the target paired with each row of the source."""
    converged: Bool[Array, ""]
    error: Scalar
    """L1 marginal error of the plan that the partners were drawn from."""


class AbstractCoupling(Value):
    """Chooses a target cell for every source cell of a mini-batch."""

    @abc.abstractmethod
    def __call__(
        self, source: LatentBatch, target: Float[Array, "targets latent"], *, key: PRNGKeyArray
    ) -> Pairing:
        """Pairs each row of `source` with a row of `target`."""


class IndependentCoupling(AbstractCoupling):
    """Pairs cells at random, each target equally often: plain flow matching."""

    def __call__(
        self, source: LatentBatch, target: Float[Array, "targets latent"], *, key: PRNGKeyArray
    ) -> Pairing:
        """Deals shuffled targets out to the sources, again and again if there are fewer."""
        order = jr.permutation(key, target.shape[0])
        return Pairing(
            partner=order[jnp.arange(source.shape[0]) % target.shape[0]],
            converged=jnp.ones((), bool),
            error=jnp.zeros((), source.dtype),
        )


class SinkhornCoupling(AbstractCoupling):
    """Pairs cells by entropic optimal transport in latent space, squared Euclidean.

    **Fields:** `epsilon`, the regularisation relative to the mean squared distance between source
    and target; `iterations`, the most of Sinkhorn; `threshold`, the largest accepted L1 error of
    the plan's marginals.
    """

    epsilon: float = real(0.1, above=0)
    iterations: int = whole(500)
    threshold: float = real(1e-2, above=0)

    def __call__(
        self, source: LatentBatch, target: Float[Array, "targets latent"], *, key: PRNGKeyArray
    ) -> Pairing:
        """Draws each source cell's partner from its row of the plan."""
        rows, columns = source.shape[0], target.shape[0]
        source, target, shift = split_shift(source, target)
        cost = squared_distances(source, target)
        plan = balanced_plan(
            cost,
            jnp.full((rows,), 1 / rows, cost.dtype),
            jnp.full((columns,), 1 / columns, cost.dtype),
            epsilon=temperature(self.epsilon, shift + jnp.mean(cost)),
            iterations=self.iterations,
            threshold=self.threshold,
        )
        partner = sample_partners(plan.matrix, key=key)
        return Pairing(partner=partner, converged=plan.converged, error=plan.error)


def sample_partners(
    plan: Float[Array, "rows columns"], *, key: PRNGKeyArray
) -> Int[Array, " rows"]:
    """One column for each row, drawn in proportion to the row of `plan` (inverse CDF)."""
    cumulative = jnp.cumsum(plan, axis=1)
    drawn = jr.uniform(key, plan.shape[:1], plan.dtype) * cumulative[:, -1]
    column = jnp.sum(cumulative <= drawn[:, None], axis=1, dtype=jnp.int32)
    # A draw rounded up to the row's total, or a row that is not finite, must not leave the plan.
    return jnp.minimum(column, plan.shape[1] - 1)
