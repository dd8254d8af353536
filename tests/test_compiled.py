"""Compiled programs are kept until they are very many."""

import jax
import jax.numpy as jnp

from scbig._compiled import forget_many


def test_programs_are_kept_until_the_process_has_many_maps():
    traced = []

    @jax.jit
    def doubled(x):
        traced.append(x.shape)
        return 2 * x

    doubled(jnp.ones(3))
    assert not forget_many(most=1_000_000)
    doubled(jnp.ones(3))
    assert len(traced) == 1
    assert forget_many(most=0)
    doubled(jnp.ones(3))
    assert len(traced) == 2
