"""Alignment of the correlation between gene programs (Eq. 7)."""

import jax
import jax.numpy as jnp
import numpy as np

from scbig._typing import Array, Float, Int, PRNGKeyArray, Scalar
from scbig.priors import PathwayLibrary
from scbig.programs import AbstractPartition
from scbig.sampling import CellIndex

from ._abstract import AbstractAlignment, MeasuredCells


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

    **Fields:** `squared`, as in Eq. 7; else the root of that, which the released code takes: its
    gradient does not fade where the correlations are nearly right.
    """

    label = "correlation"

    squared: bool = True

    def prepare(
        self,
        screen: MeasuredCells,
        index: CellIndex,
        partition: AbstractPartition,
        pathways: PathwayLibrary | None,
    ) -> tuple[AbstractPartition, Float[Array, "all_groups clusters clusters"]]:
        """The programs, and `R_p` of every group."""
        return partition, correlation_targets(screen, index, partition)

    def __call__(
        self,
        predicted: Float[Array, "groups cells genes"],
        groups: Int[Array, " groups"],
        facts: tuple[AbstractPartition, Float[Array, "all_groups clusters clusters"]],
        *,
        key: PRNGKeyArray,
    ) -> Scalar:
        partition, targets = facts
        found = jax.vmap(lambda x: cluster_correlation(x, partition))(predicted)
        errors = jnp.mean((found - targets[groups]) ** 2, axis=(1, 2))
        if not self.squared:
            apart = errors > 0  # the root has no gradient at zero
            errors = jnp.where(apart, jnp.sqrt(jnp.where(apart, errors, 1.0)), 0.0)
        return jnp.mean(errors)


def correlation_targets(
    screen: MeasuredCells, index: CellIndex, partition: AbstractPartition
) -> Float[Array, "groups clusters clusters"]:
    """`R_p` of Eq. 7 for each group of the index, from all of its cells.

    On the host: groups differ in size, and each size would be compiled anew.
    """
    means = screen.project(np.asarray(partition.averaging(), np.float64))
    order, start, size = (np.asarray(x) for x in (index.order, index.start, index.size))
    targets = np.stack(
        [_correlation(means[order[s : s + n]]) for s, n in zip(start, size, strict=True)]
    )
    return jnp.asarray(targets, jnp.float32)


def _correlation(
    means: Float[np.ndarray, "cells clusters"],
) -> Float[np.ndarray, "clusters clusters"]:
    """`cluster_correlation` of program means: zero where a program is constant."""
    centred = means - means.mean(axis=0)
    scale = np.sqrt((centred**2).mean(axis=0))
    varies = scale > 1e-5 * np.sqrt((means**2).mean(axis=0))
    standard = centred * np.where(varies, 1 / np.where(varies, scale, 1.0), 0.0)
    return standard.T @ standard / len(means)
