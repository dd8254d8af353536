"""Alignment of the correlation between gene programs (Eq. 7)."""

import jax
import jax.numpy as jnp

from scbig._typing import Array, Float, Int, Scalar
from scbig.programs import AbstractPartition

from ._abstract import AbstractAlignment


def cluster_correlation(
    expression: Float[Array, "cells genes"], partition: AbstractPartition
) -> Float[Array, "clusters clusters"]:
    """Pearson correlation between program means across cells, `R(X)` of Eq. 7.

    A program whose mean is constant over the cells correlates with nothing: its row and column
    are zero, and so is their gradient.
    """
    means = jax.vmap(partition.average)(expression)
    centred = means - jnp.mean(means, axis=0, keepdims=True)
    variance = jnp.mean(centred**2, axis=0)
    # Relative to the mean square, so that rounding noise of a constant column counts as constant.
    floor = 1e-10 * jnp.mean(means**2, axis=0) + jnp.finfo(means.dtype).tiny
    varies = variance > floor
    scale = jnp.where(varies, jax.lax.rsqrt(jnp.where(varies, variance, 1.0)), 0.0)
    standard = centred * scale[None, :]
    return standard.T @ standard / means.shape[0]


class CorrelationAlignment(AbstractAlignment):
    """`||R(predicted) - R_p||_F^2 / K^2` (Eq. 7), with `R_p` from all training cells of `p`.

    **Fields:** `partition`; `targets`, the cached `R_p` of each group of the training cells.
    """

    partition: AbstractPartition
    targets: Float[Array, "all_groups clusters clusters"]

    def __call__(
        self,
        predicted: Float[Array, "groups cells genes"],
        groups: Int[Array, " groups"],
        rows: Int[Array, "groups cells"],
    ) -> Scalar:
        found = jax.vmap(lambda x: cluster_correlation(x, self.partition))(predicted)
        return jnp.mean((found - self.targets[groups]) ** 2)
