"""The members of an ensemble: several flows between the latents of one autoencoder."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Key

from scbig._typing import Array, Float, PRNGKeyArray, Scalar
from scbig.objective import Metrics

from ._state import PyTree

MEMBERS = 2**31 - 1
"""What is folded into a key for members but the first: the number of no step."""
Validate = Callable[[PyTree], tuple[Scalar, Metrics]]


def member_keys(key: PRNGKeyArray, members: int) -> PRNGKeyArray | Key[Array, " members"]:
    """A key for each member, of which the first is what a model alone would have."""
    if members == 1:
        return key
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jr.wrap_key_data(key)
    # Split from a key of its own: steps are folded into the first one by their numbers.
    others = jr.split(jr.fold_in(key, MEMBERS), members - 1)
    return jnp.concatenate([key[None], others])


def member_list(key: PRNGKeyArray, members: int) -> list[PRNGKeyArray]:
    """The same one by one."""
    return [key] if members == 1 else [*member_keys(key, members)]


def stacked(parts: Sequence[PyTree]) -> PyTree:
    """The arrays of several members behind a leading axis; those of one as they are."""
    if len(parts) == 1:
        return parts[0]
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *parts)


def unstacked(part: PyTree, members: int) -> list[PyTree]:
    """The inverse of `stacked`."""
    if members == 1:
        return [part]
    return [
        jax.tree.map(lambda x, n=n: x[n] if eqx.is_array(x) else x, part) for n in range(members)
    ]


def for_members(
    validate: Validate, members: int
) -> Callable[[PyTree], tuple[Float[Array, "*members"], Metrics]]:
    """A validation of one model as that of several, stacked, one after the other.

    What it logs is averaged over the members, and added up where it has an axis.
    """
    if members == 1:
        return validate

    def each(params: PyTree) -> tuple[Float[Array, " members"], Metrics]:
        scores, logged = zip(*map(validate, unstacked(params, members)), strict=True)
        over = lambda *x: sum(x) / members if x[0].ndim == 0 else sum(x)
        return jnp.stack(scores), jax.tree.map(over, *logged)

    return each
