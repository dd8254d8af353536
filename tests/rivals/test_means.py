"""Of a network that emits means only the mean of what it makes is made non-negative."""

from typing import ClassVar, Literal

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig.rivals import AbstractNetwork, Rival
from scbig.rivals._cells import Facts, TrainingCells
from scbig.rivals._training import Judging, judging_score

from ..conftest import four_genes_screen as screen
from .test_laws_of_rivals import GENES, PRIORS


class Fall(AbstractNetwork):
    """Every gene of every cell falls by a half."""

    emits: ClassVar[Literal["cells", "mean"]] = "mean"

    def loss(self, batch, *, key):
        return jnp.zeros(()), {}

    def carry(self, controls, condition, *, key):
        return controls - 0.5


class FallOfCells(AbstractNetwork):
    emits: ClassVar[Literal["cells", "mean"]] = "cells"

    def loss(self, batch, *, key):
        return jnp.zeros(()), {}

    def carry(self, controls, condition, *, key):
        return controls - 0.5


@pytest.mark.parametrize("network", [Fall(), FallOfCells()])
def test_what_of_a_prediction_is_made_non_negative(network):
    controls = screen().controls
    values = controls.dense()
    assert (values < 0.5).any(axis=0).all()
    made = Rival(GENES, ("g0",), ("",), network).predict(controls, ["g0"], key=jr.key(0))
    mean = values.mean(axis=0)
    expected = (
        np.maximum(mean - 0.5, 0)
        if network.emits == "mean"
        else np.maximum(values - 0.5, 0).mean(axis=0)
    )
    np.testing.assert_allclose(np.asarray(made.X).mean(axis=0), expected, atol=1e-5)
    judging = Judging.of(TrainingCells.of(screen(), Facts.of(screen(), [], PRIORS)), key=jr.key(1))
    errors = sizes = 0.0
    for row, start in enumerate(np.asarray(judging.controls)):
        fall = start - 0.5 if network.emits == "mean" else np.maximum(start - 0.5, 0)
        change = np.asarray(judging.means[row] - judging.origins[row])
        errors += np.sum((np.maximum(fall.mean(axis=0), 0) - start.mean(axis=0) - change) ** 2)
        sizes += np.sum(change**2)
    assert float(judging_score(network, network, judging)) == pytest.approx(
        1 - errors / sizes, rel=1e-4
    )
