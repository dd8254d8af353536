"""Counts out of log expression: a cell's normalised values are whole multiples of one number."""

import equinox as eqx
import jax
import jax.numpy as jnp

from scbig._typing import Array, Bool, Expression, ExpressionBatch, Float, Scalar

MOST = 8
"""Smallest counts that are looked for: where no gene has one count, one has two, or three."""
_APART = 0.02
_ROUNDED = 2e-6
"""Relative error of a ratio of values that were kept as float32 logarithms."""


class Counted(eqx.Module):
    """A cell as counts, or several.

    **Fields:** `counts`, whole numbers; `size`, counts for each unit of normalised expression: the
    total of the cell, over all genes that it was normalised by, in units of the total that it was
    normalised to; 0 in a cell without counts; `whole`, whether the values are those of counts.
    """

    counts: Float[Array, "*cells genes"]
    size: Float[Array, "*cells"]
    whole: Bool[Array, "*cells"]


def counts_of(cell: Expression) -> Counted:
    """The counts behind the log1p of a cell's normalised counts; `expression_of` is the inverse.

    The smallest value is one count, unless the others are no whole multiples of it: then it is two
    counts, or three, up to `MOST`, whichever first makes all whole. Counts with a common divisor
    are found divided by it. Where no smallest count fits, counts are the nearest to multiples of
    the smallest value, and `whole` is false. Values may have been rounded to float32.
    """
    values = jnp.expm1(cell)
    least = jnp.min(values, initial=jnp.inf, where=values > 0)
    some = jnp.isfinite(least)
    ratios = jnp.where(values > 0, values / jnp.where(some, least, 1.0), 0.0)
    tried = jnp.arange(1, MOST + 1, dtype=cell.dtype)
    multiples = tried[:, None] * ratios[None]
    bound = _APART + _ROUNDED * multiples
    fits = jnp.all(jnp.abs(multiples - jnp.round(multiples)) <= bound, axis=1)
    smallest = tried[jnp.argmax(fits)]  # the first that fits; 1 if none does
    return Counted(
        counts=jnp.round(smallest * ratios),
        size=jnp.where(some, smallest / jnp.where(some, least, 1.0), 0.0),
        whole=jnp.any(fits),
    )


def expression_of(counts: Expression, size: Scalar) -> Expression:
    """The log1p of normalised counts; zeros for a cell of size 0."""
    return jnp.log1p(counts / jnp.where(size > 0, size, jnp.inf))


@jax.jit
def all_counts(cells: ExpressionBatch) -> Counted:
    """The counts of many cells, some of them at a time."""
    return jax.lax.map(counts_of, cells, batch_size=256)
