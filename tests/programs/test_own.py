"""A clustering of one's own, and rounds of GRC that a script takes by itself."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig.method import real, whole
from scbig.programs import (
    GRC,
    AbstractClustering,
    Relations,
    cluster_genes,
    labelled,
    unit_rows,
)


class Odd(AbstractClustering):
    """A user's clustering, whose fields happen to be called as those of GRC."""

    confidence: float = real(0.7)
    features: int = whole(3)
    feedback: int = whole(2)

    def cluster(self, relations, *, start=None, throw=True, key):
        return labelled(relations, jnp.arange(relations.num_genes) % 2, 2)


def test_fields_of_ones_own_mean_what_one_wants():
    vectors, none = np.eye(6, dtype=np.float32), np.zeros(0, np.int32)
    found = cluster_genes(vectors, none, none, Odd(), key=jr.key(0))
    np.testing.assert_array_equal(found.labels, np.arange(6) % 2)
    assert Odd().updates == 0


def test_the_weights_act_in_every_round_that_is_asked_for():
    """Also where a script calls `solve` by itself, on relations as `cluster_genes` makes them."""
    rng = np.random.default_rng(0)
    one = jnp.ones(())
    source, target = rng.integers(0, 12, (2, 30))
    relations = Relations(
        unit=unit_rows(jnp.asarray(rng.normal(size=(12, 3)), jnp.float32)),
        source=jnp.asarray(source, jnp.int32),
        target=jnp.asarray(target, jnp.int32),
        semantic_weight=one,
        interaction_weight=one,
        confidence=None,
        errors=None,
        error_weight=None,
    )
    start = jnp.arange(12, dtype=jnp.int32) % 3
    costs = {}
    for name, weights in {"semantic": (1, 0), "interaction": (0, 1), "both": (1, 1)}.items():
        grc = GRC(clusters=3, semantic_weight=weights[0], interaction_weight=weights[1])
        costs[name] = float(grc.step(relations, grc.init(relations, start)).mean_cost[0])
    assert costs["semantic"] + costs["interaction"] == pytest.approx(costs["both"], rel=1e-5)
    assert 0 < costs["semantic"] != costs["interaction"] > 0
