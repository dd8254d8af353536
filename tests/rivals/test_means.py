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


class Untrained(AbstractNetwork):
    def loss(self, batch, *, key):
        return jnp.zeros(()), {}


class Fall(Untrained):
    """Every gene of every cell falls by a half."""

    emits: ClassVar[Literal["cells", "mean"]] = "mean"
    anew: ClassVar[bool] = False

    def carry(self, controls, condition, *, key):
        return controls - 0.5


class FallOfCells(Untrained):
    emits: ClassVar[Literal["cells", "mean"]] = "cells"
    anew: ClassVar[bool] = False

    def carry(self, controls, condition, *, key):
        return controls - 0.5


class Anew(Untrained):
    """Cells at a level of their own, a half above it where they are perturbed."""

    emits: ClassVar[Literal["cells", "mean"]] = "cells"
    anew: ClassVar[bool] = True

    def carry(self, controls, condition, *, key):
        noise = jr.uniform(key, controls.shape)
        return 7.0 + noise + 0.5 * jnp.sum(condition.counts)


def test_cells_decoded_anew_keep_the_level_of_a_context_without_perturbed_training_cells():
    controls = screen().controls
    values = controls.dense()
    at = lambda contexts: Rival(GENES, ("g0",), contexts, Anew()).predict(
        controls, ["g0"], key=jr.key(0)
    )
    assert np.asarray(at(("",)).X).min() > 7
    made = np.asarray(at(("other",)).X)
    np.testing.assert_allclose(made.mean(axis=0), values.mean(axis=0) + 0.5, atol=1e-5)
    np.testing.assert_allclose(made.std(axis=0), values.std(axis=0), atol=1e-5)


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
